"""A transaction that has an account, so that a charge of it has to wait and cannot be one message that commits itself.

Guarantee: whoever waits for it is seen, also a session that began after the first look.
"""

from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

_TAKE = "SELECT 1 FROM billing.accounts WHERE account = $1 FOR NO KEY UPDATE"
# Not pg_stat_activity: to a transaction, it shows for ever whoever was connected at its first look.
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
    """On a connection of its own, which is the caller's to close."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def take(self, account: str) -> None:
        """Returns when the account is its own."""
        await self._connection.execute("BEGIN")
        await self._connection.execute(_TAKE, account)

    async def is_waited_for(self) -> bool:
        """Whether a session waits for the account at this moment."""
        return bool(await self._connection.fetchval(_WAITED_FOR))

    async def count_waiting(self) -> int:
        """How many sessions wait for the account at this moment, or for one that does."""
        waiting: int = await self._connection.fetchval(_BEHIND)
        return waiting

    async def leave(self) -> None:
        """Lets the next one have it; nothing was changed."""
        await self._connection.execute("ROLLBACK")
