"""The pool itself.

Guarantee: opening it needs no database, so a service starts before its database does and recovers by itself. A
connection is thrown away, never used again, when a deadline passed on it, when its statement was given up, or when an
error says that the session is over or can only read. Reads cannot take the connections that writes need, and neither
can take the one over which readiness is asked.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TYPE_CHECKING

import asyncpg
from asyncpg.connect_utils import SessionAttribute
from asyncpg.pool import PoolConnectionProxy

from service_kit.bounded_pool import session
from service_kit.bounded_pool.errors import ReadsFull, ends_session, translated
from service_kit.bounded_pool.readiness import Readiness

if TYPE_CHECKING:
    RawConnection = asyncpg.Connection[asyncpg.Record]
    # Of the pool, or the one beside it that readiness has.
    Connection = PoolConnectionProxy[asyncpg.Record] | RawConnection
    RawPool = asyncpg.Pool[asyncpg.Record]
else:
    RawConnection = asyncpg.Connection
    Connection = PoolConnectionProxy
    RawPool = asyncpg.Pool

# A third for reads leaves writes two thirds at any time, and is enough: a read takes about a millisecond.
_READS_SHARE = 3
# So many reads wait for each that may run: a fraction of a second's work, and to wait costs nothing.
_READS_WAITING_PER_SLOT = 32
# One that finds the queue full is refused after this pause, unless there is room by then. A refusal costs as much as a
# small read: callers that come back at once would keep the whole process busy with refusals.
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
                # A rollback would wait for the statement that was given up, and asyncpg would ask the server to cancel
                # it. The server rolls back by itself when the connection is gone.
                if ends_session(exc):
                    _throw_away(connection)
                else:
                    await transaction.rollback()
                raise
            await transaction.commit()


class BoundedPool(Connections):
    """`size_max` connections to `url`; each use of one is over within `deadline_s` seconds.

    `password` takes the place of the one in the URL unless it is empty. `observe_wait` is told how many seconds each wait for a connection
    took. One more connection is kept for `missing`.

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
        password: str = "",
        observe_wait: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._url = url
        self._password = password or None
        self._size_max = size_max
        self._deadline_s = deadline_s
        self._observe_wait = observe_wait
        self._session_settings = {
            "application_name": application,
            # The server gives up first, so that its clear error arrives before the client's deadline passes.
            "statement_timeout": _ms(deadline_s * 0.9),
            "lock_timeout": _ms(lock_timeout_s),
            "idle_in_transaction_session_timeout": _ms(idle_in_transaction_timeout_s),
            # Each statement has to see what was committed before it, whatever the database's default is.
            "default_transaction_isolation": "read committed",
            # What was answered is on disk, whatever the database's or the role's default is.
            "synchronous_commit": "on",
            # A plan is kept for as long as its connection. One that was made while a table was empty would read the
            # table from end to end when it is large; where there is an index for a question, it is used.
            "enable_seqscan": "off",
            "plan_cache_mode": "force_generic_plan",
        }
        self._pool: RawPool | None = None
        self._verified_apart = False
        self._readiness = Readiness(self._connect, self._prepare)
        self.reads: Connections = _Reads(self, max(1, size_max // _READS_SHARE), deadline_s)

    async def open(self) -> None:
        """Prepares the pool; connects to nothing yet."""
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
                try:
                    yield connection
                except BaseException as exc:
                    if ends_session(exc):
                        _throw_away(connection)
                    raise
                finally:
                    await self._pool.release(connection)

    async def missing(self, prove: Callable[[Connection], Awaitable[None]]) -> str | None:
        """What keeps the service from writing, as one sentence, or None.

        `prove` writes nothing and fails when its session could not write. It has a connection of its own, so the answer
        comes under any load, and within `deadline_s` when the database is silent.
        """
        return await self._readiness.missing(prove, self._deadline_s)

    @property
    def in_use(self) -> int:
        """Connections that are lent at the moment."""
        if self._pool is None:
            return 0
        return self._pool.get_size() - self._pool.get_idle_size()

    async def _connect_prepared(self, *_: object, **__: object) -> RawConnection:
        """asyncpg's pool would end a connection that cannot be prepared politely, and wait for a server that is silent."""
        connection = await self._connect()
        try:
            await self._prepare(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def _connect(self) -> RawConnection:
        return await asyncpg.connect(
            self._url,
            password=self._password,
            timeout=self._deadline_s,
            # Of several servers, the one that can write.
            target_session_attrs=SessionAttribute.read_write,
        )

    async def _prepare(self, connection: RawConnection) -> session.Session:
        prepared = await session.prepare(connection, self._session_settings)
        if not self._verified_apart:
            await session.verify_apart(connection, prepared, self._session_settings, self._connect)
            self._verified_apart = True
        return prepared


class _Reads(Connections):
    """A share of a pool's connections, with a bounded queue before it."""

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
    """Closes the socket. Nothing is sent, no cancel request either: that could end a COMMIT's wait for its standby."""
    # It may be closed already, and back in the pool as an empty place.
    with suppress(asyncpg.InterfaceError):
        connection.terminate()


async def _nothing_to_reset(_: object) -> None:
    """No code here changes a session's state, so a connection needs no RESET (one round trip) when it is returned."""


def _ms(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))
