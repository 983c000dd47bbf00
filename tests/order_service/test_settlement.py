"""What an outcome makes of an order, and when the customer is notified."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import structlog

import billing_service.wire
from order_service import outcomes, settlement
from order_service.attempts import Attempts, charge_of
from order_service.metrics import Metrics
from order_service.orders import PendingOrder, Settlement
from order_service.outcomes import (
    CHARGED_OTHERWISE,
    FORGOTTEN,
    KEY_OF_ANOTHER,
    Outcome,
)
from order_service.settlement import final_state, settle
from order_service.wire import Delivery, Order, Status
from order_service.writing import GroupedWrites
from service_kit.bounded_pool import DatabaseTrouble, LockWaitTooLong
from tests.order_service.replica import (
    DECLINED,
    LOST,
    NO_ACCOUNT,
    UNREACHABLE,
    VOIDED,
    Replica,
    charged,
    refused,
    running,
    until,
)


@pytest.fixture
async def replica(database: Any) -> AsyncIterator[Replica]:
    async with running(database) as replica:
        yield replica


@pytest.fixture
async def owner(database: Any) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database.owner)
    yield connection
    await connection.close()


async def test_the_customer_does_not_wait_for_the_notification(
    replica: Replica, owner: Any
) -> None:
    """The order is settled, and marked as attempted, before the notification is sent."""
    replica.peers.notifying.clear()
    order = await replica.recorded()
    settled = replica.dispatcher.start(order)
    async with asyncio.timeout(60):
        assert (await settled) is not None
        await replica.dispatcher.wait(order.order_id, 20.0)
    await until(lambda: bool(replica.peers.notified), lambda: owner.fetchval("SELECT 1"))
    assert await owner.fetchval("SELECT notification FROM orders.orders") == "attempted"
    assert replica.dispatcher.in_hand == 1
    replica.peers.notifying.set()
    await until(lambda: not replica.dispatcher.in_hand, lambda: owner.fetchval("SELECT 1"))
    assert await owner.fetchval("SELECT notification FROM orders.orders") == "acknowledged"


async def test_a_second_settlement_sends_no_notification(replica: Replica, owner: Any) -> None:
    """Two deliveries hold an answer: one settles and notifies, the other changes and sends nothing."""
    order = await replica.recorded()
    deliveries = [Attempts(order, replica.context) for _ in range(2)]
    outcome = charged(charge_of(order))
    settled = await asyncio.gather(*(settle(attempts, outcome) for attempts in deliveries))
    assert sorted(each is None for each in settled) == [False, True]
    assert replica.peers.notified == [order.order_id]
    assert await owner.fetchval("SELECT status FROM orders.orders") == Status.BILLED


@pytest.mark.parametrize("trouble", [DatabaseTrouble, LockWaitTooLong])
async def test_an_answer_is_kept_until_it_is_written_down(
    replica: Replica, monkeypatch: pytest.MonkeyPatch, trouble: type[Exception]
) -> None:
    """The database is away when the answer comes: nothing is sent again, and pauses grow until it is back."""
    settle, failures = GroupedWrites.settle, [trouble("away")] * 4

    async def fails_at_first(self: GroupedWrites, settlement: Settlement) -> Any:
        if failures:
            raise failures.pop()
        return await settle(self, settlement)

    monkeypatch.setattr(GroupedWrites, "settle", fails_at_first)
    order = await replica.delivered(await replica.recorded())
    assert order is not None
    assert order.status is Status.BILLED
    assert len(replica.peers.sent) == 1
    assert replica.slept_s == [0.1, 0.2, 0.4, 0.8]


@pytest.mark.parametrize(
    ("before", "last", "status"),
    [
        (LOST, NO_ACCOUNT, Status.UNKNOWN),
        (LOST, DECLINED, Status.UNKNOWN),
        (LOST, refused(KEY_OF_ANOTHER), Status.UNKNOWN),
        (UNREACHABLE, NO_ACCOUNT, Status.FAILED),
        (UNREACHABLE, DECLINED, Status.DECLINED),
    ],
)
async def test_at_least_once_is_not_certain_of_the_keys_before(
    replica: Replica, before: Outcome, last: Outcome, status: Status
) -> None:
    """Each attempt had a key of its own: what the last one was answered says nothing of one that was lost."""
    replica.peers.charges = [before, last]
    order = await replica.delivered(await replica.recorded(Delivery.AT_LEAST_ONCE))
    assert order is not None
    assert order.status is status
    assert replica.peers.voided == []


@pytest.mark.parametrize(
    ("outcome", "doubtful", "status"),
    [
        (DECLINED, True, Status.DECLINED),
        (NO_ACCOUNT, True, Status.FAILED),
        (refused(KEY_OF_ANOTHER), True, Status.FAILED),
        (refused(CHARGED_OTHERWISE), False, Status.UNKNOWN),
        (refused(CHARGED_OTHERWISE), True, Status.UNKNOWN),
        (refused(FORGOTTEN), False, Status.FAILED),
        (refused(FORGOTTEN), True, Status.UNKNOWN),
        (VOIDED, False, Status.CANCELLED),
        (VOIDED, True, Status.CANCELLED),
        (UNREACHABLE, False, Status.FAILED),
        (LOST, False, Status.UNKNOWN),
    ],
)
def test_what_an_outcome_makes_of_an_order(
    outcome: Outcome, doubtful: bool, status: Status
) -> None:
    """Failed, declined and cancelled mean that it is certain that nothing was withdrawn."""
    assert final_state(outcome, Delivery.EXACTLY_ONCE, doubtful=doubtful)[0] is status


@pytest.mark.parametrize(
    ("outcome", "answer"),
    [
        (NO_ACCOUNT, NO_ACCOUNT.answer),
        (VOIDED, VOIDED.answer),
        (refused(CHARGED_OTHERWISE), refused(CHARGED_OTHERWISE).answer),
        (UNREACHABLE, {"detail": UNREACHABLE.caller_saw}),
        (LOST, None),
    ],
)
def test_the_answer_that_an_order_keeps(outcome: Outcome, answer: dict[str, Any] | None) -> None:
    """Billing's own; without one, what the caller saw when billing was certainly not asked, and nothing when that is unknown."""
    assert final_state(outcome, Delivery.EXACTLY_ONCE, doubtful=False)[1] == answer


@pytest.mark.parametrize(
    ("before", "status"),
    [
        ([], Status.FAILED),
        ([UNREACHABLE], Status.FAILED),
        ([LOST], Status.UNKNOWN),
        ([LOST, UNREACHABLE], Status.UNKNOWN),
    ],
    ids=str,
)
async def test_a_forgotten_key_after_other_attempts(
    replica: Replica, before: list[Outcome], status: Status
) -> None:
    """Nothing was withdrawn only when no attempt before can have arrived."""
    replica.peers.charges = [*before, refused(FORGOTTEN)]
    order = await replica.delivered(await replica.recorded())
    assert order is not None
    assert order.status is status


async def test_a_forgotten_key_after_a_takeover(replica: Replica) -> None:
    """The dead process may have sent what was charged and forgotten."""
    replica.peers.charges = [refused(FORGOTTEN)]
    taken: PendingOrder = replace(await replica.recorded(), taken_over=True)
    order = await replica.delivered(taken)
    assert order is not None
    assert order.status is Status.UNKNOWN


def test_the_names_are_those_of_billing() -> None:
    """What an order concludes from a refusal rests on a problem that billing gives."""
    refusals = {*billing_service.wire.REFUSALS, *billing_service.wire.KEY_EXECUTED}
    assert {outcomes.VOIDED, KEY_OF_ANOTHER, CHARGED_OTHERWISE, FORGOTTEN} <= refusals
    assert outcomes.ACCOUNT_UNKNOWN in refusals
    # Given to a decline here, because billing did not name its order.
    assert outcomes.DECLINED_UNNAMED not in refusals


def settled(status: Status, answer: dict[str, Any] | None = None) -> Order:
    """An order that was settled two and a half seconds after it was recorded."""
    recorded_at = datetime(2026, 1, 1, tzinfo=UTC)
    return Order(
        order_id=UUID(int=1),
        customer="alice",
        item="book",
        amount_cents=5,
        delivery=Delivery.EXACTLY_ONCE,
        status=status,
        sequence_key=7,
        attempts=[],
        answer=answer,
        notification=None,
        created_at=recorded_at,
        settled_at=recorded_at + timedelta(seconds=2.5),
    )


@pytest.mark.parametrize(
    ("status", "slug", "alarm"),
    [
        (Status.BILLED, None, None),
        (Status.DECLINED, "insufficient-funds", None),
        (Status.FAILED, KEY_OF_ANOTHER, "key_reused"),
        (Status.UNKNOWN, CHARGED_OTHERWISE, "key_reused"),
        (Status.UNKNOWN, FORGOTTEN, "key_forgotten"),
    ],
)
def test_what_is_counted(status: Status, slug: str | None, alarm: str | None) -> None:
    """The order by its state, the seconds that it took, and an alarm, which is logged too, for what only a restored caller meets."""
    metrics = Metrics()
    answer = None if slug is None else {"type": f"/problems/{slug}"}
    with structlog.testing.capture_logs() as lines:
        settlement._count(settled(status, answer), metrics)
    counted = {
        (sample.name, *sample.labels.values()): sample.value
        for metric in metrics.registry.collect()
        for sample in metric.samples
        if sample.name.endswith(("_total", "_sum")) and sample.value
    }
    expected = {("order_settled_total", status.value): 1.0, ("order_settle_seconds_sum",): 2.5}
    if alarm is None:
        assert (counted, lines) == (expected, [])
        return
    assert counted == {**expected, ("order_alarms_total", alarm): 1.0}
    (line,) = lines
    assert line.pop("event").startswith("billing knows this key for something else")
    order = {"order_id": str(UUID(int=1)), "sequence_key": 7}
    assert line == {"log_level": "error", "alarm": alarm, **order}
