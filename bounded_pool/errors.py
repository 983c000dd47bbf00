"""The border at which asyncpg's and the operating system's errors get their meaning.

Guarantee: an error that says "the database could not do it now" becomes `DatabaseTrouble`; an error that says "the
statement is wrong" (a syntax error, a violated constraint) stays what it is, because it is a defect.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg


class DatabaseTrouble(Exception):
    """The database is gone, restarting, full, overloaded or silent.

    It may have happened: when the connection was lost while COMMIT was on its way, the transaction may be there.
    """


class LockWaitTooLong(Exception):
    """A lock was not free within `lock_timeout`. Definitely not executed: the transaction is rolled back."""


# Classes of SQLSTATE that speak of the server's state and not of the statement:
# 08 connection, 28 authorization (a password that was changed), 3D no such database (yet), 40 rollback (deadlock, serialization), 53 resources (disk full, too many connections), 57 operator
# intervention (shutdown, crash, statement_timeout), 58 system error (I/O), XX internal error.
_TROUBLE_CLASSES = frozenset({"08", "28", "3D", "40", "53", "57", "58", "XX"})
# A session that was ended by idle_in_transaction_session_timeout, and a write to a server that became a replica.
_TROUBLE_STATES = frozenset({"25P03", "25006"})


@contextmanager
def translated() -> Iterator[None]:
    """Translates what asyncpg raises inside the block.

    asyncpg's `InterfaceError` and `InternalClientError` count as trouble: a connection that is terminated in the
    middle of COMMIT can raise either of them.
    """
    try:
        yield
    except asyncpg.LockNotAvailableError as exc:
        raise LockWaitTooLong(str(exc)) from exc
    except asyncpg.PostgresError as exc:
        state = exc.sqlstate or "XX000"
        if state[:2] in _TROUBLE_CLASSES or state in _TROUBLE_STATES:
            raise DatabaseTrouble(f"{type(exc).__name__}: {exc}") from exc
        raise
    except (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError) as exc:
        raise DatabaseTrouble(f"{type(exc).__name__}: {exc}".rstrip(": ")) from exc
