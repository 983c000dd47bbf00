"""Billing knows less of this caller than its mark says: no order fails, and none is charged twice on the way back."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

import billing_service.app
import billing_service.settings
import order_service.app
from tests.order_service.conftest import OPENING_CENTS, TOKEN, Network, Shop
from tests.order_service.test_orders import settled

# The counter of a caller whose billing has lost its keys.
AHEAD = 1_000
BODY = {"customer": "alice", "amount_cents": 1999, "item": "book"}


def billing_that_reaches(database: Any, mark_leap_max: int) -> Any:
    """Billing on the test's database, with this bound for marks."""
    return billing_service.app.create(
        billing_service.settings.Settings(
            database_url=SecretStr(database.billing),
            tokens={"order_service": (TOKEN,)},
            hosts=("billing",),
            mark_leap_max=mark_leap_max,
        )
    )


async def looked(client: httpx.AsyncClient) -> float:
    """The looks at unsettled orders that have ended well."""
    name = 'order_takeover_rounds_total{end="done"} '
    lines = (await client.get("/metrics")).text.splitlines()
    return next(float(line.removeprefix(name)) for line in lines if line.startswith(name))


@pytest.fixture
async def ahead(
    shop: Shop, database: Any, serve: Any
) -> AsyncIterator[tuple[httpx.AsyncClient, Network]]:
    """The order service, with a mark far above the keys of its billing, and the network to it."""
    owner = await asyncpg.connect(database.owner)
    # The order service of the shop reads the same mark, and would declare it to its own billing, which lets it leap.
    shop.network.lose_requests = 1_000_000
    await owner.execute("UPDATE orders.sequence_counter SET last_key = $1", AHEAD)
    narrow = billing_that_reaches(database, mark_leap_max=5)
    network = Network({**shop.network.services, "billing": httpx.ASGITransport(narrow)})
    impatient = shop.settings.model_copy(update={"wait_budget_s": 0.05})
    async with (
        serve(narrow),
        serve(order_service.app.create(impatient, lambda: network)) as client,
        asyncio.timeout(60),
    ):
        # The process has read the mark; a look may have been under way before.
        before = await looked(client)
        while await looked(client) < before + 2:
            await owner.fetchval("SELECT 1")
        yield client, network
    await owner.close()


async def refused_once(client: httpx.AsyncClient, location: str) -> dict[str, Any]:
    """The order when one of its attempts has met the refusal."""
    while True:
        order: dict[str, Any] = (await client.get(location)).json()
        if order["attempts"]:
            return order


async def test_an_order_stays_pending_until_the_mark_is_within_reach(
    ahead: tuple[httpx.AsyncClient, Network], shop: Shop, database: Any, serve: Any
) -> None:
    """Nothing is withdrawn meanwhile, and then the order is billed once, under the key that it had."""
    client, network = ahead
    response = await client.post("/orders", json=BODY)
    assert response.status_code == 202
    order = await refused_once(client, response.headers["Location"])
    assert (order["status"], order["sequence_key"]) == ("pending", AHEAD + 1)
    assert order["attempts"][0]["outcome"] == "unknown"
    assert order["attempts"][0]["caller_saw"] == "HTTP 422 mark-leap"
    assert await shop.balance() == OPENING_CENTS
    async with serve(patient := billing_that_reaches(database, mark_leap_max=10 * AHEAD)):
        network.services["billing"] = httpx.ASGITransport(patient)
        ended = await settled(shop, order["order_id"])
        assert (ended["status"], ended["sequence_key"]) == ("billed", AHEAD + 1)
    assert await shop.balance() == OPENING_CENTS - 1999


async def test_an_order_that_is_cancelled_meanwhile(
    ahead: tuple[httpx.AsyncClient, Network], shop: Shop, database: Any, serve: Any
) -> None:
    """Its key is voided: a delayed copy of its charge, which billing would execute by then, withdraws nothing."""
    client, network = ahead
    response = await client.post("/orders", json=BODY)
    order = await refused_once(client, response.headers["Location"])
    cancelled = await client.post(f"{response.headers['Location']}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    (first, *_) = [request for request in network.requests if request.method == "POST"]
    async with serve(patient := billing_that_reaches(database, mark_leap_max=10 * AHEAD)):
        late = await httpx.ASGITransport(patient).handle_async_request(first)
    assert late.status_code == 410
    assert await shop.balance() == OPENING_CENTS
    assert (await settled(shop, order["order_id"], notified=False))["status"] == "cancelled"
