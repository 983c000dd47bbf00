"""Gives a new connection its settings and checks it before its first use.

Guarantee: an accepted session can write, has the requested settings, and keeps them.

Settings are sent as statements and not as startup parameters, because a pooler refuses unknown startup parameters or drops
them silently.
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

# Opens another session, which the caller closes.
Connect = Callable[[], Awaitable[RawConnection]]

# A custom setting with a random value identifies the session.
_MARK = "service_kit.bounded_pool.session"
# PgBouncer lends the server connection that was returned last, or with server_round_robin the one that was returned
# first. Three transactions in a row get two server connections in either case.
_TRANSACTIONS = 3
# A shared session first shows in prepared statements: they are missing, or another client's are there. A pooler that lends
# a server connection for one statement reports a protocol violation.
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
    """What identifies a session: its process in Postgres, and its settings with their mark."""

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

    One session alone cannot notice it, because it gets the same server connection every time. So this opens another
    session while the first is in a transaction, and then both must still be the same sessions.
    """
    if connection.get_server_pid() == session.backend_pid:
        # The connection goes to Postgres directly, without a pooler.
        return
    try:
        # The caller closes the connection after an error, so this needs no rollback.
        await connection.execute("BEGIN")
        beside = await connect()
        try:
            other = await prepare(beside, wanted)
            await connection.execute("COMMIT")
            # Each is checked several times in a row: in alternation, both could get their own by chance every time.
            for _ in range(_TRANSACTIONS):
                await verify(beside, other)
            for _ in range(_TRANSACTIONS):
                await verify(connection, session)
        finally:
            beside.terminate()
    except (*_NOT_OURS_ALONE, asyncpg.ConnectionDoesNotExistError) as exc:
        # PgBouncer reports it in two ways: as an error, or as the reason for closing the connection.
        if isinstance(exc, asyncpg.ConnectionDoesNotExistError) and "pooling mode" not in str(exc):
            raise
        raise SessionRefused(f"{_MOVES.format(what='its statements')} ({exc})") from exc
