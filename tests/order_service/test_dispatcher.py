"""All deliveries of one process: what it takes over, what it keeps, what it leaves behind."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
import structlog

from order_service import dispatcher
from order_service.statements import leases
from order_service.wire import Status
from service_kit.bounded_pool import DatabaseTrouble, LockWaitTooLong
from tests.order_service.replica import LOST, Replica, running, until
from tests.service_kit.http_guard.connection import next_turn


@pytest.fixture
async def replica(database: Any) -> AsyncIterator[Replica]:
    async with running(database) as replica:
        yield replica


@pytest.fixture
async def owner(database: Any) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database.owner)
    yield connection
    await connection.close()


class RoundsOver(Exception):
    """Ends the loop of a dispatcher where it would sleep."""


async def rounds(replica: Replica, count: int = 1) -> None:
    """So many rounds of the loop."""
    left = count

    async def sleep(_: float) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise RoundsOver

    replica.context.sleep, usual = sleep, replica.context.sleep
    with pytest.raises(RoundsOver):
        await replica.dispatcher.run()
    replica.context.sleep = usual


async def left_behind(owner: Any, count: int) -> list[UUID]:
    """Orders of a dead process, the oldest key first."""
    order_ids = [uuid4() for _ in range(count)]
    for order_id in order_ids:
        await owner.execute(
            """
            WITH minted AS (UPDATE orders.sequence_counter SET last_key = last_key + 1 RETURNING last_key)
            INSERT INTO orders.orders (order_id, customer, item, amount_cents, delivery, sequence_key, fingerprint,
                                       lease_owner, lease_until)
            SELECT $1, 'alice', 'book', 5, 'exactly_once', last_key, '', gen_random_uuid(), '-infinity'
            FROM minted
            """,
            order_id,
        )
    return order_ids


def sent(replica: Replica) -> list[UUID]:
    return [order_id for order_id, _, _ in replica.peers.sent]


async def in_hand(replica: Replica, owner: Any) -> UUID:
    """An order that this process has sent and that is not answered yet."""
    replica.peers.charging.clear()
    order = await replica.recorded()
    replica.dispatcher.start(order)
    await until(lambda: order.order_id in sent(replica), lambda: owner.fetchval("SELECT 1"))
    return order.order_id


async def test_what_is_in_hand_is_not_taken_over_by_itself(replica: Replica, owner: Any) -> None:
    """The loop was slow and the lease ran out: it is renewed, and the order is not sent once more beside its delivery."""
    order_id = await in_hand(replica, owner)
    await owner.execute("UPDATE orders.orders SET lease_until = '-infinity'")
    assert await replica.dispatcher.run_once() == 1
    deliveries = [task for task in asyncio.all_tasks() if task.get_name().startswith("deliver")]
    assert [task.get_name() for task in deliveries] == [f"deliver {order_id}"]
    assert await owner.fetchval("SELECT lease_until > now() FROM orders.orders")
    replica.peers.charging.set()
    await asyncio.wait(deliveries)
    assert sent(replica) == [order_id]


async def test_a_round_keeps_what_is_in_hand(replica: Replica, owner: Any) -> None:
    """However long an order waits, its lease does not run out while its process looks around."""
    await in_hand(replica, owner)
    await owner.execute("UPDATE orders.orders SET lease_until = now() + interval '1 second'")
    await rounds(replica)
    assert await owner.fetchval(
        "SELECT lease_until > now() + interval '5 seconds' FROM orders.orders"
    )


async def test_the_lease_of_another_process_is_not_kept(replica: Replica, owner: Any) -> None:
    """The order was taken over meanwhile: its new process alone says how long its lease lasts."""
    await in_hand(replica, owner)
    await owner.execute(
        "UPDATE orders.orders SET lease_owner = gen_random_uuid(), lease_until = now() + interval '1 second'"
    )
    await rounds(replica)
    assert await owner.fetchval(
        "SELECT lease_until < now() + interval '2 seconds' FROM orders.orders"
    )


@pytest.mark.parametrize(
    "off", [(), ("enable_hashjoin", "enable_hashagg", "enable_sort", "enable_material")]
)
async def test_no_plan_takes_over_more_than_is_asked_for(owner: Any, off: tuple[str, ...]) -> None:
    """Without these, Postgres joins row by row, and would execute a subquery again for each one."""
    await left_behind(owner, 5)
    for name in off:
        await owner.execute(f"SET {name} = off")
    taken = await leases.take_over(owner, UUID(int=1), 5.0, 2)
    assert sorted(each.sequence_key for each in taken) == [1, 2]


async def test_no_more_is_taken_over_than_there_is_room_for(database: Any, owner: Any) -> None:
    """The oldest keys first; the rest is left to others, and taken when there is room again."""
    async with running(database, attempts_in_flight_max=2) as replica:
        dead = await left_behind(owner, 5)
        replica.peers.charging.clear()
        assert await replica.dispatcher.run_once() == 2
        await until(lambda: len(sent(replica)) == 2, lambda: owner.fetchval("SELECT 1"))
        assert set(sent(replica)) == set(dead[:2])
        replica.peers.charging.set()
        await until(lambda: not replica.dispatcher.in_hand, lambda: owner.fetchval("SELECT 1"))
        # A full batch means that there is more: the loop does not sleep before the last one is taken.
        await rounds(replica)
        await until(lambda: len(sent(replica)) == 5, lambda: owner.fetchval("SELECT 1"))


async def test_a_taken_over_order_is_sent_as_a_retry(replica: Replica, owner: Any) -> None:
    """Under its key; the attempt of the dead process is on record as unknown."""
    (dead,) = await left_behind(owner, 1)
    await replica.dispatcher.run_once()
    await until(lambda: not replica.dispatcher.in_hand, lambda: owner.fetchval("SELECT 1"))
    assert replica.peers.sent == [(dead, 1, True)]
    outcomes = await owner.fetch("SELECT outcome FROM orders.attempts ORDER BY attempt")
    assert [row["outcome"] for row in outcomes] == ["unknown", "acknowledged"]


@pytest.mark.parametrize(
    "trouble",
    # The last two are what a migration that is under way and a defect look like.
    [DatabaseTrouble, LockWaitTooLong, asyncpg.UndefinedColumnError, KeyError],
)
@pytest.mark.parametrize("step", ["read_unsettled", "keep_leases", "take_over"])
async def test_a_look_that_fails_is_not_the_last_one(
    replica: Replica,
    owner: Any,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    trouble: type[Exception],
) -> None:
    """Whichever statement fails, and however: the loop goes on, and takes over later."""
    await in_hand(replica, owner)
    real, failures = getattr(leases, step), [trouble("away")]

    async def fails_once(*arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return await real(*arguments)

    monkeypatch.setattr(leases, step, fails_once)
    (dead,) = await left_behind(owner, 1)
    with structlog.testing.capture_logs() as lines:
        await rounds(replica, 2)
    assert not failures
    # An operator learns of it once, and what it was; the round after it is not called a failure.
    told = [line for line in lines if "orders to take over" in line["event"]]
    expected = trouble in (DatabaseTrouble, LockWaitTooLong)
    assert [line["log_level"] for line in told] == ["warning" if expected else "error"]
    assert "away" in str(told[0]["reason"] if expected else told[0]["exc_info"])
    await until(lambda: dead in sent(replica), lambda: owner.fetchval("SELECT 1"))
    registry = replica.context.metrics.registry
    ends = {
        end: registry.get_sample_value("order_takeover_rounds_total", {"end": end})
        for end in ("done", "failed")
    }
    assert ends == {"done": 1.0, "failed": 1.0}


async def test_the_mark_is_declared_in_quiet_hours(replica: Replica, owner: Any) -> None:
    """Not while an order is being delivered, repeated until billing confirms, and never after that."""
    replica.peers.marks = [False, True]
    await replica.delivered(await replica.recorded())
    await in_hand(replica, owner)
    await rounds(replica)
    assert replica.context.first_incomplete == 2
    assert replica.peers.declared == []
    replica.peers.charging.set()
    await until(lambda: not replica.dispatcher.in_hand, lambda: owner.fetchval("SELECT 1"))
    await rounds(replica, 4)
    assert replica.peers.declared == [3, 3]
    await replica.delivered(await replica.recorded())
    await rounds(replica, 2)
    assert replica.peers.declared == [3, 3, 4]


async def test_an_open_order_keeps_the_mark(replica: Replica, owner: Any) -> None:
    """The lowest key without an answer, of any replica: neither it nor a key above it is declared."""
    for _ in range(2):
        await replica.delivered(await replica.recorded())
    (others,) = await left_behind(owner, 1)
    await owner.execute(
        "UPDATE orders.orders SET lease_until = 'infinity' WHERE order_id = $1", others
    )
    await replica.delivered(await replica.recorded())
    await rounds(replica)
    assert replica.context.first_incomplete == 3
    assert replica.peers.declared == [3]


async def test_the_mark_does_not_go_back(replica: Replica) -> None:
    """A look at an older state (a replica that answers late) changes nothing."""
    replica.context.first_incomplete = 9
    await rounds(replica)
    assert replica.context.first_incomplete == 9


async def test_a_process_that_stops_leaves_its_orders_at_once(
    replica: Replica, database: Any, owner: Any
) -> None:
    """Another one need not wait until the leases run out."""
    replica.peers.charges = [LOST] * 1000
    order = await replica.recorded()
    replica.dispatcher.start(order)
    await until(lambda: len(replica.peers.sent) > 3, lambda: owner.fetchval("SELECT 1"))
    await replica.dispatcher.stop()
    assert replica.dispatcher.in_hand == 0
    so_far = len(replica.peers.sent)
    async with running(database) as other:
        assert await other.dispatcher.run_once() == 1
        await until(lambda: not other.dispatcher.in_hand, lambda: owner.fetchval("SELECT 1"))
        assert sent(other) == [order.order_id]
    assert len(replica.peers.sent) == so_far
    assert await owner.fetchval("SELECT status FROM orders.orders") == Status.BILLED


async def test_only_its_own_orders_are_left(replica: Replica, owner: Any) -> None:
    """Those of other living processes stay theirs, and settled ones are not touched."""
    await replica.delivered(await replica.recorded())
    (others,) = await left_behind(owner, 1)
    await owner.execute(
        "UPDATE orders.orders SET lease_until = 'infinity' WHERE order_id = $1", others
    )
    before = await owner.fetch("SELECT order_id, lease_until FROM orders.orders ORDER BY 1")
    await replica.dispatcher.stop()
    assert await owner.fetch("SELECT order_id, lease_until FROM orders.orders ORDER BY 1") == before


async def test_what_is_in_flight_ends_before_the_leases_do(replica: Replica, owner: Any) -> None:
    """While its attempt is open no other process may take the order over."""
    await in_hand(replica, owner)
    stopping = asyncio.create_task(replica.dispatcher.stop())
    await until(replica.context.stopping.is_set, lambda: owner.fetchval("SELECT 1"))
    for _ in range(10):
        assert await owner.fetchval("SELECT lease_until > now() FROM orders.orders")
    replica.peers.charging.set()
    await stopping
    assert await owner.fetchval("SELECT status FROM orders.orders") == Status.BILLED


async def test_a_stop_has_an_end(database: Any, owner: Any) -> None:
    """What is still open after two deadlines of an attempt is given up, and left to others."""
    async with running(database, attempt_timeout_s=0.1) as replica:
        await in_hand(replica, owner)
        async with asyncio.timeout(60):
            await replica.dispatcher.stop()
        assert await owner.fetchval("SELECT lease_until < now() FROM orders.orders")


async def test_a_wait_for_an_order_has_an_end(replica: Replica, owner: Any) -> None:
    """A retry waits no longer than its bound, and not at all for an order that this process does not deliver."""
    order_id = await in_hand(replica, owner)
    async with asyncio.timeout(60):
        await replica.dispatcher.wait(order_id, 0.01)
        await replica.dispatcher.wait(uuid4(), 1000.0)
    assert replica.dispatcher.in_hand == 1


async def test_a_wait_that_ends_leaves_the_others_alone(replica: Replica, owner: Any) -> None:
    """The customer who waited longer is told, and the order is settled, when another one has given up."""
    order_id = await in_hand(replica, owner)
    patient = asyncio.create_task(replica.dispatcher.wait(order_id, 1000.0))
    await replica.dispatcher.wait(order_id, 0.01)
    await next_turn()
    assert not patient.done()
    replica.peers.charging.set()
    async with asyncio.timeout(60):
        await patient
    assert await owner.fetchval("SELECT status FROM orders.orders") == Status.BILLED


async def test_an_order_that_another_process_has_keeps_no_customer_waiting(
    replica: Replica, owner: Any
) -> None:
    """The future of its delivery ends with it, and nothing of the order is left in this process."""
    order = await replica.recorded()
    await owner.execute("UPDATE orders.orders SET lease_owner = gen_random_uuid()")
    replica.peers.charges = [LOST]
    async with asyncio.timeout(60):
        assert await replica.dispatcher.start(order) is None
    assert (replica.dispatcher.in_hand, replica.dispatcher._unsettled) == (0, {})


@pytest.mark.parametrize("end", ["settled", "a defect", "cancelled"])
async def test_a_delivery_that_has_ended(
    replica: Replica, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """It is not in hand any more, and its caller waits no longer. Only a defect is logged as an error."""
    begun = asyncio.Event()

    async def deliver(order: Any, context: Any, settled: "asyncio.Future[Any]") -> None:
        begun.set()
        if end == "settled":
            settled.set_result(None)
        if end == "a defect":
            raise KeyError(end)
        if end == "cancelled":
            await asyncio.Event().wait()

    monkeypatch.setattr(dispatcher, "deliver", deliver)
    order = await replica.recorded()
    with structlog.testing.capture_logs() as lines:
        settled = replica.dispatcher.start(order)
        await begun.wait()
        if end == "cancelled":
            replica.dispatcher._running[order.order_id].cancel()
        assert await settled is None
        await until_ended(replica)
    if end != "a defect":
        assert lines == []
        return
    (line,) = lines
    assert (line["log_level"], line["event"]) == ("error", "delivery failed")
    assert line["order_id"] == str(order.order_id)
    assert isinstance(line["exc_info"], KeyError)


async def until_ended(replica: Replica) -> None:
    """Until no order is in hand."""
    async with asyncio.timeout(60):
        while replica.dispatcher.in_hand:
            await next_turn()
