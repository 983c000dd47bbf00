"""A transaction that locks an account, so that a charge of it must wait and cannot take the fast path.

Guarantee: every session that waits for the lock is counted, also one that began after the first count.
"""

from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

_TAKE = "SELECT 1 FROM billing.accounts WHERE account = $1 FOR NO KEY UPDATE"
# Not pg_stat_activity: a transaction that has read it once keeps seeing the sessions of that moment.
_WAITED_FOR = """
    SELECT EXISTS (
      SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))
    )
"""
_BEHIND = """
    WITH RECURSIVE behind (pid) AS (
      SELECT pg_backend_pid()
      UNION
      SELECT pg_locks.pid FROM pg_locks JOIN behind ON behind.pid = ANY (pg_blocking_pids(pg_locks.pid))
      WHERE NOT granted
    )
    SELECT count(*) - 1 FROM behind
"""


class AccountLock:
    """Works on a connection of its own, which the caller closes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def take(self, account: str) -> None:
        """Returns when it holds the account."""
        await self._connection.execute("BEGIN")
        await self._connection.execute(_TAKE, account)

    async def is_waited_for(self) -> bool:
        """Whether a session waits for the account at this moment."""
        return bool(await self._connection.fetchval(_WAITED_FOR))

    async def count_waiting(self) -> int:
        """How many sessions wait for the account at this moment, or for a session that does."""
        waiting: int = await self._connection.fetchval(_BEHIND)
        return waiting

    async def release(self) -> None:
        """Gives the account back; nothing was changed."""
        await self._connection.execute("ROLLBACK")
