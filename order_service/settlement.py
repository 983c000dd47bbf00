"""Settles an order by the outcome of its delivery, and notifies the customer.

Guarantee: the outcome is written until it is committed; only the settlement that took effect notifies, and it does so once.
An order is called failed, declined or cancelled only when it is certain that nothing was withdrawn.
"""

import asyncio
from typing import Any
from uuid import uuid4

import structlog

from billing_service.wire import Charged, Declined
from order_service.attempts import Attempts
from order_service.metrics import Metrics
from order_service.orders import Settlement
from order_service.outcomes import (
    CHARGED_OTHERWISE,
    FORGOTTEN,
    KEY_OF_ANOTHER,
    VOIDED,
    Acknowledged,
    Outcome,
    Refused,
    name_of,
    slug_of,
)
from order_service.peers import notification_of
from order_service.wire import Delivery, Fate, Order, Status

log = structlog.get_logger()

# Answers that only a caller meets that was restored or cloned, or whose order was changed: the alarm of each.
_ALARMS = {
    KEY_OF_ANOTHER: "key_reused",
    CHARGED_OTHERWISE: "key_reused",
    FORGOTTEN: "key_forgotten",
}


async def settle(
    attempts: Attempts, outcome: Outcome, settled: "asyncio.Future[Order | None] | None" = None
) -> Order | None:
    """Settles by an outcome and notifies; None when the order was settled before, and then nothing is sent.

    `settled` gets the order before the notification is sent: the customer does not wait for it.
    """
    order = await write_settlement(attempts, outcome)
    if order is None:
        return None
    _count(order, attempts.context.metrics)
    if settled is not None:
        settled.set_result(order)
    if order.notification is not None:
        await _notify(order, attempts)
    return order


async def write_settlement(attempts: Attempts, outcome: Outcome) -> Order | None:
    """Commits the final state, and the mark that a notification is attempted; None when the order was settled before."""
    order, latest = attempts.order, attempts.latest
    doubtful = attempts.an_earlier_one_may_be_executed()
    status, answer = final_state(outcome, order.delivery, doubtful=doubtful)
    fate = Fate.ATTEMPTED if status in (Status.BILLED, Status.DECLINED) else None
    settlement = Settlement(order.order_id, latest, status, answer, fate)
    settled_at = await attempts.writes.repeat(lambda: attempts.context.writes.settle(settlement))
    if settled_at is None:
        return None
    return Order(
        order_id=order.order_id,
        customer=order.customer,
        item=order.item,
        amount_cents=order.amount_cents,
        delivery=order.delivery,
        status=status,
        sequence_key=latest.sequence_key if latest else order.sequence_key,
        attempts=attempts.sent,
        answer=answer,
        notification=fate,
        created_at=order.created_at,
        settled_at=settled_at,
    )


def final_state(
    outcome: Outcome, delivery: Delivery, *, doubtful: bool
) -> tuple[Status, dict[str, Any] | None]:
    """What an order's last outcome makes of it; `doubtful` when an attempt before it may have been executed."""
    # An attempt under a key of its own is answered for itself alone: the answer says nothing of the attempts before it.
    other_keys = doubtful and delivery is Delivery.AT_LEAST_ONCE
    match outcome:
        case Acknowledged(answer=Charged() as charged):
            return Status.BILLED, charged.model_dump(mode="json")
        case Acknowledged(answer=Declined() as declined):
            status = Status.UNKNOWN if other_keys else Status.DECLINED
            return status, declined.model_dump(mode="json")
        case Refused(answer=answer) if slug_of(answer) == CHARGED_OTHERWISE:
            # Money moved for this order, and not the amount that it costs: a person has to look.
            return Status.UNKNOWN, answer
        case Refused(answer=answer) if answer and other_keys:
            return Status.UNKNOWN, answer
        case Refused(answer=answer) if slug_of(answer) == VOIDED:
            # A cancellation voided the key, and its process died before it settled the order.
            return Status.CANCELLED, answer
        case Refused(answer=answer) if slug_of(answer) == FORGOTTEN and doubtful:
            # An earlier attempt may have been charged under this key, and billing does not hold that fact any more.
            return Status.UNKNOWN, answer
        case Refused(caller_saw=saw, answer=answer):
            return Status.FAILED, answer or {"detail": saw}
        case _:
            return Status.UNKNOWN, None


async def _notify(order: Order, attempts: Attempts) -> None:
    context = attempts.context
    text = f"Your order of {order.item} is {order.status}."
    notification = notification_of(uuid4(), order.order_id, order.customer, text)
    outcome = await context.peers.notify(notification)
    fate = Fate(name_of(outcome))
    context.metrics.notifications.labels(fate=fate).inc()
    log.info("notified", order_id=str(order.order_id), fate=fate, caller_saw=outcome.caller_saw)
    await attempts.writes.repeat(lambda: context.writes.record_fate(order.order_id, fate))


def _count(order: Order, metrics: Metrics) -> None:
    metrics.settled.labels(status=order.status).inc()
    if order.settled_at is not None:
        metrics.settle_seconds.observe((order.settled_at - order.created_at).total_seconds())
    alarm = _ALARMS.get(slug_of(order.answer))
    if alarm is not None:
        metrics.alarms.labels(alarm=alarm).inc()
        log.error(
            "billing knows this key for something else: was this service restored or cloned?",
            order_id=str(order.order_id),
            sequence_key=order.sequence_key,
            alarm=alarm,
        )
