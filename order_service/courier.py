"""Carries one order: sends its attempts, settles it by the answer, and tells the customer.

Guarantee: what billing answered is written down until it is there; only the one whose settling took effect notifies,
and it does so once. An order is called failed, declined or cancelled only when it is certain that nothing was withdrawn.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID, uuid4

import structlog

from billing_service.wire import Charge, Charged, Declined
from order_service import orders
from order_service.backoff import Backoff
from order_service.books import Books
from order_service.delivery import SEMANTICS
from order_service.metrics import Metrics
from order_service.orders import Beginning, LeaseLost, PendingOrder, Settlement
from order_service.outcomes import (
    CHARGED_OTHERWISE,
    DECLINED_UNNAMED,
    FORGOTTEN,
    KEY_OF_ANOTHER,
    VOIDED,
    Acknowledged,
    Outcome,
    Refused,
    Unknown,
    slug_of,
)
from order_service.peers import Peers, notification_of
from order_service.retry_budget import RetryBudget
from order_service.settings import Settings
from order_service.wire import Attempt, Delivery, Fate, Order, Status
from service_kit import telemetry
from service_kit.bounded_pool import BoundedPool, Connection, DatabaseTrouble, LockWaitTooLong

log = structlog.get_logger()
T = TypeVar("T")

# What only a caller can meet that was restored or cloned, or whose order was changed: the alarm of each answer.
_ALARMS = {
    KEY_OF_ANOTHER: "key_reused",
    CHARGED_OTHERWISE: "key_reused",
    FORGOTTEN: "key_forgotten",
}


@dataclass
class Surroundings:
    """What all deliveries of a process share. Time and chance are parameters.

    `first_incomplete` is what was read last; an old value is safe, it only keeps keys for longer.
    """

    pool: BoundedPool
    books: Books
    peers: Peers
    settings: Settings
    backoff: Backoff
    budget: RetryBudget
    metrics: Metrics
    sleep: Callable[[float], Awaitable[None]]
    clock: Callable[[], float]
    slots: asyncio.Semaphore
    stopping: asyncio.Event
    owner: UUID
    first_incomplete: int = 1


@dataclass
class Courier:
    """One order on its way: the steps of `delivery`, and what comes after them."""

    order: PendingOrder
    world: Surroundings
    attempts: list[Attempt] = field(default_factory=list)
    latest: Attempt | None = None
    # For what refusal the key is being voided, as long as the answer to that is not there.
    voiding_for: Refused | None = None
    troubles: int = 0

    async def deliver(self, settled: "asyncio.Future[Order | None]") -> None:
        """From the first attempt to the fate of the notification."""
        telemetry.begin_trace()
        try:
            if self.order.taken_over:
                await self._durably(self._record_the_dead_attempt)
            outcome = await SEMANTICS[self.order.delivery](self.order, self)
            await self.settle(outcome, settled)
        except LeaseLost:
            log.info("order left to another process", order_id=str(self.order.order_id))

    async def settle(
        self, outcome: Outcome, settled: "asyncio.Future[Order | None] | None" = None
    ) -> Order | None:
        """Settles by an outcome and notifies; None when somebody else has settled the order before."""
        order = await self._settle(outcome)
        if order is None:
            return None
        self._count(order)
        if settled is not None:
            settled.set_result(order)
        if order.notification is not None:
            await self._notify(order)
        return order

    async def send(self, attempt: int, sequence_key: int, *, retry: bool) -> Outcome:
        async with self.world.slots:
            started_s = self.world.clock()
            outcome = await self.world.peers.charge(
                charge_of(self.order),
                sequence_key,
                retry=retry,
                first_incomplete=self.world.first_incomplete,
            )
            seconds = self.world.clock() - started_s
        self.latest = Attempt(
            attempt=attempt,
            sequence_key=sequence_key,
            retry=retry,
            outcome=_name(outcome),
            caller_saw=outcome.caller_saw,
            seconds=round(seconds, 6),
        )
        self.attempts.append(self.latest)
        self.world.metrics.attempts.labels(
            outcome=_name(outcome), retry="yes" if retry else "no"
        ).inc()
        if isinstance(outcome, Acknowledged):
            self.world.budget.give()
        if isinstance(outcome, Unknown) and outcome.misdirected:
            self.world.metrics.alarms.labels(alarm="answer_misdirected").inc()
        self._log_attempt(self.latest)
        return outcome

    async def make_sure(self, sequence_key: int, refused: Refused) -> Outcome:
        match slug_of(refused.answer):
            case slug if slug == VOIDED:
                # By this courier, whose own voiding had no answer; or by a cancellation.
                return self.voiding_for or refused
            case slug if slug == FORGOTTEN:
                return refused
        found = await self.world.peers.void(charge_of(self.order), sequence_key)
        log.info(
            "made sure of a refusal",
            order_id=str(self.order.order_id),
            sequence_key=sequence_key,
            refused=refused.caller_saw,
            found=found.caller_saw,
        )
        shown = slug_of(found.answer) if isinstance(found, Refused) else ""
        if shown == VOIDED:
            return refused
        if shown == DECLINED_UNNAMED:
            # Not this order's, when billing has compared the payloads; else it is compared by sending it again.
            of_another = slug_of(refused.answer) == KEY_OF_ANOTHER
            return refused if of_another else Unknown(found.caller_saw)
        self.voiding_for = refused
        return found

    async def pause(self, attempt: int, outcome: Outcome) -> None:
        retry_after_s = outcome.retry_after_s if isinstance(outcome, Unknown) else 0.0
        await self._durably(self._record_the_latest_attempt)
        await self._sleep(self.world.backoff.pause_s(attempt, retry_after_s))
        await self._unless_stopping(self.world.budget.take())

    async def begin(self, attempt: int) -> None:
        beginning = Beginning(self.order.order_id, attempt)
        await self._until_written(lambda: self.world.books.begin(beginning))

    async def begin_with_fresh_key(self, attempt: int) -> int:
        return await self._durably(lambda connection: self._mint(connection, attempt))

    async def _mint(self, connection: Connection, attempt: int) -> int:
        begun, latest_key = await orders.lock_for_fresh_key(
            connection, self.order.order_id, self.world.owner
        )
        if begun >= attempt:
            # The commit of an earlier try came through although its answer was lost.
            return latest_key
        return await orders.mint_for_attempt(
            connection, self.order.order_id, attempt, self.world.settings.lease_s
        )

    async def _record_the_latest_attempt(self, connection: Connection) -> None:
        if self.latest is not None:
            await orders.insert_attempt(connection, self.order.order_id, self.latest)

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

    async def _settle(self, outcome: Outcome) -> Order | None:
        status, answer = final_state(outcome, self.order.delivery, doubtful=self._doubtful())
        fate = Fate.ATTEMPTED if status in (Status.BILLED, Status.DECLINED) else None
        settlement = Settlement(self.order.order_id, self.latest, status, answer, fate)
        settled_at = await self._until_written(lambda: self.world.books.settle(settlement))
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

    def _doubtful(self) -> bool:
        """Whether an attempt before the latest one may have been executed without anybody's knowing."""
        if self.order.taken_over or self.latest is None:
            return True
        return any(attempt.outcome == "unknown" for attempt in self.attempts[:-1])

    async def _notify(self, order: Order) -> None:
        notification = notification_of(
            uuid4(),
            order.order_id,
            order.customer,
            f"Your order of {order.item} is {order.status}.",
        )
        outcome = await self.world.peers.notify(notification)
        fate = Fate(_name(outcome))
        self.world.metrics.notifications.labels(fate=fate).inc()
        log.info("notified", order_id=str(order.order_id), fate=fate, caller_saw=outcome.caller_saw)
        await self._until_written(lambda: self.world.books.record_fate(order.order_id, fate))

    async def _durably(self, write: Callable[[Connection], Awaitable[T]]) -> T:
        """One transaction of this order's own, until it commits."""

        async def in_a_transaction() -> T:
            async with self.world.pool.transaction() as connection:
                return await write(connection)

        return await self._until_written(in_a_transaction)

    async def _until_written(self, write: Callable[[], Awaitable[T]]) -> T:
        """Again and again until it is committed: what was learned from billing must not be lost.

        Each `write` changes nothing when it is done twice, since a commit whose answer was lost is repeated too.
        """
        while True:
            try:
                return await write()
            except (DatabaseTrouble, LockWaitTooLong) as exc:
                self.troubles += 1
                log.warning(
                    "order cannot be written, again soon",
                    order_id=str(self.order.order_id),
                    reason=str(exc),
                )
                await self._sleep(self.world.backoff.pause_s(self.troubles))

    async def _sleep(self, seconds: float) -> None:
        await self._unless_stopping(self.world.sleep(seconds))

    async def _unless_stopping(self, waiting: Awaitable[None]) -> None:
        """Waits, or ends early with `LeaseLost` when the process stops: another one goes on."""
        over = asyncio.ensure_future(waiting)
        stopping = asyncio.ensure_future(self.world.stopping.wait())
        try:
            await asyncio.wait((over, stopping), return_when=asyncio.FIRST_COMPLETED)
            if self.world.stopping.is_set():
                raise LeaseLost
        finally:
            over.cancel()
            stopping.cancel()

    def _count(self, order: Order) -> None:
        metrics = self.world.metrics
        metrics.settled.labels(status=order.status).inc()
        if order.settled_at is not None:
            metrics.settle_seconds.observe((order.settled_at - order.created_at).total_seconds())
        alarm = _ALARMS.get(slug_of(order.answer))
        if alarm is not None:
            metrics.alarms.labels(alarm=alarm).inc()
            log.error(
                "billing knows this key otherwise: was this service restored or cloned?",
                order_id=str(order.order_id),
                sequence_key=order.sequence_key,
                alarm=alarm,
            )

    def _log_attempt(self, attempt: Attempt) -> None:
        log.info(
            "attempt",
            order_id=str(self.order.order_id),
            **attempt.model_dump(),
        )


def charge_of(order: PendingOrder) -> Charge:
    """What billing is asked for: the same in every attempt, because an order never changes."""
    return Charge(order_id=order.order_id, account=order.customer, amount_cents=order.amount_cents)


def final_state(
    outcome: Outcome, delivery: Delivery, *, doubtful: bool
) -> tuple[Status, dict[str, Any] | None]:
    """What an order's last outcome makes of it; `doubtful` when an attempt before it may have been executed."""
    # An attempt under a key of its own is answered for itself alone, and says nothing of those before.
    other_keys = doubtful and delivery is Delivery.AT_LEAST_ONCE
    match outcome:
        case Acknowledged(answer=Charged() as charged):
            return Status.BILLED, charged.model_dump(mode="json")
        case Acknowledged(answer=Declined() as declined):
            status = Status.UNKNOWN if other_keys else Status.DECLINED
            return status, declined.model_dump(mode="json")
        case Refused(answer=answer) if slug_of(answer) == CHARGED_OTHERWISE:
            # Money moved for this order, and not what it costs: a person has to look.
            return Status.UNKNOWN, answer
        case Refused(answer=answer) if answer and other_keys:
            return Status.UNKNOWN, answer
        case Refused(answer=answer) if slug_of(answer) == VOIDED:
            # Somebody cancelled, and had no time to write it down.
            return Status.CANCELLED, answer
        case Refused(answer=answer) if slug_of(answer) == FORGOTTEN and doubtful:
            # An attempt before may have been charged under this key: a fact that billing does not hold any more.
            return Status.UNKNOWN, answer
        case Refused(caller_saw=saw, answer=answer):
            return Status.FAILED, answer or {"detail": saw}
        case _:
            return Status.UNKNOWN, None


def _name(outcome: Outcome) -> str:
    return type(outcome).__name__.lower()
