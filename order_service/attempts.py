"""The attempts of one order: sends each, records how it ended, and pauses before the next one.

Guarantee: an attempt is begun in the database before it is sent, and its outcome is recorded before the next one begins. A
refusal becomes final only when its key was voided or its outcome is known.
"""

import structlog

from billing_service.wire import Charge
from order_service.context import DeliveryContext
from order_service.orders import Beginning, PendingOrder
from order_service.outcomes import (
    DECLINED_UNNAMED,
    FORGOTTEN,
    KEY_OF_ANOTHER,
    VOIDED,
    Acknowledged,
    Outcome,
    Refused,
    Unknown,
    name_of,
    slug_of,
)
from order_service.statements.attempts import insert_attempt, lock_for_fresh_key, mint_for_attempt
from order_service.wire import Attempt, Delivery
from order_service.writing import unless_stopping
from service_kit.bounded_pool import Connection

log = structlog.get_logger()


class Attempts:
    """The attempts of one order in this process; they are the `Steps` of `delivery`."""

    def __init__(self, order: PendingOrder, context: DeliveryContext) -> None:
        self.order = order
        self.context = context
        self.writes = context.until_written(order.order_id)
        self.sent: list[Attempt] = []
        # The refusal for which the key is being voided, until billing has answered the voiding.
        self._voiding_for: Refused | None = None

    @property
    def latest(self) -> Attempt | None:
        """The attempt that was sent last; None before the first one."""
        return self.sent[-1] if self.sent else None

    async def send(self, attempt: int, sequence_key: int, *, retry: bool) -> Outcome:
        async with self.context.slots:
            started_s = self.context.clock()
            outcome = await self.context.peers.charge(
                charge_of(self.order),
                sequence_key,
                retry=retry,
                first_incomplete=self.context.first_incomplete,
            )
            seconds = self.context.clock() - started_s
        ended = Attempt(
            attempt=attempt,
            sequence_key=sequence_key,
            retry=retry,
            outcome=name_of(outcome),
            caller_saw=outcome.caller_saw,
            seconds=round(seconds, 6),
        )
        self.sent.append(ended)
        self._count(ended, outcome)
        log.info("attempt", order_id=str(self.order.order_id), **ended.model_dump())
        return outcome

    async def make_sure(self, sequence_key: int, refused: Refused) -> Outcome:
        match slug_of(refused.answer):
            case slug if slug == VOIDED:
                # Voided by this delivery, whose own voiding had no answer; or by a cancellation.
                return self._voiding_for or refused
            case slug if slug == FORGOTTEN:
                return refused
        found = await self.context.peers.void(charge_of(self.order), sequence_key)
        log.info(
            "key voided after a refusal",
            order_id=str(self.order.order_id),
            sequence_key=sequence_key,
            refused=refused.caller_saw,
            found=found.caller_saw,
        )
        shown = slug_of(found.answer) if isinstance(found, Refused) else ""
        if shown == VOIDED:
            return refused
        if shown == DECLINED_UNNAMED:
            # When billing has compared the payloads, the decline is another order's. Else send again: billing compares then.
            of_another = slug_of(refused.answer) == KEY_OF_ANOTHER
            return refused if of_another else Unknown(found.caller_saw)
        self._voiding_for = refused
        return found

    async def pause(self, attempt: int, outcome: Outcome) -> None:
        retry_after_s = outcome.retry_after_s if isinstance(outcome, Unknown) else 0.0
        await self.writes.transact(self._record_latest)
        pause_s = self.context.backoff.pause_s(attempt, retry_after_s)
        await unless_stopping(self.context.stopping, self.context.sleep(pause_s))
        await unless_stopping(self.context.stopping, self.context.budget.take())

    async def begin(self, attempt: int) -> None:
        beginning = Beginning(self.order.order_id, attempt)
        await self.writes.repeat(lambda: self.context.writes.begin(beginning))

    async def begin_with_fresh_key(self, attempt: int) -> int:
        return await self.writes.transact(lambda connection: self._mint(connection, attempt))

    async def record_unknown(self) -> None:
        """Records the attempt of a process that died: whether it was sent is unknown."""
        unknown = Attempt(
            attempt=self.order.attempts,
            sequence_key=self.order.sequence_key,
            retry=self.order.attempts > 1 and self.order.delivery is Delivery.EXACTLY_ONCE,
            outcome="unknown",
            caller_saw="nothing: the process died",
            seconds=0.0,
        )
        await self.writes.transact(
            lambda connection: insert_attempt(connection, self.order.order_id, unknown)
        )

    def an_earlier_one_may_be_executed(self) -> bool:
        """Whether an attempt before the latest one may have been executed without an answer."""
        if self.order.taken_over or self.latest is None:
            return True
        return any(attempt.outcome == "unknown" for attempt in self.sent[:-1])

    async def _mint(self, connection: Connection, attempt: int) -> int:
        order_id = self.order.order_id
        begun, latest_key = await lock_for_fresh_key(connection, order_id, self.context.owner)
        if begun >= attempt:
            # An earlier try was committed although its answer was lost.
            return latest_key
        return await mint_for_attempt(connection, order_id, attempt, self.context.settings.lease_s)

    async def _record_latest(self, connection: Connection) -> None:
        if self.latest is not None:
            await insert_attempt(connection, self.order.order_id, self.latest)

    def _count(self, ended: Attempt, outcome: Outcome) -> None:
        metrics = self.context.metrics
        metrics.attempts.labels(outcome=ended.outcome, retry="yes" if ended.retry else "no").inc()
        if isinstance(outcome, Acknowledged):
            self.context.budget.give()
        if isinstance(outcome, Unknown) and outcome.misdirected:
            metrics.alarms.labels(alarm="answer_misdirected").inc()


def charge_of(order: PendingOrder) -> Charge:
    """What billing is asked for: the same in every attempt, because an order never changes."""
    return Charge(order_id=order.order_id, account=order.customer, amount_cents=order.amount_cents)
