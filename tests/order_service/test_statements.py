"""The statements at their edges, in one transaction each: there `now()` stands still, so an edge is an edge on any machine."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from order_service.orders import Beginning, LeaseLost, Settlement
from order_service.statements import attempts, leases, settling
from order_service.wire import Attempt, Fate, Status
from service_kit.bounded_pool import Connection

OWN, OTHER = UUID(int=1), UUID(int=2)
ORDER = UUID(int=7)
LEASE_S = 10.0
EDGE = timedelta(microseconds=1)


@pytest.fixture
async def connection(database: Any) -> AsyncIterator[Any]:
    """In a transaction that is rolled back, with one order of this process: key 1, two attempts begun."""
    connection = await asyncpg.connect(database.owner)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(
        """
        WITH minted AS (UPDATE orders.sequence_counter SET last_key = 1)
        INSERT INTO orders.orders (order_id, customer, item, amount_cents, delivery, sequence_key, fingerprint,
                                   lease_owner, lease_until, attempts)
        VALUES ($1, 'alice', 'book', 5, 'exactly_once', 1, '', $2, now(), 2)
        """,
        ORDER,
        OWN,
    )
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


@pytest.mark.parametrize(
    ("before_s", "owner", "kept"),
    [(6.9, OWN, True), (7.1, OWN, False), (-5.0, OWN, True), (6.9, OTHER, False)],
)
async def test_a_lease_is_renewed_early_enough(
    connection: Connection, before_s: float, owner: UUID, kept: bool
) -> None:
    """When three tenths of it have passed, by its own process alone."""
    await lease(connection, timedelta(seconds=before_s), owner)
    await leases.keep_leases(connection, [ORDER], OWN, LEASE_S)
    assert await left(connection) == timedelta(seconds=LEASE_S if kept else before_s)


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
    assert await attempts.mint_for_attempt(connection, ORDER, attempt, LEASE_S) == 2
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
