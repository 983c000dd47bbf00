"""Translates errors of asyncpg and the operating system into the exceptions of this package.

Guarantee: an error that says "the database could not do it now" becomes `DatabaseTrouble`; an error that says "the
statement is wrong" (a syntax error, a violated constraint) stays what it is, because it is a defect.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg


class DatabaseTrouble(Exception):
    """The database is down, restarting, full, overloaded or does not answer.

    The outcome is unknown: if the connection was lost during COMMIT, the transaction may be committed.
    """


class ReadsFull(DatabaseTrouble):
    """The bound on running and waiting reads is reached. The read was not started; writes are not affected."""


class SessionRefused(DatabaseTrouble):
    """A new connection was refused because it can only read or does not keep its settings. Nothing was executed on it."""


class LockWaitTooLong(Exception):
    """A lock was not free within `lock_timeout`. Definitely not executed: the transaction is rolled back."""


ONLY_READS = (
    "the session can only read: the server is a standby, or default_transaction_read_only is on"
)

# Classes of SQLSTATE that describe the state of the server and not the statement:
# 08 connection, 28 authorization (a password that was changed), 3D no such database (yet), 40 rollback (deadlock,
# serialization), 53 resources (disk full, too many connections), 57 operator intervention
# (shutdown, crash, statement_timeout), 58 system error (I/O), XX internal error.
_TROUBLE_CLASSES = frozenset({"08", "28", "3D", "40", "53", "57", "58", "XX"})
# A session that idle_in_transaction_session_timeout ended; a write to a read-only server; and a prepared statement that is
# missing or exists already, because a pooler lent the session to another client in between.
_TROUBLE_STATES = frozenset({"25P03", "25006", "26000", "42P05"})

# After one of these the session is unusable, not only the statement: 08 connection, 57P shutdown and crash,
# 58 system error, XX internal error. 25006 recurs as long as the session lives.
_SESSION_OVER = ("08", "57P", "58", "XX", "25006", "25P03", "26000", "42P05")


@contextmanager
def translated() -> Iterator[None]:
    """Translates what asyncpg raises inside the block.

    asyncpg's `InterfaceError` and `InternalClientError` count as trouble: a connection that is terminated in the
    middle of COMMIT can raise either of them. So does a plan that a migration made invalid in the middle of a
    transaction: nothing of it was executed, and the next transaction plans again.
    """
    try:
        yield
    except asyncpg.LockNotAvailableError as exc:
        raise LockWaitTooLong(str(exc)) from exc
    except asyncpg.InvalidCachedStatementError as exc:
        raise DatabaseTrouble(f"{type(exc).__name__}: {exc}") from exc
    except asyncpg.TargetServerAttributeNotMatched as exc:
        raise SessionRefused(ONLY_READS) from exc
    except asyncpg.PostgresError as exc:
        state = exc.sqlstate or "XX000"
        if state[:2] in _TROUBLE_CLASSES or state in _TROUBLE_STATES:
            raise DatabaseTrouble(f"{type(exc).__name__}: {exc}") from exc
        raise
    except (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError) as exc:
        raise DatabaseTrouble(f"{type(exc).__name__}: {exc}".rstrip(": ")) from exc


def ends_session(exc: BaseException) -> bool:
    """Whether the connection on which this was raised must never be used again.

    Also follows its causes and contexts: an error inside a transaction may have been translated already, and a failed
    rollback hides the error before it.
    """
    seen: set[int] = set()
    pending: list[BaseException | None] = [exc]
    while pending:
        each = pending.pop()
        if each is None or id(each) in seen:
            continue
        if _ends_session_itself(each):
            return True
        seen.add(id(each))
        pending += [each.__cause__, each.__context__]
    return False


def _ends_session_itself(exc: BaseException) -> bool:
    if isinstance(exc, asyncpg.PostgresError):
        state = exc.sqlstate or "XX000"
        return state.startswith(_SESSION_OVER) or _severity(exc) in ("FATAL", "PANIC")
    # The server may still answer a cancelled statement. A later statement must not find that answer in the buffer.
    return not isinstance(exc, Exception) or isinstance(
        exc, asyncpg.InterfaceError | asyncpg.InternalClientError | OSError | TimeoutError
    )


def _severity(exc: asyncpg.PostgresError) -> str:
    # The untranslated severity, which servers since 9.6 send beside the localized one.
    return str(getattr(exc, "severity_en", None) or getattr(exc, "severity", None) or "")
