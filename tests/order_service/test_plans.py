"""What a statement reads does not grow with the orders of a client, even when its plan was made while the table was empty."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg

from order_service import listing
from order_service.orders import PendingOrder, Recording, WindowFull
from order_service.statements.recording import record_all
from order_service.wire import NewOrder
from service_kit.bounded_pool import Connection

# Enough for Postgres to keep a plan (it decides after five executions), and to use it on what was recorded since.
ROUNDS = 30
# As the pool sets them for each session of a service.
SESSION = "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan"
READ = """
    SELECT seq_tup_read, (SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'orders_of_client_by_age')
    FROM pg_stat_user_tables
    WHERE relname = 'orders'
"""


async def record(connection: Connection, key: str) -> UUID:
    new = NewOrder(customer="alice", amount_cents=5, item="book")
    keyed = [Recording(uuid4(), new, customer_key, "shop") for customer_key in (key, None)]
    first, second = await record_all(connection, keyed, uuid4(), 10, 1000)
    assert isinstance(first, PendingOrder)
    assert isinstance(second, PendingOrder)
    return first.order_id


async def read(database: Any, *, listed: bool) -> tuple[int, int]:
    """Records orders and finds each by its id and its key.

    Returns how many rows were read one after the other, and how many entries of the index that lists a client's orders.
    """
    owner = await asyncpg.connect(database.owner)
    connection = await asyncpg.connect(database.order)
    try:
        await connection.execute(SESSION)
        before = await owner.fetchrow(READ)
        for number in range(ROUNDS):
            order_id = await record(connection, f"key-{number}")
            found = await listing.find_by_customer_key(connection, "shop", "alice", f"key-{number}")
            assert found is not None
            assert found[0] == order_id
            assert await listing.find(connection, "shop", order_id) is not None
            assert await listing.find(connection, "other", order_id) is None
        if listed:
            assert len(await listing.newest(connection, "shop", None, 10)) == 10
            await connection.execute("SELECT item FROM orders.orders")
        # Postgres publishes at once what this session has read.
        await connection.execute("SELECT pg_stat_force_next_flush()")
        await connection.execute("SELECT 1")
        after = await owner.fetchrow(READ)
    finally:
        await connection.close()
        await owner.close()
    assert before is not None
    assert after is not None
    return after[0] - before[0], after[1] - before[1]


async def test_an_order_is_recorded_and_found_by_itself(database: Any) -> None:
    """Neither recording nor finding one order reads the other orders of its client."""
    assert await read(database, listed=False) == (0, 0)


async def test_what_is_read_is_counted(database: Any) -> None:
    """The negative control: Postgres counts a page of the list, and a read of all rows."""
    rows, entries = await read(database, listed=True)
    assert rows >= 2 * ROUNDS
    assert entries >= 10


async def test_a_window_that_was_made_smaller(database: Any) -> None:
    """To refuse an order costs as much as the window is wide, and not as much as orders are unsettled: overload does not feed itself."""
    pending = "SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE indexrelname LIKE 'orders_pending_%'"
    connection = await asyncpg.connect(database.order)
    try:
        await connection.execute(f"{SESSION}; SET stats_fetch_consistency = none")
        for number in range(ROUNDS):
            await record(connection, f"key-{number}")
        await connection.execute("SELECT pg_stat_force_next_flush()")
        before = await connection.fetchval(pending)
        order = NewOrder(customer="alice", amount_cents=5, item="book")
        for _ in range(ROUNDS):
            (refused,) = await record_all(
                connection, [Recording(uuid4(), order, None, "shop")], uuid4(), 10, 2
            )
            assert isinstance(refused, WindowFull)
        await connection.execute("SELECT pg_stat_force_next_flush()")
        assert await connection.fetchval(pending) - before == 2 * ROUNDS
    finally:
        await connection.close()
