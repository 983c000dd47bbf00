"""The pool itself.

Guarantee: opening it needs no database, so a service starts before its database does and recovers by itself. A
connection is closed and never used again when a deadline passed on it, when its statement was cancelled, or when an
error says that the session is over or can only read. A block during which the server warned ends with `DatabaseTrouble`:
its commit may not be replicated. Reads cannot take the connections that writes need, and neither
can take the connection of the readiness check.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TYPE_CHECKING

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from service_kit.bounded_pool import session
from service_kit.bounded_pool.errors import ReadsFull, ends_session, translated
from service_kit.bounded_pool.hosts import Hosts
from service_kit.bounded_pool.readiness import Readiness
from service_kit.bounded_pool.warnings import Warnings

if TYPE_CHECKING:
    RawConnection = asyncpg.Connection[asyncpg.Record]
    # From the pool, or the separate one of the readiness check.
    Connection = PoolConnectionProxy[asyncpg.Record] | RawConnection
    RawPool = asyncpg.Pool[asyncpg.Record]
else:
    RawConnection = asyncpg.Connection
    Connection = PoolConnectionProxy
    RawPool = asyncpg.Pool

# A third of the pool for reads always leaves two thirds for writes, and is enough: a read takes about a millisecond.
_READS_SHARE = 3
# Waiting reads for each running one: a fraction of a second's work, and waiting costs nothing.
_READS_WAITING_PER_SLOT = 32
# A read that finds the queue full is refused after this pause, unless there is room by then. A refusal costs as much as a
# small read, so callers that retry at once would keep the process busy with refusals.
_REFUSAL_PAUSE_S = 0.5


class Connections(ABC):
    """Lends connections for one kind of use."""

    @abstractmethod
    def connection(self) -> AbstractAsyncContextManager[Connection]:
        """A connection in autocommit mode.

        Raises `DatabaseTrouble` or `LockWaitTooLong`; the deadline covers the wait for a free connection and all that
        is done with it.
        """

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside one READ COMMITTED transaction, committed when the block ends normally."""
        async with self.connection() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                yield connection
            except BaseException as exc:
                # A rollback would wait for the cancelled statement, and asyncpg would send a cancel request for it. The
                # server rolls back by itself when the connection is closed.
                if ends_session(exc):
                    _throw_away(connection)
                else:
                    await transaction.rollback()
                raise
            await transaction.commit()


class BoundedPool(Connections):
    """`size_max` connections to `url`; each use of one is over within `deadline_s` seconds.

    Of several servers that the URL names, the one that can write is taken.

    `password` replaces the one in the URL unless it is empty. `observe_wait` gets the seconds of each wait for a
    connection. One more connection is kept for `missing`.

    Three timeouts of the server bound what a *lost* client leaves behind: a running statement, a wait for a lock, and an
    idle transaction whose client can no longer be reached.
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
        password: str = "",
        observe_wait: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._hosts = Hosts(url, password or None, deadline_s)
        self._size_max = size_max
        self._deadline_s = deadline_s
        self._observe_wait = observe_wait
        self._session_settings = {
            "application_name": application,
            # The server times out first, so that its specific error arrives before the client's deadline passes.
            "statement_timeout": _ms(deadline_s * 0.9),
            "lock_timeout": _ms(lock_timeout_s),
            "idle_in_transaction_session_timeout": _ms(idle_in_transaction_timeout_s),
            # Each statement must see everything committed before it, whatever the database's default is.
            "default_transaction_isolation": "read committed",
            # An acknowledged commit must be on disk, whatever the default of the database or the role is.
            "synchronous_commit": "on",
            # The warning that a commit may not be replicated must arrive, whatever the role's default is.
            "client_min_messages": "warning",
            # A plan lives as long as its connection. A plan made while a table was empty would scan the whole table
            # when it is large, so an index is used wherever there is one.
            "enable_seqscan": "off",
            "plan_cache_mode": "force_generic_plan",
        }
        self._pool: RawPool | None = None
        self._verified_apart = False
        self._readiness = Readiness(self._connect, self._prepare)
        self.reads: Connections = _Reads(self, max(1, size_max // _READS_SHARE), deadline_s)

    async def open(self) -> None:
        """Prepares the pool. Makes no connection yet."""
        self._pool = await asyncpg.create_pool(
            min_size=0,
            max_size=self._size_max,
            connect=self._connect_prepared,
            reset=_nothing_to_reset,
        )

    async def close(self) -> None:
        """Closes all connections; waits `deadline_s` for those in use, then cuts them off."""
        self._readiness.close()
        if self._pool is None:
            return
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        if self._pool is None:
            raise RuntimeError("the pool is not open")
        with translated():
            async with asyncio.timeout(self._deadline_s):
                since_s = time.monotonic()
                connection = await self._pool.acquire()
                self._observe_wait(time.monotonic() - since_s)
                warnings = Warnings()
                connection.add_log_listener(warnings.hear)
                try:
                    yield connection
                    warnings.raise_if_any()
                except BaseException as exc:
                    if ends_session(exc):
                        _throw_away(connection)
                    raise
                finally:
                    with suppress(asyncpg.InterfaceError):
                        connection.remove_log_listener(warnings.hear)
                    await self._pool.release(connection)

    async def missing(
        self,
        prove: Callable[[Connection], Awaitable[None]],
        confirm: Callable[[Connection], Awaitable[None]] | None = None,
    ) -> str | None:
        """What keeps the service from writing, as one sentence, or None.

        `prove` writes nothing and fails when its session could not write. `confirm` ends when the synchronous standby has
        confirmed it. Both have a connection of their own, so this answers under any load, and within `deadline_s` when the
        database does not answer.
        """
        return await self._readiness.missing(prove, confirm, self._deadline_s)

    @property
    def in_use(self) -> int:
        """The number of connections in use now."""
        if self._pool is None:
            return 0
        return self._pool.get_size() - self._pool.get_idle_size()

    async def _connect_prepared(self, *_: object, **__: object) -> RawConnection:
        """Terminates a connection that cannot be prepared; asyncpg's pool would close it and wait for the server."""
        connection = await self._connect()
        try:
            await self._prepare(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def _connect(self) -> RawConnection:
        return await self._hosts.connect()

    async def _prepare(self, connection: RawConnection) -> session.Session:
        prepared = await session.prepare(connection, self._session_settings)
        if not self._verified_apart:
            await session.verify_apart(connection, prepared, self._session_settings, self._connect)
            self._verified_apart = True
        return prepared


class _Reads(Connections):
    """A share of a pool's connections, with a bounded queue."""

    def __init__(self, pool: BoundedPool, running_max: int, deadline_s: float) -> None:
        self._pool = pool
        self._slots = asyncio.Semaphore(running_max)
        self._deadline_s = deadline_s
        self._waiting = 0
        self._waiting_max = running_max * _READS_WAITING_PER_SLOT

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        if self._is_full():
            await asyncio.sleep(_REFUSAL_PAUSE_S)
            if self._is_full():
                raise ReadsFull(f"{self._waiting} reads wait for a connection")
        with translated():
            async with asyncio.timeout(self._deadline_s):
                self._waiting += 1
                try:
                    await self._slots.acquire()
                finally:
                    self._waiting -= 1
                try:
                    async with self._pool.connection() as connection:
                        yield connection
                finally:
                    self._slots.release()

    def _is_full(self) -> bool:
        return self._slots.locked() and self._waiting >= self._waiting_max


def _throw_away(connection: Connection) -> None:
    """Closes the socket without sending anything: a cancel request could end a COMMIT's wait for its standby."""
    # It may be closed already, and its place in the pool free.
    with suppress(asyncpg.InterfaceError):
        connection.terminate()


async def _nothing_to_reset(_: object) -> None:
    """No code here changes a session's state, so a connection needs no RESET (one round trip) when it is returned."""


def _ms(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))
