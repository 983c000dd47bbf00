"""What a process of order_service writes, grouped: one commit for all that waits.

Guarantee: an order is recorded, begun or settled when the call returns, not before; alone or in a group it makes no
difference but of time.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from order_service import orders, set_statements
from order_service.orders import Beginning, PendingOrder, Recording, Settlement
from order_service.wire import Fate
from service_kit.bounded_pool import BoundedPool
from service_kit.group_commit import Bounds, Group

# A commit costs the same for a hundred; more would hold the counter's row for longer.
_TOGETHER_MAX = 100
# Ten commits' worth; whoever comes then is served better by coming back.
_QUEUE_MAX = 1_000


class Books:
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

    async def record(self, recording: Recording) -> PendingOrder:
        """As `orders.record`."""
        return await self._recording.put(recording)

    async def begin(self, beginning: Beginning) -> None:
        """As `orders.begin_attempt`."""
        await self._beginning.put(beginning)

    async def settle(self, settlement: Settlement) -> datetime | None:
        """As `orders.settle`, with the attempt that led to it."""
        return await self._settling.put(settlement)

    async def record_fate(self, order_id: UUID, fate: Fate) -> None:
        """As `orders.record_fate`."""
        await self._fates.put((order_id, fate))

    async def drain(self) -> None:
        """Returns when nothing is under way."""
        for group in (self._recording, self._beginning, self._settling, self._fates):
            await group.drain()

    async def _record_all(self, recordings: Sequence[Recording]) -> list[PendingOrder | Exception]:
        async with self._pool.connection() as connection:
            return await set_statements.record_all(
                connection, recordings, self._owner, self._lease_s, self._window_max
            )

    async def _record(self, recording: Recording) -> PendingOrder:
        async with self._pool.connection() as connection:
            return await orders.record(
                connection, recording, self._owner, self._lease_s, self._window_max
            )

    async def _begin_all(self, beginnings: Sequence[Beginning]) -> list[Exception | None]:
        async with self._pool.connection() as connection:
            return await set_statements.begin_attempts(
                connection, beginnings, self._owner, self._lease_s
            )

    async def _begin(self, beginning: Beginning) -> None:
        async with self._pool.connection() as connection:
            await orders.begin_attempt(
                connection, beginning.order_id, beginning.attempt, self._owner, self._lease_s
            )

    async def _settle_all(
        self, settlements: Sequence[Settlement]
    ) -> list[datetime | Exception | None]:
        async with self._pool.connection() as connection:
            return await set_statements.settle_all(connection, settlements)

    async def _settle(self, settlement: Settlement) -> datetime | None:
        async with self._pool.transaction() as connection:
            if settlement.attempt is not None:
                await orders.insert_attempt(connection, settlement.order_id, settlement.attempt)
            return await orders.settle(
                connection,
                settlement.order_id,
                settlement.status,
                settlement.answer,
                settlement.notification,
            )

    async def _record_fates(self, fates: Sequence[tuple[UUID, Fate]]) -> list[Exception | None]:
        async with self._pool.connection() as connection:
            return await set_statements.record_fates(connection, fates)

    async def _record_fate(self, fate: tuple[UUID, Fate]) -> None:
        async with self._pool.connection() as connection:
            await orders.record_fate(connection, *fate)
