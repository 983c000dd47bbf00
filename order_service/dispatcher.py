"""Carries every pending order on until there is an answer: its own, and those of dead processes.

Guarantee: an order that was recorded is settled as long as any replica lives and billing comes back; only the one
process whose settling took effect notifies, and it does so once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID, uuid4

import structlog

from billing_service.wire import Charge
from bounded_pool import BoundedPool, Connection, DatabaseTrouble, LockWaitTooLong
from order_service import orders
from order_service.backoff import Backoff
from order_service.delivery import SEMANTICS
from order_service.orders import LeaseLost, PendingOrder
from order_service.peers import Acknowledged, Outcome, Peers, Refused, Unknown, notification_of
from order_service.settings import Settings
from order_service.wire import Attempt, Delivery, Fate, Order, Status

log = structlog.get_logger()
T = TypeVar("T")

Sleep = Callable[[float], Awaitable[None]]
# Seconds on a clock that never goes back.
Clock = Callable[[], float]


@dataclass(frozen=True)
class Surroundings:
    """What a delivery needs of the world; time and chance are parameters."""

    pool: BoundedPool
    peers: Peers
    settings: Settings
    backoff: Backoff
    sleep: Sleep
    clock: Clock
    observe: Callable[[Outcome], None]


class Dispatcher:
    """All deliveries of one process."""

    def __init__(self, world: Surroundings) -> None:
        self._world = world
        self._owner = uuid4()
        self._running: dict[UUID, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(world.settings.attempts_in_flight_max)
        self._stopping = asyncio.Event()

    @property
    def owner(self) -> UUID:
        """The lease owner: another one for each process."""
        return self._owner

    @property
    def in_hand(self) -> int:
        """Orders that this process is delivering."""
        return len(self._running)

    def start(self, order: PendingOrder) -> "asyncio.Future[Order | None]":
        """Delivers in the background. The future holds the settled order, or None when another process has it now."""
        settled: asyncio.Future[Order | None] = asyncio.get_running_loop().create_future()
        delivery = _DeliveryOfOrder(order, self._owner, self._world, self._slots, self._stopping)
        task = asyncio.create_task(delivery.run(settled), name=f"deliver {order.order_id}")
        self._running[order.order_id] = task
        task.add_done_callback(lambda done: self._ended(order.order_id, done, settled))
        return settled

    async def wait(self, order_id: UUID, timeout_s: float) -> None:
        """Waits until this process has no more to do for an order, at most `timeout_s` seconds."""
        task = self._running.get(order_id)
        if task is not None:
            await asyncio.wait((task,), timeout=timeout_s)

    async def run(self) -> None:
        """Takes over orders of dead processes, again and again, until it is cancelled."""
        while True:
            try:
                taken = await self.run_once()
            except (DatabaseTrouble, LockWaitTooLong) as exc:
                log.warning("cannot look for orders to take over", reason=str(exc))
                taken = 0
            # A full batch means that there is more: go on at once, as far as there is room.
            if taken < self._room():
                await self._world.sleep(self._world.settings.takeover_poll_s)

    async def run_once(self) -> int:
        """One look; returns how many orders were taken over."""
        async with self._world.pool.connection() as connection:
            taken = await orders.take_over(
                connection, self._owner, self._world.settings.lease_s, self._room()
            )
        for order in taken:
            # An order of this very process, whose loop was slow: the lease is renewed, the loop goes on.
            if order.order_id not in self._running:
                log.info("order taken over", order_id=str(order.order_id), attempts=order.attempts)
                self.start(order)
        return len(taken)

    async def stop(self) -> None:
        """Lets attempts in flight end, begins no new ones, and leaves the rest to other processes."""
        self._stopping.set()
        if self._running:
            bound_s = self._world.settings.attempt_timeout_s * 2
            await asyncio.wait(list(self._running.values()), timeout=bound_s)
        for task in list(self._running.values()):
            task.cancel()
        try:
            async with self._world.pool.connection() as connection:
                await orders.release_leases(connection, self._owner)
        except (DatabaseTrouble, LockWaitTooLong) as exc:
            log.warning("leases were not released; they run out by themselves", reason=str(exc))

    def _room(self) -> int:
        return max(1, self._world.settings.attempts_in_flight_max - len(self._running))

    def _ended(
        self, order_id: UUID, task: asyncio.Task[None], settled: "asyncio.Future[Order | None]"
    ) -> None:
        self._running.pop(order_id, None)
        if not settled.done():
            settled.set_result(None)
        if not task.cancelled() and (exc := task.exception()) is not None:
            # A defect. The lease runs out and the order is taken over; nothing is lost.
            log.error("delivery failed", order_id=str(order_id), exc_info=exc)


@dataclass
class _DeliveryOfOrder:
    """One order on its way: the steps of `delivery`, and the settling."""

    order: PendingOrder
    owner: UUID
    world: Surroundings
    slots: asyncio.Semaphore
    stopping: asyncio.Event
    attempts: list[Attempt] = field(default_factory=list)
    latest: Attempt | None = None
    troubles: int = 0

    async def run(self, settled: "asyncio.Future[Order | None]") -> None:
        try:
            if self.order.taken_over:
                await self._durably(self._record_the_dead_attempt)
            outcome = await SEMANTICS[self.order.delivery](self.order, self)
            order = await self._durably(lambda connection: self._settle(connection, outcome))
            if order is None:
                return
            settled.set_result(order)
            if order.notification is not None:
                await self._notify(order)
        except LeaseLost:
            return

    async def send(self, attempt: int, sequence_key: int, *, retry: bool) -> Outcome:
        charge = Charge(
            order_id=self.order.order_id,
            account=self.order.customer,
            amount_cents=self.order.amount_cents,
        )
        async with self.slots:
            started_s = self.world.clock()
            outcome = await self.world.peers.charge(charge, sequence_key, retry=retry)
            seconds = self.world.clock() - started_s
        self.world.observe(outcome)
        self.latest = Attempt(
            attempt=attempt,
            sequence_key=sequence_key,
            retry=retry,
            outcome=type(outcome).__name__.lower(),
            caller_saw=outcome.caller_saw,
            seconds=round(seconds, 6),
        )
        self.attempts.append(self.latest)
        return outcome

    async def pause(
        self, attempt: int, sequence_key: int, *, retry: bool, outcome: Outcome
    ) -> None:
        retry_after_s = outcome.retry_after_s if isinstance(outcome, Unknown) else 0.0
        pause_s = self.world.backoff.pause_s(attempt, retry_after_s)
        await self._durably(lambda connection: self._record_and_hold(connection, pause_s))
        log.info(
            "attempt has no answer",
            order_id=str(self.order.order_id),
            sequence_key=sequence_key,
            attempt=attempt,
            retry=retry,
            outcome=type(outcome).__name__.lower(),
            caller_saw=outcome.caller_saw,
            pause_s=round(pause_s, 3),
        )
        await self._sleep(pause_s)

    async def begin(self, attempt: int) -> None:
        await self._durably(
            lambda connection: orders.begin_attempt(
                connection, self.order.order_id, attempt, self.owner, self.world.settings.lease_s
            )
        )

    async def begin_with_fresh_key(self, attempt: int) -> int:
        return await self._durably(lambda connection: self._mint(connection, attempt))

    async def _mint(self, connection: Connection, attempt: int) -> int:
        begun, latest_key = await orders.lock_for_fresh_key(
            connection, self.order.order_id, self.owner
        )
        if begun >= attempt:
            # The commit of an earlier try came through although its answer was lost.
            return latest_key
        return await orders.mint_for_attempt(
            connection, self.order.order_id, attempt, self.world.settings.lease_s
        )

    async def _record_and_hold(self, connection: Connection, pause_s: float) -> None:
        if self.latest is not None:
            await orders.insert_attempt(connection, self.order.order_id, self.latest)
        await orders.extend_lease(
            connection, self.order.order_id, self.owner, pause_s + self.world.settings.lease_s
        )

    async def _record_the_dead_attempt(self, connection: Connection) -> None:
        await orders.insert_attempt(
            connection,
            self.order.order_id,
            Attempt(
                attempt=self.order.attempts,
                sequence_key=self.order.sequence_key,
                retry=self.order.attempts > 1 and self.order.delivery is Delivery.EXACTLY_ONCE,
                outcome="unknown",
                caller_saw="nothing: the process died",
                seconds=0.0,
            ),
        )

    async def _settle(self, connection: Connection, outcome: Outcome) -> Order | None:
        status, answer = _final_state(outcome)
        fate = Fate.ATTEMPTED if status in (Status.BILLED, Status.DECLINED) else None
        if self.latest is not None:
            await orders.insert_attempt(connection, self.order.order_id, self.latest)
        settled_at = await orders.settle(connection, self.order.order_id, status, answer, fate)
        if settled_at is None:
            return None
        return Order(
            order_id=self.order.order_id,
            customer=self.order.customer,
            item=self.order.item,
            amount_cents=self.order.amount_cents,
            delivery=self.order.delivery,
            status=status,
            sequence_key=self.latest.sequence_key if self.latest else self.order.sequence_key,
            attempts=self.attempts,
            answer=answer,
            notification=fate,
            created_at=self.order.created_at,
            settled_at=settled_at,
        )

    async def _notify(self, order: Order) -> None:
        notification = notification_of(
            uuid4(),
            order.order_id,
            order.customer,
            f"Your order of {order.item} is {order.status}.",
        )
        outcome = await self.world.peers.notify(notification)
        fate = Fate(type(outcome).__name__.lower())
        log.info("notified", order_id=str(order.order_id), fate=fate, caller_saw=outcome.caller_saw)
        await self._durably(lambda connection: orders.record_fate(connection, order.order_id, fate))

    async def _durably(self, write: Callable[[Connection], Awaitable[T]]) -> T:
        """One transaction, again and again until it commits: what was learned from billing must not be lost.

        Each `write` changes nothing when it is done twice, since a commit whose answer was lost is repeated too.
        """
        while True:
            try:
                async with self.world.pool.transaction() as connection:
                    return await write(connection)
            except (DatabaseTrouble, LockWaitTooLong) as exc:
                self.troubles += 1
                log.warning(
                    "order cannot be written, again soon",
                    order_id=str(self.order.order_id),
                    reason=str(exc),
                )
                await self._sleep(self.world.backoff.pause_s(self.troubles))

    async def _sleep(self, seconds: float) -> None:
        """Ends early with `LeaseLost` when the process stops: another one goes on."""
        sleeping = asyncio.ensure_future(self.world.sleep(seconds))
        stopping = asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait((sleeping, stopping), return_when=asyncio.FIRST_COMPLETED)
            if self.stopping.is_set():
                raise LeaseLost
        finally:
            sleeping.cancel()
            stopping.cancel()


def _final_state(outcome: Outcome) -> tuple[Status, dict[str, Any] | None]:
    match outcome:
        case Acknowledged(status=201, answer=answer):
            return Status.BILLED, answer
        case Acknowledged(answer=answer):
            return Status.DECLINED, answer
        case Refused(caller_saw=saw, answer=answer):
            return Status.FAILED, answer or {"detail": saw}
        case Unknown():
            return Status.UNKNOWN, None
