"""What a new connection must be before anything is done with it.

Guarantee: a session that is accepted can write, has the settings that were asked for, and keeps them. Settings are
given by statements and not as startup parameters: a pooler refuses those that it does not know, or drops them silently.
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from service_kit.bounded_pool.errors import ONLY_READS, SessionRefused

if TYPE_CHECKING:
    RawConnection = asyncpg.Connection[asyncpg.Record]
else:
    RawConnection = asyncpg.Connection

# Makes another session, which the caller closes.
Connect = Callable[[], Awaitable[RawConnection]]

# A setting of our own that no other session has, so that a session is recognised.
_MARK = "service_kit.bounded_pool.session"
# PgBouncer lends the server connection that was returned last, or with server_round_robin the one that was returned
# first. Three transactions in a row see two server connections in either case.
_TRANSACTIONS = 3
# Prepared statements are the first that are missed, or met where another client left them; and a pooler says itself
# (protocol violation) that it lends a server connection for one statement.
_NOT_OURS_ALONE = (
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.DuplicatePreparedStatementError,
    asyncpg.ProtocolViolationError,
)
_MOVES = (
    "the session does not keep {what} between two transactions: a pooler in between lends a server connection for "
    "each transaction, and must lend it for each session (pool_mode = session)"
)


@dataclass(frozen=True)
class Session:
    """How a session is known again: its process in Postgres, and its settings with their mark."""

    backend_pid: int
    settings: Mapping[str, str]


async def prepare(connection: RawConnection, wanted: Mapping[str, str]) -> Session:
    """Gives a new connection its settings and reads them back. Raises `SessionRefused`."""
    rows = await connection.fetch(
        """
        SELECT name,
               set_config(
                 name,
                 -- A role may change its own defaults for ever; what is stronger than asked for is kept.
                 CASE WHEN name = 'synchronous_commit' AND current_setting(name) = 'remote_apply'
                      THEN 'remote_apply' ELSE setting END,
                 false
               ) AS setting,
               pg_backend_pid() AS backend_pid
        FROM unnest($1::text[], $2::text[]) AS wanted (name, setting)
        """,
        [*wanted, _MARK],
        [*wanted.values(), secrets.token_hex(8)],
    )
    session = Session(rows[0]["backend_pid"], {row["name"]: row["setting"] for row in rows})
    await verify(connection, session)
    return session


async def verify(connection: RawConnection, session: Session) -> None:
    """Raises `SessionRefused` unless the connection is still this session and can write."""
    rows = await connection.fetch(
        """
        SELECT name, current_setting(name, true) AS setting, pg_backend_pid() AS backend_pid,
               pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean AS only_reads
        FROM unnest($1::text[]) AS asked (name)
        """,
        list(session.settings),
    )
    if rows[0]["backend_pid"] != session.backend_pid:
        raise SessionRefused(_MOVES.format(what="its process in Postgres"))
    for row in rows:
        if row["setting"] != session.settings[row["name"]]:
            raise SessionRefused(_MOVES.format(what=row["name"]))
    if rows[0]["only_reads"]:
        raise SessionRefused(ONLY_READS)


async def verify_apart(
    connection: RawConnection, session: Session, wanted: Mapping[str, str], connect: Connect
) -> None:
    """Raises `SessionRefused` when a pooler lends server connections for each transaction.

    A session alone cannot notice that: it gets the same server connection again and again. So another session comes
    into being while this one is in a transaction, and then both have to be who they were.
    """
    if connection.get_server_pid() == session.backend_pid:
        # Postgres itself answered, no pooler.
        return
    try:
        # Whoever made the connection closes it after an error: no rollback has to be waited for.
        await connection.execute("BEGIN")
        beside = await connect()
        try:
            other = await prepare(beside, wanted)
            await connection.execute("COMMIT")
            # Each several times in a row: taking turns, both could get their own by chance each time.
            for _ in range(_TRANSACTIONS):
                await verify(beside, other)
            for _ in range(_TRANSACTIONS):
                await verify(connection, session)
        finally:
            beside.terminate()
    except (*_NOT_OURS_ALONE, asyncpg.ConnectionDoesNotExistError) as exc:
        # PgBouncer says the same in two ways: as an error, or as the reason for which it closes the connection.
        if isinstance(exc, asyncpg.ConnectionDoesNotExistError) and "pooling mode" not in str(exc):
            raise
        raise SessionRefused(f"{_MOVES.format(what='its statements')} ({exc})") from exc
