"""How a process writes: together with what else waits to be written, and again until it is written.

Guarantee: an order is recorded, begun or settled when the call returns, not before; whether it was written alone or in a
group makes no difference but time. A write of `UntilWritten` ends with its commit, or with `LeaseLost` when the process stops.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import structlog

from order_service.backoff import Backoff
from order_service.orders import Beginning, LeaseLost, PendingOrder, Recording, Settlement
from order_service.statements import attempts, recording, settling
from order_service.wire import Fate
from service_kit.bounded_pool import BoundedPool, Connection, DatabaseTrouble, LockWaitTooLong
from service_kit.group_commit import Bounds, Group

log = structlog.get_logger()
T = TypeVar("T")

# A commit costs the same for a hundred; more would hold the counter's row for longer.
_TOGETHER_MAX = 100
# Ten commits' worth. A caller that arrives later is served better by coming back.
_QUEUE_MAX = 1_000


class GroupedWrites:
    """The groups of one process: recording, beginning, settling, fates."""

    def __init__(
        self, pool: BoundedPool, owner: UUID, *, lease_s: float, window_max: int, under_way_max: int
    ) -> None:
        self._pool = pool
        self._owner = owner
        self._lease_s = lease_s
        self._window_max = window_max
        bounds = Bounds(_TOGETHER_MAX, under_way_max, _QUEUE_MAX)
        self._recording = Group(self._record_all, self._record, bounds)
        self._beginning = Group(self._begin_all, self._begin, bounds)
        self._settling = Group(self._settle_all, self._settle, bounds)
        self._fates = Group(self._record_fates, self._record_fate, bounds)

    async def record(self, new: Recording) -> PendingOrder:
        """As `recording.record`."""
        return await self._recording.put(new)

    async def begin(self, beginning: Beginning) -> None:
        """As `attempts.begin_attempt`."""
        await self._beginning.put(beginning)

    async def settle(self, settlement: Settlement) -> datetime | None:
        """As `settling.settle`, with the attempt that led to it."""
        return await self._settling.put(settlement)

    async def record_fate(self, order_id: UUID, fate: Fate) -> None:
        """As `settling.record_fate`."""
        await self._fates.put((order_id, fate))

    async def drain(self) -> None:
        """Returns when nothing is under way."""
        for group in (self._recording, self._beginning, self._settling, self._fates):
            await group.drain()

    async def _record_all(self, recordings: Sequence[Recording]) -> list[PendingOrder | Exception]:
        async with self._pool.connection() as connection:
            return await recording.record_all(
                connection, recordings, self._owner, self._lease_s, self._window_max
            )

    async def _record(self, new: Recording) -> PendingOrder:
        async with self._pool.connection() as connection:
            return await recording.record(
                connection, new, self._owner, self._lease_s, self._window_max
            )

    async def _begin_all(self, beginnings: Sequence[Beginning]) -> list[Exception | None]:
        async with self._pool.connection() as connection:
            return await attempts.begin_attempts(connection, beginnings, self._owner, self._lease_s)

    async def _begin(self, beginning: Beginning) -> None:
        async with self._pool.connection() as connection:
            await attempts.begin_attempt(
                connection, beginning.order_id, beginning.attempt, self._owner, self._lease_s
            )

    async def _settle_all(
        self, settlements: Sequence[Settlement]
    ) -> list[datetime | Exception | None]:
        async with self._pool.connection() as connection:
            return await settling.settle_all(connection, settlements)

    async def _settle(self, settlement: Settlement) -> datetime | None:
        async with self._pool.transaction() as connection:
            if settlement.attempt is not None:
                await attempts.insert_attempt(connection, settlement.order_id, settlement.attempt)
            return await settling.settle(
                connection,
                settlement.order_id,
                settlement.status,
                settlement.answer,
                settlement.notification,
            )

    async def _record_fates(self, fates: Sequence[tuple[UUID, Fate]]) -> list[Exception | None]:
        async with self._pool.connection() as connection:
            return await settling.record_fates(connection, fates)

    async def _record_fate(self, fate: tuple[UUID, Fate]) -> None:
        async with self._pool.connection() as connection:
            await settling.record_fate(connection, *fate)


class UntilWritten:
    """The writes of one order, each repeated until it is committed: what was learned from billing must not be lost.

    `sleep` takes seconds. When `stopping` is set, a write that waits to be repeated ends with `LeaseLost`.
    """

    def __init__(
        self,
        order_id: UUID,
        pool: BoundedPool,
        backoff: Backoff,
        sleep: Callable[[float], Awaitable[None]],
        stopping: asyncio.Event,
    ) -> None:
        self._order_id = order_id
        self._pool = pool
        self._backoff = backoff
        self._sleep = sleep
        self._stopping = stopping
        # Over all writes of the order: pauses grow until the database is back.
        self._troubles = 0

    async def transact(self, write: Callable[[Connection], Awaitable[T]]) -> T:
        """One transaction of this order's own, repeated until it commits."""

        async def in_a_transaction() -> T:
            async with self._pool.transaction() as connection:
                return await write(connection)

        return await self.repeat(in_a_transaction)

    async def repeat(self, write: Callable[[], Awaitable[T]]) -> T:
        """Repeats a write until it is committed.

        Each `write` changes nothing when it is done twice, since a commit whose answer was lost is repeated too.
        """
        while True:
            try:
                return await write()
            except (DatabaseTrouble, LockWaitTooLong) as exc:
                self._troubles += 1
                log.warning(
                    "the order cannot be written yet and is tried again",
                    order_id=str(self._order_id),
                    reason=str(exc),
                )
                pause_s = self._backoff.pause_s(self._troubles)
                await unless_stopping(self._stopping, self._sleep(pause_s))


async def unless_stopping(stopping: asyncio.Event, waiting: Awaitable[None]) -> None:
    """Waits, or ends early with `LeaseLost` when the process stops: another process takes the order over."""
    over = asyncio.ensure_future(waiting)
    stopped = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait((over, stopped), return_when=asyncio.FIRST_COMPLETED)
        if stopping.is_set():
            raise LeaseLost
    finally:
        over.cancel()
        stopped.cancel()
