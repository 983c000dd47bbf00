"""The statements at their edges, in one transaction each: there `now()` stands still, so an edge is an edge on any machine."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from order_service import listing
from order_service.orders import Beginning, LeaseLost, Settlement
from order_service.statements import attempts, leases, settling
from order_service.wire import Attempt, Fate, Status
from service_kit.bounded_pool import Connection

OWN, OTHER = UUID(int=1), UUID(int=2)
ORDER, BESIDE = UUID(int=7), UUID(int=8)
LEASE_S = 10.0
EDGE = timedelta(microseconds=1)


async def insert(
    connection: Connection, order_id: UUID, *, begun: int = 2, age_s: float = 0.0
) -> None:
    """A pending order of this process, with the next key and so many attempts begun."""
    await connection.execute(
        """
        WITH minted AS (UPDATE orders.sequence_counter SET last_key = last_key + 1 RETURNING last_key)
        INSERT INTO orders.orders (order_id, customer, item, amount_cents, delivery, sequence_key, fingerprint,
                                   lease_owner, lease_until, attempts, created_at)
        SELECT $1, 'alice', 'book', 5, 'exactly_once', last_key, '', $2, now(), $3, now() - make_interval(secs => $4)
        FROM minted
        """,
        order_id,
        OWN,
        begun,
        age_s,
    )


@pytest.fixture
async def connection(database: Any) -> AsyncIterator[Any]:
    """In a transaction that is rolled back, with one order of this process: key 1, two attempts begun."""
    connection = await asyncpg.connect(database.owner)
    transaction = connection.transaction()
    await transaction.start()
    await insert(connection, ORDER)
    yield connection
    await transaction.rollback()
    await connection.close()


async def lease(connection: Connection, left: timedelta, owner: UUID = OWN) -> None:
    """The order's lease lasts so long from now on."""
    await connection.execute(
        "UPDATE orders.orders SET lease_until = now() + $1, lease_owner = $2", left, owner
    )


async def left(connection: Connection) -> timedelta:
    """How long the lease lasts."""
    found: timedelta = await connection.fetchval("SELECT lease_until - now() FROM orders.orders")
    return found


async def settle(connection: Connection, status: Status = Status.BILLED) -> object:
    fate = Fate.ATTEMPTED if status is Status.BILLED else None
    settlement = Settlement(ORDER, None, status, {"charge_id": status.value}, fate)
    return (await settling.settle_all(connection, [settlement]))[ORDER]


def settlement(order_id: UUID) -> Settlement:
    return Settlement(order_id, None, Status.BILLED, {"charge_id": "c"}, Fate.ATTEMPTED)


@pytest.mark.parametrize(("over", "taken"), [(-EDGE, 1), (timedelta(), 0), (EDGE, 0)])
async def test_a_lease_is_respected_to_its_end(
    connection: Connection, over: timedelta, taken: int
) -> None:
    """Taken over when it has run out, and not a moment before; the new lease is the new process's."""
    await lease(connection, over)
    orders = await leases.take_over(connection, OTHER, LEASE_S, 10)
    assert [(order.order_id, order.taken_over) for order in orders] == [(ORDER, True)] * taken
    owner = await connection.fetchval("SELECT lease_owner FROM orders.orders")
    assert owner == (OTHER if taken else OWN)
    assert await left(connection) == (timedelta(seconds=LEASE_S) if taken else over)


async def test_the_oldest_key_is_taken_over_first(connection: Connection) -> None:
    """Whichever lease ran out first: below the lowest pending key billing may forget, so what holds the mark back goes first."""
    await insert(connection, BESIDE)
    # The statement says the order: not an index that happens to have it, nor the rows, nor their leases.
    await connection.execute("DROP INDEX orders.orders_pending_by_key")
    for order_id, over_s in ((BESIDE, 2.0), (ORDER, 1.0)):
        await connection.execute(
            "UPDATE orders.orders SET lease_until = now() - make_interval(secs => $2) WHERE order_id = $1",
            order_id,
            over_s,
        )
    taken = await leases.take_over(connection, OTHER, LEASE_S, 1)
    assert [order.order_id for order in taken] == [ORDER]


async def test_what_is_unsettled(connection: Connection) -> None:
    """How many orders an operator has open, how old the oldest is, and the lowest key without an answer: the settled ones do not count."""
    await connection.execute("DELETE FROM orders.orders")
    await connection.execute("UPDATE orders.sequence_counter SET last_key = 0")
    assert await leases.read_unsettled(connection) == leases.Unsettled(0, 0.0, 1)
    await insert(connection, BESIDE, age_s=5.0)
    await insert(connection, ORDER, age_s=9.0)
    await insert(connection, UUID(int=9), age_s=7.0)
    assert await leases.read_unsettled(connection) == leases.Unsettled(3, 9.0, 1)
    await settling.settle_all(connection, [settlement(BESIDE)])
    assert await leases.read_unsettled(connection) == leases.Unsettled(2, 9.0, 2)
    await settling.settle_all(connection, [settlement(ORDER)])
    assert await leases.read_unsettled(connection) == leases.Unsettled(1, 7.0, 3)
    await settling.settle_all(connection, [settlement(UUID(int=9))])
    assert await leases.read_unsettled(connection) == leases.Unsettled(0, 0.0, 4)


async def listed(connection: Connection) -> object:
    return await listing.newest(connection, "", None, 10)


async def found(connection: Connection) -> object:
    return await listing.find(connection, "", ORDER)


async def found_by_key(connection: Connection) -> object:
    return await listing.find_by_customer_key(connection, "", "alice", "key")


@pytest.mark.parametrize("read", [listed, found, found_by_key, leases.read_unsettled])
async def test_nothing_is_shown_without_the_seal(
    connection: Connection, read: Callable[[Connection], Awaitable[object]]
) -> None:
    """What a failover may lose is told to no client, and no key is declared settled by it."""
    assert await read(connection) is not None or read is found_by_key
    await connection.execute(
        """
        CREATE OR REPLACE FUNCTION orders.sealed() RETURNS boolean LANGUAGE plpgsql
        AS $$ BEGIN RAISE EXCEPTION 'the standby is silent'; END $$
        """
    )
    with pytest.raises(asyncpg.RaiseError, match="the standby is silent"):
        await read(connection)


async def test_a_settled_order_is_not_taken_over(connection: Connection) -> None:
    """Its lease runs out like any other, and nothing is left to be delivered: it is not charged or notified again."""
    await settle(connection)
    await lease(connection, -EDGE)
    assert await leases.take_over(connection, OTHER, LEASE_S, 10) == []
    assert await left(connection) == -EDGE


@pytest.mark.parametrize("held", ["expired", "nearly expired"])
async def test_a_held_order_stops_no_round(database: Any, held: str) -> None:
    """Another transaction has the order for as long as it likes: the loop takes over and keeps all others, and waits for none."""
    holder, connection = [await asyncpg.connect(database.owner) for _ in range(2)]
    for order_id in (ORDER, BESIDE):
        await insert(holder, order_id)
    over = held == "expired"
    await lease(holder, timedelta(seconds=-1 if over else 1))
    async with holder.transaction(), connection.transaction():
        await holder.execute("SELECT 1 FROM orders.orders WHERE order_id = $1 FOR UPDATE", ORDER)
        # A statement that waits for the order fails; the test need not wait with it.
        await connection.execute("SET LOCAL lock_timeout = '1ms'")
        if over:
            taken = await leases.take_over(connection, OWN, LEASE_S, 10)
            assert [order.order_id for order in taken] == [BESIDE]
        else:
            await leases.keep_leases(connection, [ORDER, BESIDE], OWN, LEASE_S)
        kept = await connection.fetch(
            "SELECT order_id FROM orders.orders WHERE lease_until > now() + interval '2 seconds'"
        )
        assert [row["order_id"] for row in kept] == [BESIDE]
    await connection.close()
    await holder.close()


async def test_a_held_order_is_left_out_of_its_group(database: Any) -> None:
    """Whatever is written of it: the others of the group are written at once, and their callers do not wait for it."""
    holder, connection = [await asyncpg.connect(database.owner) for _ in range(2)]
    both = (ORDER, BESIDE)
    for order_id in both:
        await insert(holder, order_id)
    async with holder.transaction(), connection.transaction():
        await holder.execute("SELECT 1 FROM orders.orders WHERE order_id = $1 FOR UPDATE", ORDER)
        await connection.execute("SET LOCAL lock_timeout = '1ms'")
        beginnings = [Beginning(each, 3) for each in both]
        begun = await attempts.begin_attempts(connection, beginnings, OWN, LEASE_S)
        assert begun == {BESIDE: True}
        settled = await settling.settle_all(connection, [settlement(each) for each in both])
        assert [*settled] == [BESIDE]
        fates = [(each, Fate.ACKNOWLEDGED) for each in both]
        assert await settling.record_fates(connection, fates) == {BESIDE}
    await connection.close()
    await holder.close()


async def test_a_group_touches_no_other_order(connection: Connection) -> None:
    """An order that nothing is written of is neither changed nor locked, so that its own writes wait for none of this."""
    await insert(connection, BESIDE)
    # Its lease runs out as well; xmax is the transaction that has changed or locked the row, 0 when there is none.
    row = "SELECT orders::text FROM orders.orders WHERE order_id = $1 AND xmax = 0"
    before = await connection.fetchval(row, BESIDE)
    assert before is not None
    await settling.lock_order(connection, ORDER)
    await leases.keep_leases(connection, [ORDER], OWN, LEASE_S)
    begun = await attempts.begin_attempts(connection, [Beginning(ORDER, 3)], OWN, LEASE_S)
    assert begun == {ORDER: True}
    assert [*await settling.settle_all(connection, [settlement(ORDER)])] == [ORDER]
    assert await settling.record_fates(connection, [(ORDER, Fate.UNKNOWN)]) == {ORDER}
    assert await connection.fetchval(row, BESIDE) == before


@pytest.mark.parametrize(
    ("before_s", "owner", "kept"),
    [
        (6.9, OWN, True),
        (7.1, OWN, False),
        (-5.0, OWN, True),
        (6.9, OTHER, False),
    ],
)
async def test_a_lease_is_renewed_early_enough(
    connection: Connection, before_s: float, owner: UUID, kept: bool
) -> None:
    """When three tenths of it have passed, by its own process alone."""
    await lease(connection, timedelta(seconds=before_s), owner)
    await leases.keep_leases(connection, [ORDER], OWN, LEASE_S)
    assert await left(connection) == timedelta(seconds=LEASE_S if kept else before_s)


async def test_a_lease_at_its_edge(connection: Connection) -> None:
    """It is renewed after three tenths of it and not at them: a row that need not be written is left alone."""
    await lease(connection, timedelta(seconds=7))
    await leases.keep_leases(connection, [ORDER], OWN, LEASE_S)
    assert await left(connection) == timedelta(seconds=7)
    await lease(connection, timedelta(seconds=7) - EDGE)
    await leases.keep_leases(connection, [ORDER], OWN, LEASE_S)
    assert await left(connection) == timedelta(seconds=LEASE_S)


Begin = Callable[[Connection, int, UUID], Awaitable[bool]]


async def together(connection: Connection, attempt: int, owner: UUID) -> bool:
    begun = await attempts.begin_attempts(connection, [Beginning(ORDER, attempt)], owner, LEASE_S)
    return begun[ORDER]


async def with_a_fresh_key(connection: Connection, attempt: int, owner: UUID) -> bool:
    try:
        begun, _ = await attempts.lock_for_fresh_key(connection, ORDER, owner)
    except LeaseLost:
        return False
    assert begun == 2
    key = await attempts.mint_for_attempt(connection, ORDER, attempt, LEASE_S)
    assert key == 1 + await connection.fetchval("SELECT count(*) FROM orders.orders")
    return True


BEGIN = pytest.mark.parametrize("begin", [together, with_a_fresh_key])


@BEGIN
async def test_an_attempt_has_a_whole_lease(connection: Connection, begin: Begin) -> None:
    """From its beginning on: it is not taken over while it is under way."""
    assert await begin(connection, 3, OWN)
    assert await left(connection) == timedelta(seconds=LEASE_S)
    assert await connection.fetchval("SELECT attempts FROM orders.orders") == 3


@BEGIN
async def test_no_attempt_begins_without_the_lease(connection: Connection, begin: Begin) -> None:
    """Another process has the order now, or it is settled: this one must not send."""
    assert not await begin(connection, 3, OTHER)
    await settle(connection)
    assert not await begin(connection, 3, OWN)
    assert await connection.fetchval("SELECT attempts FROM orders.orders") == 2


@BEGIN
@pytest.mark.parametrize("order_ids", [(ORDER, BESIDE), (BESIDE, ORDER)], ids=["newer", "older"])
async def test_an_attempt_is_of_one_order(
    connection: Connection, begin: Begin, order_ids: tuple[UUID, UUID]
) -> None:
    """Nothing of another order of this process changes with it, be that order older or newer: no key, no attempt, no lease."""
    await connection.execute("DELETE FROM orders.orders")
    await connection.execute("UPDATE orders.sequence_counter SET last_key = 0")
    for order_id in order_ids:
        await insert(connection, order_id, begun=2 if order_id == ORDER else 5)
    row = "SELECT orders::text FROM orders.orders WHERE order_id = $1"
    before = await connection.fetchval(row, BESIDE)
    assert await begin(connection, 3, OWN)
    assert await connection.fetchval(row, BESIDE) == before
    counted = await connection.fetch("SELECT attempts FROM orders.orders ORDER BY attempts")
    assert [each["attempts"] for each in counted] == [3, 5]


@pytest.mark.parametrize(("attempt", "begins"), [(1, False), (2, True), (3, True), (4, False)])
async def test_attempts_begin_in_turn(connection: Connection, attempt: int, begins: bool) -> None:
    """The next one, or the latest one again after a commit whose answer was lost; none is left out or taken back."""
    assert await together(connection, attempt, OWN) is begins
    counted = await connection.fetchval("SELECT attempts FROM orders.orders")
    assert counted == (attempt if begins else 2)


async def test_the_first_record_of_an_attempt_stays(connection: Connection) -> None:
    """A process that was taken for dead, and wakes up, changes nothing of what was recorded."""
    for outcome in ("unknown", "acknowledged"):
        attempt = Attempt(
            attempt=2,
            sequence_key=1,
            retry=True,
            outcome=outcome,
            caller_saw=outcome,
            seconds=0.1,
        )
        await attempts.insert_attempt(connection, ORDER, attempt)
    rows = await connection.fetch("SELECT outcome, caller_saw FROM orders.attempts")
    assert [tuple(row) for row in rows] == [("unknown", "unknown")]


async def test_the_first_settlement_stays(connection: Connection) -> None:
    """The second one is told that it did not take effect, whatever it says."""
    assert await settle(connection) is not None
    assert await settle(connection, Status.FAILED) is None
    assert await settle(connection) is None
    row = await connection.fetchrow("SELECT status, notification FROM orders.orders")
    assert row is not None
    assert tuple(row) == ("billed", "attempted")


async def test_the_first_fate_stays(connection: Connection) -> None:
    """And an order without a notification has none."""
    await settling.record_fates(connection, [(ORDER, Fate.UNKNOWN)])
    assert await connection.fetchval("SELECT notification FROM orders.orders") is None
    await settle(connection)
    for fate in (Fate.ACKNOWLEDGED, Fate.UNKNOWN, Fate.REFUSED):
        assert await settling.record_fates(connection, [(ORDER, fate)]) == {ORDER}
    assert await connection.fetchval("SELECT notification FROM orders.orders") == "acknowledged"
