"""An order belongs to the client that placed it; without ORDER_TOKENS there is one client, and it has no name."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette

import order_service.app
from order_service.settings import Settings
from tests.order_service.conftest import OPENING_CENTS, Shop
from tests.order_service.test_cancel import pending_order

SHOP, KIOSK = "token-of-client-shop", "token-of-client-kiosk"
BODY = {"customer": "alice", "amount_cents": 5, "item": "book"}
KEY = {"Idempotency-Key": '"a7f3"'}
NOWHERE = UUID(int=404)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
async def clients(
    shop: Shop,
    order_settings: Settings,
    serve: Callable[[Starlette], AbstractAsyncContextManager[httpx.AsyncClient]],
) -> AsyncIterator[httpx.AsyncClient]:
    """order_service with two clients, beside the anonymous one of `shop`, on the same database."""
    known = order_settings.model_copy(
        update={"tokens": {"shop": (SecretStr(SHOP),), "kiosk": (SecretStr(KIOSK),)}}
    )
    async with serve(order_service.app.create(known, lambda: shop.network)) as client:
        yield client


@pytest.mark.parametrize(
    "authorization",
    [[], ["Bearer"], ["Bearer wrong-token-0123456"], [f"Basic {SHOP}"], [f"Bearer {SHOP}"] * 2],
    ids=str,
)
async def test_without_a_token(
    shop: Shop, clients: httpx.AsyncClient, authorization: list[str]
) -> None:
    """401 on every route, before anything else is looked at; nothing is recorded and nothing is told."""
    headers = [("Authorization", line) for line in authorization]
    order_id = (await clients.post("/orders", json=BODY, headers=bearer(SHOP))).json()["order_id"]
    answers = [
        await clients.post("/orders", json=BODY, headers=headers),
        await clients.post("/orders", content=b"{", headers=headers),
        await clients.post("/orders", json=BODY, headers=[*headers, ("Idempotency-Key", "x y")]),
        await clients.get("/orders", headers=headers),
        await clients.get("/orders?limit=0", headers=headers),
        await clients.get(f"/orders/{order_id}", headers=headers),
        await clients.get("/orders/x", headers=headers),
        await clients.post(f"/orders/{order_id}/cancel", headers=headers),
    ]
    for answer in answers:
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.json()["type"].endswith("/problems/token-wrong")
        assert "order" not in answer.json()
    listed = (await clients.get("/orders", headers=bearer(SHOP))).json()["orders"]
    assert [order["order_id"] for order in listed] == [order_id]
    assert await shop.balance() == OPENING_CENTS - 5


async def test_the_order_of_another_client(clients: httpx.AsyncClient) -> None:
    """404, word for word as for an order that is not there: reading, cancelling, and as the cursor of a list."""
    order_id = (await clients.post("/orders", json=BODY, headers=bearer(SHOP))).json()["order_id"]
    for method, path in (
        ("GET", "/orders/{}"),
        ("POST", "/orders/{}/cancel"),
        ("GET", "/orders?before={}"),
    ):
        others = await clients.request(method, path.format(order_id), headers=bearer(KIOSK))
        absent = await clients.request(method, path.format(NOWHERE), headers=bearer(KIOSK))
        assert others.status_code == absent.status_code == 404
        assert absent.json()["detail"].startswith("There is no order ")
        assert others.text.replace(order_id, str(NOWHERE)) == absent.text
    mine = await clients.get(f"/orders/{order_id}", headers=bearer(SHOP))
    assert (mine.status_code, mine.json()["status"]) == (200, "billed")


async def test_a_pending_order_of_another_client_is_not_cancelled(
    clients: httpx.AsyncClient, database: Any
) -> None:
    """It stays pending, and its own client cancels it."""
    order_id = await pending_order(clients, database)  # type: ignore[arg-type]  # the database is all it uses
    owner = await asyncpg.connect(database.owner)
    await owner.execute("UPDATE orders.orders SET client = 'shop'")
    await owner.close()
    path = f"/orders/{order_id}"
    assert (await clients.post(f"{path}/cancel", headers=bearer(KIOSK))).status_code == 404
    assert (await clients.get(path, headers=bearer(SHOP))).json()["status"] == "pending"
    assert (await clients.post(f"{path}/cancel", headers=bearer(SHOP))).status_code == 200


async def test_a_list_holds_the_clients_own_orders(shop: Shop, clients: httpx.AsyncClient) -> None:
    """Page by page, although the orders of the clients alternate; orders without a client are in neither list."""
    placed: dict[str, list[str]] = {SHOP: [], KIOSK: []}
    for _ in range(3):
        await shop.place()
        for token, mine in placed.items():
            response = await clients.post("/orders", json=BODY, headers=bearer(token))
            mine.insert(0, response.json()["order_id"])
    for token, mine in placed.items():
        first = (await clients.get("/orders?limit=2", headers=bearer(token))).json()
        rest = (await clients.get(f"/orders?before={first['next']}", headers=bearer(token))).json()
        listed = [order["order_id"] for page in (first, rest) for order in page["orders"]]
        assert (listed, rest["next"]) == (mine, None)
    anonymous = (await shop.orders.get("/orders")).json()["orders"]
    assert len(anonymous) == 3
    assert not {order["order_id"] for order in anonymous} & {*placed[SHOP], *placed[KIOSK]}


async def test_a_guessed_key_of_a_customer(shop: Shop, clients: httpx.AsyncClient) -> None:
    """It shows another client nothing, not even that it exists: the same key and another payload are an order of its own."""
    mine = await clients.post("/orders", json=BODY, headers={**bearer(SHOP), **KEY})
    same = await clients.post("/orders", json=BODY, headers={**bearer(KIOSK), **KEY})
    anonymous = await shop.orders.post("/orders", json={**BODY, "item": "pin"}, headers=KEY)
    other = await clients.post(
        "/orders", json={**BODY, "item": "pin"}, headers={**bearer(SHOP), **KEY}
    )
    again = await clients.post("/orders", json=BODY, headers={**bearer(SHOP), **KEY})
    assert [each.status_code for each in (mine, same, anonymous, other, again)] == [
        201,
        201,
        201,
        422,
        201,
    ]
    ids = [each.json()["order_id"] for each in (mine, same, anonymous)]
    assert len(set(ids)) == 3
    assert again.json()["order_id"] == ids[0]
    assert await shop.balance() == OPENING_CENTS - 3 * 5


async def test_one_key_of_two_clients_at_once(shop: Shop, clients: httpx.AsyncClient) -> None:
    """Twenty requests in one group: one order for each client, each billed once."""
    responses = await asyncio.gather(
        *(
            clients.post("/orders", json=BODY, headers={**bearer(token), **KEY})
            for _ in range(10)
            for token in (SHOP, KIOSK)
        )
    )
    assert {response.status_code for response in responses} == {201}
    ids = [response.json()["order_id"] for response in responses]
    assert len(set(ids[0::2])) == len(set(ids[1::2])) == 1
    assert ids[0] != ids[1]
    assert await shop.balance() == OPENING_CENTS - 2 * 5


async def test_both_tokens_of_a_client(shop: Shop, order_settings: Settings, serve: Any) -> None:
    """They name the same client: what was placed with the one is read with the other."""
    two = order_settings.model_copy(
        update={"tokens": {"shop": (SecretStr(SHOP), SecretStr(KIOSK))}}
    )
    async with serve(order_service.app.create(two, lambda: shop.network)) as client:
        placed = await client.post("/orders", json=BODY, headers=bearer(SHOP))
        read = await client.get(placed.headers["Location"], headers=bearer(KIOSK))
    assert read.json()["order_id"] == placed.json()["order_id"]


async def test_while_clients_are_not_known(shop: Shop) -> None:
    """As documented for a development machine: no token is needed, and one that is sent means nothing."""
    for headers in ({}, bearer(SHOP), {"Authorization": "Basic x"}):
        response = await shop.orders.post("/orders", json=BODY, headers=headers)
        assert response.status_code == 201
    assert len((await shop.orders.get("/orders")).json()["orders"]) == 3


@pytest.mark.parametrize("path", ["/orders", f"/orders/{NOWHERE}/cancel"])
@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}], ids=str
)
async def test_the_page_of_another_site(shop: Shop, path: str, headers: dict[str, str]) -> None:
    """It places and cancels nothing: neither a body nor a token is needed for that, so a browser would send it unasked."""
    response = await shop.orders.post(path, json=BODY, headers=headers)
    assert response.status_code == 403
    assert response.json()["type"].endswith("/problems/origin-foreign")
    assert (await shop.orders.get("/orders")).json()["orders"] == []


async def test_a_pending_order_is_not_cancelled_by_another_site(shop: Shop, database: Any) -> None:
    """It stays pending, and goes on being its customer's."""
    order_id = await pending_order(shop, database)
    refused = await shop.orders.post(
        f"/orders/{order_id}/cancel", headers={"Origin": "https://evil.example"}
    )
    assert refused.status_code == 403
    assert (await shop.orders.get(f"/orders/{order_id}")).json()["status"] == "pending"
    assert shop.network.requests == []


async def test_the_caller_is_known_at_each_receiver_by_another_token(shop: Shop) -> None:
    """What notification learns of order_service, billing does not accept."""
    await shop.place()
    sent = {
        request.url.host: request.headers["Authorization"]
        for request in shop.network.requests
        if request.method == "POST"
    }
    assert sorted(sent) == ["billing", "notification"]
    account = "/accounts/alice"
    for host, status in (("billing", 200), ("notification", 401)):
        answer = await shop.billing.get(account, headers={"Authorization": sent[host]})
        assert answer.status_code == status
    shown = {
        "notification_id": str(NOWHERE),
        "order_id": str(NOWHERE),
        "customer": "a",
        "text": "b",
    }
    for host, status in (("billing", 401), ("notification", 202)):
        answer = await shop.notifications.post(
            "/notifications", json=shown, headers={"Authorization": sent[host]}
        )
        assert answer.status_code == status
