"""The attempts of one order: their pauses, their bounds, and what makes a refusal final."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from order_service.attempts import Attempts, charge_of
from order_service.orders import LeaseLost
from order_service.outcomes import (
    DECLINED_UNNAMED,
    KEY_OF_ANOTHER,
    Outcome,
    Refused,
    Unknown,
)
from order_service.wire import Attempt, Delivery, Status
from tests.evidence import seen
from tests.order_service.replica import (
    DECLINED,
    LOST,
    NO_ACCOUNT,
    UNREACHABLE,
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


@pytest.mark.parametrize("outcome", [LOST, UNREACHABLE, Unknown("HTTP 503 unavailable")])
async def test_every_attempt_without_an_answer_is_followed_by_a_pause(
    replica: Replica, outcome: Outcome
) -> None:
    """Exponential, and with a token of the budget; a refused connection is retried no sooner."""
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


async def test_nothing_is_sent_by_a_process_that_stops(replica: Replica, owner: Any) -> None:
    """The attempt in flight was its last one: the order stays pending, for another process."""
    replica.peers.charges = [LOST]
    replica.peers.charging.clear()
    order = await replica.recorded()
    delivering = asyncio.create_task(replica.delivered(order))
    await until(lambda: bool(replica.peers.sent), lambda: owner.fetchval("SELECT 1"))
    replica.context.stopping.set()
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
    replica.context.first_incomplete = 7
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
    """It took effect all the same: the retry meets the voided key, and the order was not cancelled."""
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
    ("outcomes", "doubtful"),
    [
        (["unknown"], False),
        (["refused", "unknown"], False),
        (["unknown", "refused"], True),
        (["refused", "unknown", "refused"], True),
        (["refused", "refused"], False),
    ],
    ids=str,
)
async def test_whether_an_earlier_attempt_may_be_executed(
    replica: Replica, outcomes: list[str], doubtful: bool
) -> None:
    """When any before the latest one had no answer."""
    attempts = Attempts(await replica.recorded(), replica.context)
    for number, outcome in enumerate(outcomes, 1):
        attempts.sent.append(
            Attempt(
                attempt=number,
                sequence_key=1,
                retry=number > 1,
                outcome=outcome,
                caller_saw="",
                seconds=0.0,
            )
        )
    assert attempts.an_earlier_one_may_be_executed() is doubtful


async def test_attempts_are_counted(replica: Replica) -> None:
    """By their outcome, and by whether they were retries."""
    attempts = Attempts(await replica.recorded(), replica.context)
    replica.peers.charges = [LOST, LOST]
    await attempts.send(1, 1, retry=False)
    for attempt in (2, 3):
        await attempts.send(attempt, 1, retry=True)
    registry = replica.context.metrics.registry
    counted = {
        (sample.labels["outcome"], sample.labels["retry"]): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "order_attempts_total"
    }
    assert counted == {
        ("unknown", "no"): 1.0,
        ("unknown", "yes"): 1.0,
        ("acknowledged", "yes"): 1.0,
    }


async def test_a_voiding_that_settles_nothing(replica: Replica) -> None:
    """The outcome is unknown, as the voiding saw it."""
    attempts = Attempts(await replica.recorded(), replica.context)
    replica.peers.voids = [Refused("HTTP 409, not named", {"type": DECLINED_UNNAMED})]
    assert await attempts.make_sure(1, NO_ACCOUNT) == Unknown("HTTP 409, not named")


@pytest.mark.parametrize(
    ("delivery", "begun", "retry"),
    [
        (Delivery.EXACTLY_ONCE, 1, False),
        (Delivery.EXACTLY_ONCE, 2, True),
        (Delivery.AT_LEAST_ONCE, 2, False),
    ],
)
async def test_an_attempt_of_a_process_that_died(
    replica: Replica, owner: Any, delivery: Delivery, begun: int, retry: bool
) -> None:
    """Its outcome is unknown; it was a retry when it was not the first one under its key."""
    order = replace(await replica.recorded(delivery), attempts=begun)
    await Attempts(order, replica.context).record_unknown()
    row = await owner.fetchrow(
        "SELECT attempt, sequence_key, retry, outcome, caller_saw, seconds FROM orders.attempts"
    )
    assert tuple(row) == (begun, 1, retry, "unknown", "nothing: the process died", 0.0)


async def test_an_answer_to_another_charge_is_an_alarm(replica: Replica) -> None:
    """Something between the two mixes answers up; the order goes on."""
    replica.peers.charges = [Unknown("HTTP 201, for another charge", misdirected=True), LOST]
    order = await replica.delivered(await replica.recorded())
    assert order is not None
    assert order.status is Status.BILLED
    registry = replica.context.metrics.registry
    value = registry.get_sample_value("order_alarms_total", {"alarm": "answer_misdirected"})
    assert value == 1.0


async def test_a_fresh_key_whose_commit_had_no_answer(replica: Replica, owner: Any) -> None:
    """It is found when the write is repeated: no second key is spent for one attempt."""
    attempts = Attempts(await replica.recorded(Delivery.AT_LEAST_ONCE), replica.context)
    keys = []
    for _ in range(2):
        async with replica.context.pool.transaction() as connection:
            keys.append(await attempts._mint(connection, 2))
    assert keys == [2, 2]
    assert await owner.fetchval("SELECT last_key FROM orders.sequence_counter") == 2
    assert await attempts.begin_with_fresh_key(3) == 3


async def test_a_fresh_key_of_an_order_that_is_being_taken_over(
    replica: Replica, owner: Any
) -> None:
    """The process waits for the other's commit, and then begins nothing: no charge goes out beside the other's, and no key is spent."""
    attempts = Attempts(await replica.recorded(Delivery.AT_LEAST_ONCE), replica.context)
    async with owner.transaction():
        await owner.execute("UPDATE orders.orders SET lease_owner = gen_random_uuid()")
        beginning = asyncio.create_task(attempts.begin_with_fresh_key(2))
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        await seen(lambda: owner.fetchval(waiting), "the process waits for the order")
    with pytest.raises(LeaseLost):
        await beginning
    assert await owner.fetchval("SELECT attempts FROM orders.orders") == 1
    assert await owner.fetchval("SELECT last_key FROM orders.sequence_counter") == 1


async def test_the_time_of_an_attempt_begins_with_it(database: Any, owner: Any) -> None:
    """What is recorded is how long billing took, and not how long the attempt waited for its slot."""
    async with running(database, attempts_in_flight_max=1) as replica:
        now_s = [0.0]
        replica.context.clock = lambda: now_s[0]
        replica.peers.charging.clear()
        orders = [await replica.recorded() for _ in range(2)]
        delivering = [asyncio.create_task(replica.delivered(order)) for order in orders]
        await until(lambda: len(replica.peers.sent) == 1, lambda: owner.fetchval("SELECT 1"))
        now_s[0] = 7.0
        replica.peers.charging.set()
        await asyncio.gather(*delivering)
    seconds = await owner.fetch("SELECT seconds FROM orders.attempts ORDER BY seconds")
    assert [row["seconds"] for row in seconds] == [0.0, 7.0]


async def test_a_token_is_taken_when_the_pause_is_over(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not before: it admits a retry that is about to be sent, and none that has yet to wait."""
    done = []
    take = replica.budget.take

    async def sleep(_: float) -> None:
        done.append("paused")

    async def taken() -> None:
        done.append("taken")
        await take()

    replica.context.sleep = sleep
    monkeypatch.setattr(replica.budget, "take", taken)
    replica.peers.charges = [LOST, LOST]
    await replica.delivered(await replica.recorded())
    assert done == ["paused", "taken"] * 2


@pytest.mark.parametrize("delivery", [Delivery.EXACTLY_ONCE, Delivery.AT_LEAST_ONCE])
async def test_an_outcome_is_recorded_before_the_next_attempt_begins(
    replica: Replica, owner: Any, delivery: Delivery
) -> None:
    """A process that takes the order over knows what was sent: this one may die in the pause, or in the next attempt."""
    recorded = []

    async def sleep(_: float) -> None:
        rows = await owner.fetch("SELECT attempt, outcome FROM orders.attempts ORDER BY attempt")
        begun = await owner.fetchval("SELECT attempts FROM orders.orders")
        recorded.append(([tuple(row) for row in rows], begun))

    replica.context.sleep = sleep
    replica.peers.charges = [LOST, UNREACHABLE]
    await replica.delivered(await replica.recorded(delivery))
    assert recorded == [([(1, "unknown")], 1), ([(1, "unknown"), (2, "refused")], 2)]
