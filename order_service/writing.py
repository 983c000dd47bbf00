"""How a process writes: together with what else waits to be written, and again until it is written.

Guarantee: an order is recorded, begun or settled when the call returns, not before; how many others are in its group makes
no difference but time. A write of `UntilWritten` ends with its commit, or with `LeaseLost` when the process stops.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import structlog

from order_service.backoff import Backoff
from order_service.orders import Beginning, LeaseLost, PendingOrder, Recording, Settlement
from order_service.statements import attempts, recording, settling
from order_service.wire import Fate
from service_kit.bounded_pool import BoundedPool, Connection, DatabaseTrouble, LockWaitTooLong
from service_kit.group_commit import Alone, Bounds, Group

log = structlog.get_logger()
T = TypeVar("T")


class GroupedWrites:
    """The groups of one process: recording, beginning, settling, fates. A single write is a group of one.

    A group leaves out an order that another transaction holds; that order is then written alone, when it is free.
    """

    def __init__(
        self, pool: BoundedPool, owner: UUID, *, lease_s: float, window_max: int, bounds: Bounds
    ) -> None:
        self._pool = pool
        self._owner = owner
        self._lease_s = lease_s
        self._window_max = window_max
        self._recording = Group(self._record, bounds, alone=self._record_when_free)
        self._beginning = Group(self._begin, bounds, alone=self._begin_when_free)
        self._settling = Group(self._settle, bounds, alone=self._settle_when_free)
        self._fates = Group(self._record_fates, bounds, alone=self._record_fate_when_free)

    async def record(self, new: Recording) -> PendingOrder:
        """Commits the order, its key and its first attempt. Raises `CustomerKeyTaken` and `WindowFull`, which spend no key."""
        return await self._recording.put(new)

    async def begin(self, beginning: Beginning) -> None:
        """Commits that an attempt begins under the same key. Doing it twice changes nothing. Raises `LeaseLost`."""
        await self._beginning.put(beginning)

    async def settle(self, settlement: Settlement) -> datetime | None:
        """Commits the final state and the last attempt; None when the order was settled before, and then its state stays."""
        return await self._settling.put(settlement)

    async def record_fate(self, order_id: UUID, fate: Fate) -> None:
        """Commits what became of the one notification."""
        await self._fates.put((order_id, fate))

    async def drain(self) -> None:
        """Returns when nothing is under way. Accepts no more writes."""
        for group in (self._recording, self._beginning, self._settling, self._fates):
            await group.drain()

    async def _record(self, recordings: Sequence[Recording]) -> list[PendingOrder | Exception]:
        async with self._pool.connection() as connection:
            return await self._recorded(connection, recordings)

    async def _record_when_free(self, new: Recording) -> PendingOrder:
        async with self._pool.transaction() as connection:
            await recording.wait_for_others(connection)
            (result,) = await self._recorded(connection, [new])
        if isinstance(result, Exception):
            raise result
        return result

    async def _recorded(
        self, connection: Connection, recordings: Sequence[Recording]
    ) -> list[PendingOrder | Exception]:
        return await recording.record_all(
            connection, recordings, self._owner, self._lease_s, self._window_max
        )

    async def _begin(self, beginnings: Sequence[Beginning]) -> list[Exception | None]:
        async with self._pool.connection() as connection:
            begun = await self._begun(connection, beginnings)
        return [
            Alone() if each.order_id not in begun else None if begun[each.order_id] else LeaseLost()
            for each in beginnings
        ]

    async def _begin_when_free(self, beginning: Beginning) -> None:
        async with self._holding(beginning.order_id) as connection:
            begun = await self._begun(connection, [beginning])
        if not begun.get(beginning.order_id):
            raise LeaseLost

    async def _begun(
        self, connection: Connection, beginnings: Sequence[Beginning]
    ) -> dict[UUID, bool]:
        return await attempts.begin_attempts(connection, beginnings, self._owner, self._lease_s)

    async def _settle(self, settlements: Sequence[Settlement]) -> list[datetime | Exception | None]:
        # Of two settlements of one order (by its delivery and by a cancellation) only the first takes part: if both callers were
        # told that theirs took effect, both would notify.
        first: dict[UUID, Settlement] = {}
        for each in settlements:
            first.setdefault(each.order_id, each)
        async with self._pool.connection() as connection:
            settled = await settling.settle_all(connection, list(first.values()))
        return [
            settled.get(each.order_id, Alone()) if each is first[each.order_id] else Alone()
            for each in settlements
        ]

    async def _settle_when_free(self, settlement: Settlement) -> datetime | None:
        async with self._holding(settlement.order_id) as connection:
            settled = await settling.settle_all(connection, [settlement])
        return settled.get(settlement.order_id)

    async def _record_fates(self, fates: Sequence[tuple[UUID, Fate]]) -> list[Exception | None]:
        async with self._pool.connection() as connection:
            free = await settling.record_fates(connection, fates)
        return [None if order_id in free else Alone() for order_id, _ in fates]

    async def _record_fate_when_free(self, fate: tuple[UUID, Fate]) -> None:
        order_id, _ = fate
        async with self._holding(order_id) as connection:
            await settling.record_fates(connection, [fate])

    @asynccontextmanager
    async def _holding(self, order_id: UUID) -> AsyncIterator[Connection]:
        async with self._pool.transaction() as connection:
            await settling.lock_order(connection, order_id)
            yield connection


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
