"""Orders are shown as they were committed at one moment, and pages neither skip nor repeat one."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from order_service import listing
from service_kit.bounded_pool import Connection
from tests.order_service.conftest import Shop

Owner = Any
_INSERT = """
    INSERT INTO orders.orders (order_id, customer, item, amount_cents, delivery, sequence_key, fingerprint, lease_owner,
                               lease_until, status, answer, created_at, settled_at)
    SELECT order_id, 'alice', 'book', 1, 'exactly_once', key, '', gen_random_uuid(), now(), 'billed', '{}', created_at, now()
    FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[]) AS given (order_id, key, created_at)
"""


@pytest.fixture
async def owner(database: Any) -> AsyncIterator[Owner]:
    connection = await asyncpg.connect(database.owner)
    yield connection
    await connection.close()


class Recorder:
    """Inserts settled orders, in groups that share a time as those of one transaction do."""

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.key = 0

    async def insert(self, count: int, *, age_s: float = 0) -> set[str]:
        ids = [uuid4() for _ in range(count)]
        found = await self.owner.fetchval("SELECT now() - make_interval(secs => $1)", age_s)
        keys = range(self.key + 1, self.key + count + 1)
        self.key += count
        await self.owner.execute(_INSERT, ids, list(keys), [found] * count)
        return {str(order_id) for order_id in ids}


async def pages(shop: Shop, between: Any, limit: int = 3) -> list[str]:
    """The ids of all pages in their order; `between` runs after each page."""
    ids: list[str] = []
    params: dict[str, Any] = {"limit": limit}
    while True:
        page = (await shop.orders.get("/orders", params=params)).json()
        ids += [order["order_id"] for order in page["orders"]]
        assert len(page["orders"]) <= limit
        if page["next"] is None:
            return ids
        params["before"] = page["next"]
        await between()


@pytest.mark.parametrize("index", ["with its index", "without"])
async def test_pages_while_orders_are_recorded(shop: Shop, owner: Owner, index: str) -> None:
    """Each order that was there when the first page was read is on one page, in order; none is on two.

    Orders of one time (one transaction) are cut by the ends of pages; new ones come between pages, also such as began
    before the first page and were committed after it. The statement says the order, and not the index that happens to have it.
    """
    if index == "without":
        await owner.execute("DROP INDEX orders.orders_of_client_by_age")
    recorder = Recorder(owner)
    there: set[str] = set()
    for size in (1, 7, 2, 5, 4):
        there |= await recorder.insert(size)

    async def between() -> None:
        await recorder.insert(2)
        # Older than what was shown: a transaction that began earlier and was committed now.
        await recorder.insert(1, age_s=random.uniform(0, 3600))

    listed = await pages(shop, between)
    assert len(listed) == len(set(listed))
    assert there <= set(listed)
    times = {
        str(row["order_id"]): (row["created_at"], row["order_id"])
        for row in await owner.fetch("SELECT order_id, created_at FROM orders.orders")
    }
    order = [times[each] for each in listed]
    assert order == sorted(order, reverse=True)


async def test_pages_while_orders_are_settled(shop: Shop, owner: Owner) -> None:
    """What an order is does not move it: a state, an answer, a fresh key."""
    recorder = Recorder(owner)
    there = await recorder.insert(9)

    async def between() -> None:
        await owner.execute(
            "UPDATE orders.orders SET sequence_key = sequence_key + 1000, attempts = attempts + 1, settled_at = now()"
        )

    listed = await pages(shop, between, limit=2)
    assert sorted(listed) == sorted(there)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 6])
async def test_the_last_page(shop: Shop, owner: Owner, count: int) -> None:
    """There is a next page when there are more orders, and only then: none is empty but the first of none."""
    there = await Recorder(owner).insert(count)
    empty = 0
    params: dict[str, Any] = {"limit": 2}
    listed: list[str] = []
    while True:
        page = (await shop.orders.get("/orders", params=params)).json()
        empty += not page["orders"]
        listed += [order["order_id"] for order in page["orders"]]
        if page["next"] is None:
            break
        params["before"] = page["next"]
    assert sorted(listed) == sorted(there)
    assert empty == (count == 0)


class Interrupted:
    """A connection behind which an order is settled after each statement: a second snapshot would see another moment."""

    def __init__(self, connection: Any, between: Any) -> None:
        self.connection = connection
        self.between = between

    async def fetchrow(self, *arguments: Any) -> Any:
        row = await self.connection.fetchrow(*arguments)
        await self.between()
        return row

    async def fetch(self, *arguments: Any) -> Any:
        rows = await self.connection.fetch(*arguments)
        await self.between()
        return rows


@pytest.mark.parametrize("asked", ["one", "page"])
async def test_an_order_that_is_settled_while_it_is_read(
    database: Any, owner: Owner, asked: str
) -> None:
    """It is shown as pending with the attempts of then, or as billed with the one that was answered, never mixed."""
    order_id = UUID(int=1)
    await owner.execute(
        """
        INSERT INTO orders.orders (order_id, customer, item, amount_cents, delivery, sequence_key, fingerprint, lease_owner,
                                   lease_until)
        VALUES ($1, 'alice', 'book', 1, 'exactly_once', 1, '', gen_random_uuid(), now())
        """,
        order_id,
    )

    async def settled() -> None:
        async with owner.transaction():
            await owner.execute(
                """
                INSERT INTO orders.attempts VALUES ($1, 1, 1, false, 'acknowledged', 'HTTP 201', 0.25)
                ON CONFLICT DO NOTHING
                """,
                order_id,
            )
            await owner.execute(
                "UPDATE orders.orders SET status = 'billed', answer = '{}', settled_at = now() WHERE status = 'pending'"
            )

    reader = await asyncpg.connect(database.order)
    interrupted: Connection = Interrupted(reader, settled)  # type: ignore[assignment]
    seen = []
    for _ in range(2):
        found = (
            await listing.find(interrupted, "", order_id)
            if asked == "one"
            else (await listing.newest(interrupted, "", None, 5))[0]
        )
        assert found is not None
        seen.append((found.status, [attempt.outcome for attempt in found.attempts]))
    await reader.close()
    assert seen == [("pending", []), ("billed", ["acknowledged"])]


async def test_attempts_are_shown_as_they_were_recorded(shop: Shop, owner: Owner) -> None:
    """In their order, with each field; those of one order beside no other one."""
    recorder = Recorder(owner)
    one, other = sorted(await recorder.insert(2))
    for attempt in (2, 1):
        await owner.execute(
            "INSERT INTO orders.attempts VALUES ($1, $2, 7, $3, $4, $5, 0.125)",
            UUID(one),
            attempt,
            attempt > 1,
            "unknown" if attempt == 1 else "acknowledged",
            'Timeout: "no" answer\n' if attempt == 1 else "HTTP 201",
        )
    order = (await shop.orders.get(f"/orders/{one}")).json()
    assert order["attempts"] == [
        {"attempt": 1, "sequence_key": 7, "retry": False, "outcome": "unknown", "caller_saw": 'Timeout: "no" answer\n', "seconds": 0.125},
        {"attempt": 2, "sequence_key": 7, "retry": True, "outcome": "acknowledged", "caller_saw": "HTTP 201", "seconds": 0.125},
    ]  # fmt: skip
    listed = {
        each["order_id"]: each for each in (await shop.orders.get("/orders")).json()["orders"]
    }
    assert listed[one] == order
    assert listed[other]["attempts"] == []
    assert (await shop.orders.get(f"/orders/{other}")).json() == listed[other]


async def test_pages_while_orders_are_placed(shop: Shop) -> None:
    """The same through the service: pages are read while orders are placed and settled."""
    placed = [(await shop.place(amount_cents=1)).json()["order_id"] for _ in range(8)]

    async def between() -> None:
        await asyncio.gather(*(shop.place(amount_cents=1) for _ in range(2)))

    listed = await pages(shop, between)
    assert [each for each in listed if each in set(placed)] == placed[::-1]
    assert len(listed) == len(set(listed))
