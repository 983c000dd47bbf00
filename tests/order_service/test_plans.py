"""What a statement reads does not grow with the orders of a client, even when its plan was made while the table was empty."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from order_service import listing
from order_service.orders import PendingOrder, Recording
from order_service.statements.recording import record_all
from order_service.wire import NewOrder
from service_kit.bounded_pool import Connection

# Enough for Postgres to keep a plan (it decides after five executions), and to use it on what was recorded since.
ROUNDS = 30
# One for each order that a round records. None were read but in one of many runs, whose plan is not known; one for each order does not
# grow with the orders of a client.
OWN_ENTRIES_MAX = 2
# Of this transaction alone: sessions of the test before may publish late what they have read.
READ = """
    SELECT pg_stat_get_xact_tuples_returned('orders.orders'::regclass),
           pg_stat_get_xact_tuples_returned('orders.orders_of_client_by_age'::regclass)
"""


@pytest.fixture
async def connection(database: Any) -> AsyncIterator[Any]:
    """A session of the service, in one transaction."""
    connection = await asyncpg.connect(database.order)
    # As the pool sets them for each session of a service.
    await connection.execute("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan")
    async with connection.transaction():
        yield connection
    await connection.close()


async def record(connection: Connection, key: str) -> UUID:
    new = NewOrder(customer="alice", amount_cents=5, item="book")
    keyed = [Recording(uuid4(), new, customer_key, "shop") for customer_key in (key, None)]
    first, second = await record_all(connection, keyed, uuid4(), 10, 1000)
    assert isinstance(first, PendingOrder)
    assert isinstance(second, PendingOrder)
    return first.order_id


async def read(connection: Any, *, listed: bool) -> tuple[int, int]:
    """Records orders and finds each by its id and its key.

    Returns how many rows were read one after the other, and how many entries of the index that lists a client's orders.
    """
    before = await connection.fetchrow(READ)
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
    after = await connection.fetchrow(READ)
    return after[0] - before[0], after[1] - before[1]


@pytest.mark.parametrize("newest_index", ["of keys", "of the list"])
async def test_an_order_is_recorded_and_found_by_itself(
    database: Any, connection: Any, newest_index: str
) -> None:
    """Neither recording nor finding one order reads the other orders of its client.

    Of two indexes that seem equally good the planner takes the one that it meets first, so each of them is made last once.
    """
    if newest_index == "of the list":
        owner = await asyncpg.connect(database.owner)
        made = await owner.fetchval(
            "SELECT pg_get_indexdef('orders.orders_of_client_by_age'::regclass)"
        )
        await owner.execute(f"DROP INDEX orders.orders_of_client_by_age; {made}")
        await owner.close()
    rows, entries = await read(connection, listed=False)
    assert rows == 0
    assert entries <= OWN_ENTRIES_MAX * ROUNDS


async def test_what_is_read_is_counted(connection: Any) -> None:
    """The negative control: Postgres counts a page of the list, and a read of all rows."""
    rows, entries = await read(connection, listed=True)
    assert rows >= 2 * ROUNDS
    assert entries >= 10
