"""The pool itself.

Guarantee: opening it needs no database, so a service starts before its database does and recovers by itself; a
connection on which a deadline passed is thrown away, never used again.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from bounded_pool.errors import translated

if TYPE_CHECKING:
    Connection = PoolConnectionProxy[asyncpg.Record]
else:
    Connection = PoolConnectionProxy


class BoundedPool:
    """`size_max` connections to `url`; each use of one is over within `deadline_s` seconds.

    `observe_wait` is told how many seconds each wait for a connection took.

    The three timeouts of the server bound what a *lost* client leaves behind: a statement that runs, a lock that is
    waited for, and a transaction that idles because its client's network is gone.
    """

    def __init__(
        self,
        url: str,
        *,
        application: str,
        size_max: int,
        deadline_s: float,
        lock_timeout_s: float,
        idle_in_transaction_timeout_s: float,
        observe_wait: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._url = url
        self._size_max = size_max
        self._deadline_s = deadline_s
        self._observe_wait = observe_wait
        self._server_settings = {
            "application_name": application,
            # The server gives up first, so that its clear error arrives before the client's deadline passes.
            "statement_timeout": _ms(deadline_s * 0.9),
            "lock_timeout": _ms(lock_timeout_s),
            "idle_in_transaction_session_timeout": _ms(idle_in_transaction_timeout_s),
            # Each statement has to see what was committed before it, whatever the database's default is.
            "default_transaction_isolation": "read committed",
            # A plan is kept for as long as its connection. One that was made while a table was empty would read the
            # table from end to end when it is large; where there is an index for a question, it is used.
            "enable_seqscan": "off",
            "plan_cache_mode": "force_generic_plan",
        }
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def open(self) -> None:
        """Prepares the pool; connects to nothing yet."""
        self._pool = await asyncpg.create_pool(
            self._url,
            min_size=0,
            max_size=self._size_max,
            timeout=self._deadline_s,
            command_timeout=self._deadline_s,
            server_settings=self._server_settings,
            reset=_nothing_to_reset,
        )

    async def close(self) -> None:
        """Closes all connections; waits `deadline_s` for those in use, then cuts them off."""
        if self._pool is None:
            return
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection in autocommit mode.

        Raises `DatabaseTrouble` or `LockWaitTooLong`; the deadline covers the wait for a free connection and all that
        is done with it.
        """
        if self._pool is None:
            raise RuntimeError("the pool is not open")
        with translated():
            async with asyncio.timeout(self._deadline_s):
                since_s = time.monotonic()
                connection = await self._pool.acquire()
                self._observe_wait(time.monotonic() - since_s)
                try:
                    yield connection
                except (TimeoutError, asyncio.CancelledError):
                    # Whatever was under way may still be answered: nobody may find that answer in the buffer.
                    connection.terminate()
                    raise
                finally:
                    await self._pool.release(connection, timeout=self._deadline_s)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside one READ COMMITTED transaction, committed when the block ends normally."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    @property
    def in_use(self) -> int:
        """Connections that somebody holds at the moment."""
        if self._pool is None:
            return 0
        return self._pool.get_size() - self._pool.get_idle_size()


async def _nothing_to_reset(_: object) -> None:
    """No code here changes a session's state, so a connection needs no RESET (one round trip) when it is returned."""


def _ms(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))
