"""Orders of one group do not depend on each other: each gets the result that it would have got in a group of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import asyncpg
import pytest

from order_service.orders import (
    Beginning,
    CustomerKeyTaken,
    LeaseLost,
    PendingOrder,
    Recording,
    Settlement,
    WindowFull,
)
from order_service.statements import recording
from order_service.wire import Attempt, Fate, NewOrder, Status
from order_service.writing import GroupedWrites, UntilWritten, unless_stopping
from service_kit.bounded_pool import BoundedPool, DatabaseTrouble
from service_kit.group_commit import usual_bounds
from tests.evidence import BOUND_S, seen
from tests.service_kit.http_guard.connection import next_turn

WINDOW = 1_000


@asynccontextmanager
async def opened(url: str, window_max: int = WINDOW) -> AsyncIterator[GroupedWrites]:
    pool = BoundedPool(
        url,
        application="writes under test",
        size_max=8,
        deadline_s=20.0,
        lock_timeout_s=20.0,
        idle_in_transaction_timeout_s=20.0,
    )
    await pool.open()
    yield GroupedWrites(
        pool, uuid4(), lease_s=10.0, window_max=window_max, bounds=usual_bounds(2, 20.0)
    )
    await pool.close()


WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"
WAITING_HERE = """
    SELECT count(*) FROM pg_stat_activity
    WHERE application_name = 'writes under test' AND wait_event_type = 'Lock' AND datname = current_database()
"""


@pytest.fixture
async def writes(database: Any) -> AsyncIterator[GroupedWrites]:
    async with opened(database.order) as writes:
        yield writes


@pytest.fixture
async def owner(database: Any) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database.owner)
    yield connection
    await connection.close()


def order(n: int, customer_key: str | None = None, client: str = "") -> Recording:
    new = NewOrder(customer="alice", amount_cents=n, item=f"book {n}")
    return Recording(UUID(int=n), new, customer_key, client)


async def record(writes: GroupedWrites, *recordings: Recording) -> list[Any]:
    return await asyncio.gather(*map(writes.record, recordings), return_exceptions=True)


async def recorded(writes: GroupedWrites, count: int) -> list[PendingOrder]:
    return await record(writes, *map(order, range(1, count + 1)))


def settlement(pending: PendingOrder) -> Settlement:
    attempt = Attempt(
        attempt=1,
        sequence_key=pending.sequence_key,
        retry=False,
        outcome="acknowledged",
        caller_saw="HTTP 201",
        seconds=0.1,
    )
    return Settlement(pending.order_id, attempt, Status.BILLED, {"charge_id": "c"}, Fate.ATTEMPTED)


async def test_orders_are_recorded_together(writes: GroupedWrites, owner: Any) -> None:
    """One transaction, keys without gaps in the order of arrival; each order is what was placed."""
    pending = await recorded(writes, 20)
    assert [each.sequence_key for each in pending] == list(range(1, 21))
    rows = await owner.fetch(
        "SELECT *, xmin::text AS transaction FROM orders.orders ORDER BY sequence_key"
    )
    assert len({row["transaction"] for row in rows}) == 1
    for n, (each, row) in enumerate(zip(pending, rows, strict=True), 1):
        assert (row["order_id"], row["amount_cents"], row["item"]) == (UUID(int=n), n, f"book {n}")
        assert (row["status"], row["attempts"], row["created_at"]) == (
            "pending",
            1,
            each.created_at,
        )
    assert await owner.fetchval("SELECT last_key FROM orders.sequence_counter") == 20


async def test_the_window_is_kept_within_a_group(database: Any, owner: Any) -> None:
    """The first ones fill it, the others are refused, and only what is recorded spends a key."""
    async with opened(database.order, window_max=5) as writes:
        await writes.record(order(100))
        results = await recorded(writes, 7)
    assert [type(result) for result in results] == [PendingOrder] * 4 + [WindowFull] * 3
    assert await owner.fetchval("SELECT last_key FROM orders.sequence_counter") == 5


async def test_settled_orders_leave_the_window(database: Any) -> None:
    """It bounds what is unsettled: a shop takes orders for ever, however many it has settled."""
    async with opened(database.order, window_max=1) as writes:
        for n in range(1, 4):
            pending = await writes.record(order(n))
            with pytest.raises(WindowFull):
                await writes.record(order(n + 100))
            await writes.settle(settlement(pending))


async def test_customers_keys_within_a_group(writes: GroupedWrites, owner: Any) -> None:
    """A known key is refused, of two orders with one key in a group the first is recorded, and so are the others; keys have no gaps."""
    await writes.record(order(1, "known"))
    results = await record(writes, order(2), order(3, "known"), order(4, "new"), order(5))
    assert [type(result) for result in results] == [
        PendingOrder,
        CustomerKeyTaken,
        PendingOrder,
        PendingOrder,
    ]
    twins = await record(writes, order(6, "twin"), order(7, "twin"), order(8))
    assert sorted(type(result).__name__ for result in twins[:2]) == [
        "CustomerKeyTaken",
        "PendingOrder",
    ]
    keys = await owner.fetch("SELECT sequence_key FROM orders.orders ORDER BY 1")
    assert [row["sequence_key"] for row in keys] == list(range(1, 7))


async def test_one_key_of_several_clients_within_a_group(writes: GroupedWrites, owner: Any) -> None:
    """A key that is known to one client is free for another one, and refused to the client itself."""
    await record(writes, order(1, "known"), order(2, "known", "shop"))
    results = await record(
        writes,
        order(3, "known", "kiosk"),
        order(4, "known", "shop"),
        order(5, "known"),
        order(6, "new", "shop"),
        order(7, "new", "kiosk"),
    )
    assert [type(result) for result in results] == [
        PendingOrder,
        CustomerKeyTaken,
        CustomerKeyTaken,
        PendingOrder,
        PendingOrder,
    ]
    rows = await owner.fetch("SELECT client FROM orders.orders ORDER BY amount_cents")
    assert [row["client"] for row in rows] == ["", "shop", "kiosk", "shop", "kiosk"]


@pytest.mark.parametrize("others", [0, 2])
async def test_a_customers_key_that_another_replica_is_recording(
    writes: GroupedWrites, owner: Any, others: int
) -> None:
    """Refused when it is committed there, alone or in a group; the others of the group are recorded, and keys have no gaps."""
    transaction = owner.transaction()
    await transaction.start()
    await recording.record_all(owner, [order(100, "key")], uuid4(), 10.0, WINDOW)
    placed = [order(1, "key"), *(order(2 + n) for n in range(others))]
    results = asyncio.create_task(record(writes, *placed))
    await seen(lambda: owner.fetchval(WAITING), "a write waits for a lock")
    await transaction.commit()
    assert [type(each) for each in await results] == [CustomerKeyTaken] + [PendingOrder] * others
    keys = await owner.fetch("SELECT sequence_key FROM orders.orders ORDER BY 1")
    assert [row["sequence_key"] for row in keys] == list(range(1, 2 + others))


async def test_a_customers_key_that_replicas_are_recording_one_after_the_other(
    writes: GroupedWrites, owner: Any, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group fails at the key of one replica; the order of it that is then written alone meets another replica's. It is refused, no defect."""
    wait_for_others = recording.wait_for_others
    both_alone, second_recorded = asyncio.Barrier(3), asyncio.Event()

    async def behind_the_second(connection: Any) -> None:
        # Who gets a row first that is released is Postgres's choice.
        await both_alone.wait()
        await second_recorded.wait()
        await wait_for_others(connection)

    monkeypatch.setattr(recording, "wait_for_others", behind_the_second)
    second, watcher = [await asyncpg.connect(database.owner) for _ in range(2)]
    of_first, of_second = owner.transaction(), second.transaction()
    await of_first.start()
    await recording.record_all(owner, [order(100, "first")], uuid4(), 10.0, WINDOW)
    results = asyncio.create_task(record(writes, order(1, "first"), order(2, "second")))

    async def waiting(count: int) -> bool:
        # Not a session that has begun a transaction: it would go on seeing the others as it saw them first.
        return bool(await watcher.fetchval(WAITING_HERE) == count)

    await seen(lambda: waiting(1), "the group waits for the first replica")
    await of_first.commit()
    async with asyncio.timeout(BOUND_S):
        await both_alone.wait()
    await of_second.start()
    await recording.record_all(second, [order(200, "second")], uuid4(), 10.0, WINDOW)
    second_recorded.set()
    await seen(lambda: waiting(2), "both orders wait for the second replica")
    await of_second.commit()
    assert [type(each) for each in await results] == [CustomerKeyTaken] * 2
    keys = await owner.fetch("SELECT sequence_key FROM orders.orders ORDER BY 1")
    assert [row["sequence_key"] for row in keys] == [1, 2]
    await second.close()
    await watcher.close()


async def test_two_replicas_record_the_same_customers_keys(database: Any, owner: Any) -> None:
    """Each key names one order, the counter has no gaps, and no transaction deadlocks."""
    async with opened(database.order) as one, opened(database.order) as two:
        results = await asyncio.gather(
            record(one, *(order(n, f"key {n}") for n in range(1, 31))),
            record(two, *(order(n + 100, f"key {n}") for n in range(30, 0, -1))),
        )
    taken = [type(result) for replica in results for result in replica]
    assert taken.count(PendingOrder) == 30
    assert taken.count(CustomerKeyTaken) == 30
    keys = await owner.fetch("SELECT sequence_key FROM orders.orders ORDER BY 1")
    assert [row["sequence_key"] for row in keys] == list(range(1, 31))


async def test_orders_are_settled_together(writes: GroupedWrites, owner: Any) -> None:
    """State, answer, attempt and the mark of the notification in one transaction; a second time changes nothing."""
    pending = await recorded(writes, 5)
    times = await asyncio.gather(*(writes.settle(settlement(each)) for each in pending))
    assert None not in times
    rows = await owner.fetch(
        """
        SELECT o.status, o.answer, o.notification, a.caller_saw, o.xmin::text, a.xmin::text AS attempt_xmin
        FROM orders.orders o JOIN orders.attempts a USING (order_id)
        """
    )
    assert len(rows) == 5
    assert {tuple(row)[:4] for row in rows} == {
        ("billed", '{"charge_id": "c"}', "attempted", "HTTP 201")
    }
    assert len({row["xmin"] for row in rows} | {row["attempt_xmin"] for row in rows}) == 1
    again = await asyncio.gather(*(writes.settle(settlement(each)) for each in pending))
    assert again == [None] * 5


async def test_an_order_that_is_held_elsewhere(writes: GroupedWrites, owner: Any) -> None:
    """It is settled when it is free; the others in its group do not wait for it."""
    pending = await recorded(writes, 4)
    transaction = owner.transaction()
    await transaction.start()
    await owner.execute(
        "SELECT 1 FROM orders.orders WHERE order_id = $1 FOR UPDATE", pending[1].order_id
    )
    settling = [asyncio.create_task(writes.settle(settlement(each))) for each in pending]
    await asyncio.wait([settling[n] for n in (0, 2, 3)])
    assert not settling[1].done()
    await transaction.rollback()
    assert await settling[1] is not None


@pytest.mark.parametrize("held", [1, 4])
async def test_every_write_of_a_held_order_waits_for_it(
    writes: GroupedWrites, owner: Any, held: int
) -> None:
    """Alone or with the others that are held: the attempt begins, the order is settled, its fate recorded, each when it is free."""
    pending = (await recorded(writes, 5))[:held]
    kinds: tuple[Callable[[PendingOrder], Coroutine[Any, Any, Any]], ...] = (
        lambda each: writes.begin(Beginning(each.order_id, 2)),
        lambda each: writes.settle(settlement(each)),
        lambda each: writes.record_fate(each.order_id, Fate.ACKNOWLEDGED),
    )
    for write in kinds:
        transaction = owner.transaction()
        await transaction.start()
        await owner.execute(
            "SELECT 1 FROM orders.orders WHERE order_id = ANY ($1) FOR UPDATE",
            [each.order_id for each in pending],
        )
        written = [asyncio.create_task(write(each)) for each in pending]
        await seen(lambda: owner.fetchval(WAITING), "a write waits for a lock")
        assert not any(task.done() for task in written)
        await transaction.rollback()
        await asyncio.gather(*written)
    rows = await owner.fetch(
        "SELECT attempts, status, notification FROM orders.orders WHERE order_id = ANY ($1)",
        [each.order_id for each in pending],
    )
    assert [tuple(row) for row in rows] == [(2, "billed", "acknowledged")] * held


@pytest.mark.parametrize("free", [True, False])
async def test_an_order_that_was_settled_before(
    writes: GroupedWrites, owner: Any, free: bool
) -> None:
    """Its state stays and its last attempt is recorded all the same; no attempt of it begins. It makes no difference if it is held."""
    (pending,) = await recorded(writes, 1)
    cancelled = Settlement(pending.order_id, None, Status.CANCELLED, {"title": "voided"}, None)
    assert await writes.settle(cancelled) is not None
    transaction = owner.transaction()
    if not free:
        await transaction.start()
        await owner.execute("SELECT 1 FROM orders.orders FOR UPDATE")
    late = asyncio.gather(
        writes.settle(settlement(pending)),
        writes.begin(Beginning(pending.order_id, 2)),
        return_exceptions=True,
    )
    if not free:
        waiting = f"SELECT 2 <= ({WAITING})"
        await seen(lambda: owner.fetchval(waiting), "two writes wait for locks")
        await transaction.rollback()
    settled_at, begun = await late
    assert settled_at is None
    assert isinstance(begun, LeaseLost)
    row = await owner.fetchrow(
        "SELECT o.status, o.attempts, a.caller_saw FROM orders.orders o JOIN orders.attempts a USING (order_id)"
    )
    assert tuple(row) == ("cancelled", 1, "HTTP 201")


async def test_attempts_begin_together(writes: GroupedWrites, owner: Any) -> None:
    """In one transaction. An order whose lease is lost says so; the others begin."""
    pending = await recorded(writes, 3)
    await owner.execute(
        "UPDATE orders.orders SET lease_owner = $1 WHERE order_id = $2",
        uuid4(),
        pending[1].order_id,
    )
    results = await asyncio.gather(
        *(writes.begin(Beginning(each.order_id, 2)) for each in pending), return_exceptions=True
    )
    assert results[0] is None
    assert isinstance(results[1], LeaseLost)
    assert results[2] is None
    rows = await owner.fetch(
        "SELECT attempts, xmin::text AS transaction FROM orders.orders ORDER BY sequence_key"
    )
    assert [row["attempts"] for row in rows] == [2, 1, 2]
    assert rows[0]["transaction"] == rows[2]["transaction"]


async def test_fates_are_recorded_together(writes: GroupedWrites, owner: Any) -> None:
    """In one transaction, and each order has its own; one that was recorded stays."""
    pending = await recorded(writes, 3)
    await asyncio.gather(*(writes.settle(settlement(each)) for each in pending))
    fates = (Fate.ACKNOWLEDGED, Fate.UNKNOWN, Fate.REFUSED)
    for _ in range(2):
        await asyncio.gather(
            *(
                writes.record_fate(each.order_id, fate)
                for each, fate in zip(pending, fates, strict=True)
            )
        )
        fates = (Fate.UNKNOWN, Fate.REFUSED, Fate.ACKNOWLEDGED)
        assert await owner.fetchval("SELECT count(DISTINCT xmin::text) FROM orders.orders") == 1
    rows = await owner.fetch("SELECT notification FROM orders.orders ORDER BY sequence_key")
    assert [row["notification"] for row in rows] == ["acknowledged", "unknown", "refused"]


async def test_one_order_is_settled_twice_in_a_group(writes: GroupedWrites, owner: Any) -> None:
    """Its delivery and a cancellation hold an answer at the same moment: the first took effect, the other is told so."""
    one, two = await recorded(writes, 2)
    late = replace(settlement(one), status=Status.FAILED, notification=None)
    first, other, second = await asyncio.gather(
        *map(writes.settle, (settlement(one), settlement(two), late))
    )
    assert first is not None
    assert other is not None
    assert second is None
    statuses = await owner.fetch("SELECT status FROM orders.orders")
    assert {row["status"] for row in statuses} == {"billed"}


async def test_a_wait_that_a_stop_ends_is_given_up() -> None:
    """What was waited for is cancelled, so that it takes no token of the budget from an order that goes on."""
    stopping, begun = asyncio.Event(), asyncio.Event()
    token = asyncio.get_running_loop().create_future()

    async def taken() -> None:
        begun.set()
        await token

    waiting = asyncio.create_task(unless_stopping(stopping, taken()))
    await begun.wait()
    stopping.set()
    with pytest.raises(LeaseLost):
        await waiting
    assert token.cancelled()


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_wait_leaves_nothing_behind(cancelled: bool) -> None:
    """An order that is tried again for hours keeps no task of each of its pauses."""
    before = asyncio.all_tasks()
    stopping, begun, over = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def pause() -> None:
        begun.set()
        await over.wait()

    waiting = asyncio.create_task(unless_stopping(stopping, pause()))
    await begun.wait()
    waiting.cancel() if cancelled else over.set()
    await asyncio.wait((waiting,))
    await next_turn()
    assert asyncio.all_tasks() == before


async def test_the_pauses_grow_over_all_writes_of_an_order() -> None:
    """A database that is away for the first one is asked less often by the next one."""
    asked: list[int] = []

    def pause_s(attempt: int) -> float:
        asked.append(attempt)
        return 0.0

    async def sleep(_: float) -> None:
        """No time."""

    def failing(times: int) -> Any:
        left = times

        async def write() -> str:
            nonlocal left
            left -= 1
            if left >= 0:
                raise DatabaseTrouble("away")
            return "written"

        return write

    backoff: Any = SimpleNamespace(pause_s=pause_s)
    writes = UntilWritten(uuid4(), cast(Any, None), backoff, sleep, asyncio.Event())
    for _ in range(2):
        assert await writes.repeat(failing(2)) == "written"
    assert asked == [1, 2, 3, 4]
