"""One order from its first attempt to the fate of its notification."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from billing_service.wire import Declined
from order_service.books import Books
from order_service.courier import Courier, charge_of, final_state
from order_service.orders import PendingOrder, Settlement
from order_service.outcomes import (
    CHARGED_OTHERWISE,
    DECLINED_UNNAMED,
    FORGOTTEN,
    KEY_OF_ANOTHER,
    Acknowledged,
    Outcome,
    Refused,
    Unknown,
)
from order_service.wire import Delivery, Status
from service_kit.bounded_pool import DatabaseTrouble, LockWaitTooLong
from tests.order_service.replica import (
    LOST,
    NO_ACCOUNT,
    UNREACHABLE,
    VOIDED,
    Replica,
    charged,
    running,
    until,
)

DECLINED = Acknowledged(
    "HTTP 402",
    Declined(
        type="/problems/insufficient-funds",
        title="t",
        status=402,
        detail="d",
        order_id=UUID(int=1),
        account="alice",
        amount_cents=5,
        balance_cents=0,
    ),
)


def refused(slug: str) -> Refused:
    return Refused(f"HTTP 4xx {slug}", {"type": slug})


@pytest.fixture
async def replica(database: Any) -> AsyncIterator[Replica]:
    async with running(database) as replica:
        yield replica


@pytest.fixture
async def owner(database: Any) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database.owner)
    yield connection
    await connection.close()


@pytest.mark.parametrize("outcome", [LOST, UNREACHABLE, Unknown("HTTP 503 unavailable")])
async def test_every_attempt_without_an_answer_is_followed_by_a_pause(
    replica: Replica, outcome: Outcome
) -> None:
    """Exponential, and with a token of the budget; a refused connection is no reason to hurry."""
    replica.peers.charges = [outcome] * 5
    order = await replica.delivered(await replica.recorded())
    assert order is not None
    assert order.status is Status.BILLED
    assert replica.slept_s == [0.1, 0.2, 0.4, 0.8, 1.0]
    assert replica.budget.asked == 5
    assert [retry for _, _, retry in replica.peers.sent] == [False] + [True] * 5


@pytest.mark.parametrize(("wish_s", "slept_s"), [(3.0, 3.1), (60.0, 5.1)])
async def test_the_peers_wish_is_honoured(replica: Replica, wish_s: float, slept_s: float) -> None:
    """Retry-After, up to its maximum, and the pause on top of it."""
    replica.peers.charges = [Unknown("HTTP 503 unavailable", wish_s)]
    await replica.delivered(await replica.recorded())
    assert replica.slept_s == [pytest.approx(slept_s)]


@pytest.mark.parametrize("outcome", [LOST, UNREACHABLE])
async def test_a_retry_waits_for_its_token(database: Any, owner: Any, outcome: Outcome) -> None:
    """With two tokens there are two retries, however the attempts ended; the next one goes when time has brought one."""
    async with running(database, retry_budget=2, retry_refill_per_s=4.0) as replica:
        replica.peers.charges = [outcome] * 3
        delivering = asyncio.create_task(replica.delivered(await replica.recorded()))
        await until(lambda: bool(replica.calls), lambda: owner.fetchval("SELECT 1"))
        assert len(replica.peers.sent) == 3
        ((delay_s, _),) = replica.calls
        assert delay_s == 0.25
        replica.budget.give()
        assert await delivering is not None
        assert len(replica.peers.sent) == 4


@pytest.mark.parametrize(
    ("outcome", "given"), [(DECLINED, 1), (NO_ACCOUNT, 0), (LOST, 0), (UNREACHABLE, 0)]
)
async def test_only_an_answer_gives_tokens(replica: Replica, outcome: Outcome, given: int) -> None:
    """Billing can bear more when it has answered a charge, and not when nothing or a refusal came."""
    replica.peers.charges = [outcome]
    await replica.delivered(await replica.recorded(Delivery.AT_MOST_ONCE))
    assert replica.budget.given == given


async def test_the_customer_does_not_wait_for_the_notification(
    replica: Replica, owner: Any
) -> None:
    """The order is settled, and marked as attempted, before the notification is sent."""
    replica.peers.notifying.clear()
    order = await replica.recorded()
    settled = replica.dispatcher.start(order)
    async with asyncio.timeout(20):
        assert (await settled) is not None
        await replica.dispatcher.wait(order.order_id, 20.0)
    await until(lambda: bool(replica.peers.notified), lambda: owner.fetchval("SELECT 1"))
    assert await owner.fetchval("SELECT notification FROM orders.orders") == "attempted"
    assert replica.dispatcher.in_hand == 1
    replica.peers.notifying.set()
    await until(lambda: not replica.dispatcher.in_hand, lambda: owner.fetchval("SELECT 1"))
    assert await owner.fetchval("SELECT notification FROM orders.orders") == "acknowledged"


async def test_who_settles_second_tells_nobody(replica: Replica, owner: Any) -> None:
    """Two that hold an answer: one settles and notifies, the other one changes and sends nothing."""
    order = await replica.recorded()
    couriers = [Courier(order, replica.surroundings) for _ in range(2)]
    outcome = charged(charge_of(order))
    settled = await asyncio.gather(*(courier.settle(outcome) for courier in couriers))
    assert sorted(each is None for each in settled) == [False, True]
    assert replica.peers.notified == [order.order_id]
    assert await owner.fetchval("SELECT status FROM orders.orders") == Status.BILLED


@pytest.mark.parametrize("trouble", [DatabaseTrouble, LockWaitTooLong])
async def test_an_answer_is_kept_until_it_is_written_down(
    replica: Replica, monkeypatch: pytest.MonkeyPatch, trouble: type[Exception]
) -> None:
    """The database is away when the answer comes: nothing is sent again, and pauses grow until it is back."""
    settle, failures = Books.settle, [trouble("away")] * 4

    async def fails_at_first(self: Books, settlement: Settlement) -> Any:
        if failures:
            raise failures.pop()
        return await settle(self, settlement)

    monkeypatch.setattr(Books, "settle", fails_at_first)
    order = await replica.delivered(await replica.recorded())
    assert order is not None
    assert order.status is Status.BILLED
    assert len(replica.peers.sent) == 1
    assert replica.slept_s == [0.1, 0.2, 0.4, 0.8]


async def test_nothing_is_sent_by_a_process_that_stops(replica: Replica, owner: Any) -> None:
    """The attempt in flight was its last one: the order stays pending, for another process."""
    replica.peers.charges = [LOST]
    replica.peers.charging.clear()
    order = await replica.recorded()
    delivering = asyncio.create_task(replica.delivered(order))
    await until(lambda: bool(replica.peers.sent), lambda: owner.fetchval("SELECT 1"))
    replica.surroundings.stopping.set()
    replica.peers.charging.set()
    assert await delivering is None
    assert len(replica.peers.sent) == 1
    assert await owner.fetchval("SELECT status FROM orders.orders") == "pending"


async def test_no_more_attempts_at_one_time_than_there_are_slots(database: Any, owner: Any) -> None:
    """The third waits until one of two is answered."""
    async with running(database, attempts_in_flight_max=2) as replica:
        replica.peers.charging.clear()
        orders = [await replica.recorded() for _ in range(3)]
        for order in orders:
            replica.dispatcher.start(order)
        await until(lambda: len(replica.peers.sent) == 2, lambda: owner.fetchval("SELECT 1"))
        for _ in range(10):
            await owner.fetchval("SELECT 1")
        assert len(replica.peers.sent) == 2
        replica.peers.charging.set()
        await until(lambda: len(replica.peers.sent) == 3, lambda: owner.fetchval("SELECT 1"))


async def test_an_attempt_carries_the_mark_of_its_process(replica: Replica) -> None:
    """What was read last."""
    replica.surroundings.first_incomplete = 7
    await replica.delivered(await replica.recorded())
    assert replica.peers.marks_sent == [7]


async def test_a_refusal_that_was_made_sure_of_keeps_its_reason(replica: Replica) -> None:
    """The customer learns why billing refused, and not that a key was voided."""
    replica.peers.charges = [LOST, NO_ACCOUNT]
    order = await replica.delivered(await replica.recorded())
    assert order is not None
    assert (order.status, order.answer) == (Status.FAILED, NO_ACCOUNT.answer)
    assert replica.peers.voided == [1]


@pytest.mark.parametrize("lost", [LOST, UNREACHABLE])
async def test_a_voiding_without_an_answer(replica: Replica, lost: Outcome) -> None:
    """It took effect all the same: the retry meets the voided key, and nobody cancelled."""
    replica.peers.charges = [LOST, NO_ACCOUNT, refused("key-voided")]
    replica.peers.voids = [lost]
    order = await replica.delivered(await replica.recorded())
    assert order is not None
    assert (order.status, order.answer) == (Status.FAILED, NO_ACCOUNT.answer)


async def test_a_key_that_a_cancellation_voided(replica: Replica) -> None:
    """Nothing was refused before: it was cancelled, by a process that died before it wrote that down."""
    replica.peers.charges = [LOST, refused("key-voided")]
    order = await replica.delivered(await replica.recorded())
    assert order is not None
    assert order.status is Status.CANCELLED
    assert replica.peers.voided == []


async def test_an_executed_key_that_billing_calls_reused(replica: Replica) -> None:
    """The void finds this order's own charge: it is billed, whatever was said before."""
    order = await replica.recorded()
    replica.peers.charges = [LOST, refused(KEY_OF_ANOTHER)]
    replica.peers.voids = [charged(charge_of(order))]
    settled = await replica.delivered(order)
    assert settled is not None
    assert settled.status is Status.BILLED


@pytest.mark.parametrize(
    ("reason", "sent"), [(refused(KEY_OF_ANOTHER), 2), (NO_ACCOUNT, 3)], ids=["reused", "refused"]
)
async def test_a_decline_that_names_no_order(replica: Replica, reason: Refused, sent: int) -> None:
    """Another's, when billing has compared the payloads: failed. Else it is sent again, and compared."""
    replica.peers.charges = [LOST, reason, refused(KEY_OF_ANOTHER)]
    replica.peers.voids = [refused(DECLINED_UNNAMED)] * 2
    order = await replica.delivered(await replica.recorded())
    assert order is not None
    assert (order.status, order.answer) == (Status.FAILED, {"type": KEY_OF_ANOTHER})
    assert len(replica.peers.sent) == sent


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
    """Failed, declined and cancelled mean that nothing was withdrawn, for sure."""
    assert final_state(outcome, Delivery.EXACTLY_ONCE, doubtful=doubtful)[0] is status


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


async def test_an_answer_to_another_charge_is_an_alarm(replica: Replica) -> None:
    """Something between the two mixes answers up; the order goes on."""
    replica.peers.charges = [Unknown("HTTP 201, for another charge", misdirected=True), LOST]
    order = await replica.delivered(await replica.recorded())
    assert order is not None
    assert order.status is Status.BILLED
    registry = replica.surroundings.metrics.registry
    value = registry.get_sample_value("order_alarms_total", {"alarm": "answer_misdirected"})
    assert value == 1.0
