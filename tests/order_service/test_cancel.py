"""An order is cancelled for sure, or billed; and a refusal counts only when nothing is under way."""

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

import order_service.app
from order_service.settings import Settings
from order_service.wire import without_balance
from tests.evidence import seen
from tests.order_service.conftest import OPENING_CENTS, Network, Shop
from tests.order_service.test_orders import dead_order, settled


async def pending_order(shop: Shop, database: Any, *, delivery: str = "exactly_once") -> str:
    """An order that another living process delivers: recorded, and not sent yet."""
    connection = await asyncpg.connect(database.order)
    order_id = UUID(int=77)
    await connection.execute(
        """
        WITH minted AS (UPDATE orders.sequence_counter SET last_key = 1)
        INSERT INTO orders.orders (order_id, customer, item, amount_cents, delivery, sequence_key, fingerprint,
                                   lease_owner, lease_until)
        VALUES ($1, 'alice', 'book', 1999, $2, 1, '', gen_random_uuid(), 'infinity')
        """,
        order_id,
        delivery,
    )
    await connection.close()
    return str(order_id)


def charge_of(order_id: str) -> dict[str, Any]:
    return {"order_id": order_id, "account": "alice", "amount_cents": 1999}


async def test_a_pending_order_is_cancelled(shop: Shop, database: Any) -> None:
    """200, and again 200; the charge that arrives late is refused, no notification is sent, no money moves."""
    order_id = await pending_order(shop, database)
    for _ in range(2):
        response = await shop.orders.post(f"/orders/{order_id}/cancel")
        assert response.status_code == 200
        assert response.json()["status"] == "cancelled"
        assert response.json()["notification"] is None
    late = await shop.billing.post(
        "/charges", json=charge_of(order_id), headers={"Idempotency-Key": '"1"'}
    )
    assert late.status_code == 410
    assert await shop.balance() == OPENING_CENTS


async def test_a_billed_order_is_not_cancelled(shop: Shop) -> None:
    """409 with the order, which stays billed."""
    placed = (await shop.place()).json()
    response = await shop.orders.post(f"/orders/{placed['order_id']}/cancel")
    assert response.status_code == 409
    assert response.json()["type"].endswith("/problems/order-settled")
    assert response.json()["order"]["status"] == "billed"
    assert await shop.balance() == OPENING_CENTS - 1999


async def test_an_order_that_was_billed_without_our_knowledge(shop: Shop, database: Any) -> None:
    """The answer was lost: cancelling finds it, the order is billed, and its customer is told once."""
    order_id = await pending_order(shop, database)
    charged = await shop.billing.post(
        "/charges", json=charge_of(order_id), headers={"Idempotency-Key": '"1"'}
    )
    response = await shop.orders.post(f"/orders/{order_id}/cancel")
    assert response.status_code == 409
    order = await settled(shop, order_id)
    assert (order["status"], order["answer"]) == ("billed", without_balance(charged.json()))
    shown = await shop.notifications.get("/notifications", params={"order_id": order_id})
    assert len(shown.json()["notifications"]) == 1


async def test_billing_is_away(shop: Shop, database: Any) -> None:
    """503 with Retry-After: the outcome is unknown, so the order stays pending, and asking again is safe."""
    order_id = await pending_order(shop, database)
    shop.network.lose_responses = 1
    response = await shop.orders.post(f"/orders/{order_id}/cancel")
    assert response.status_code == 503
    assert response.json()["type"].endswith("/problems/cancel-unknown")
    assert int(response.headers["Retry-After"]) >= 1
    again = await shop.orders.post(f"/orders/{order_id}/cancel")
    assert again.json()["status"] == "cancelled"


async def test_an_order_of_an_unsafe_delivery(shop: Shop, database: Any) -> None:
    """409: it has no single key that could be voided."""
    order_id = await pending_order(shop, database, delivery="at_least_once")
    response = await shop.orders.post(f"/orders/{order_id}/cancel")
    assert response.status_code == 409
    assert response.json()["type"].endswith("/problems/cancel-impossible")


async def test_an_order_that_is_not_there(shop: Shop) -> None:
    """404."""
    response = await shop.orders.post(f"/orders/{UUID(int=0)}/cancel")
    assert response.status_code == 404


async def test_cancelling_races_with_billing(shop: Shop) -> None:
    """Placed and cancelled at the same moment, many times: status, money and notification agree."""
    billed = 0
    for _ in range(10):
        shop.network.lose_responses = 2
        placing = asyncio.create_task(shop.place(amount_cents=7))

        async def orders() -> Any:
            return (await shop.orders.get("/orders?limit=1")).json()["orders"]

        newest = (await seen(orders, "the order is listed"))[0]
        cancelled = await shop.orders.post(f"/orders/{newest['order_id']}/cancel")
        await placing
        order = (await shop.orders.get(f"/orders/{newest['order_id']}")).json()
        if cancelled.status_code == 200:
            assert order["status"] == "cancelled"
    listed = (await shop.orders.get("/orders")).json()["orders"]
    billed = sum(order["status"] == "billed" for order in listed)
    assert {order["status"] for order in listed} <= {"billed", "cancelled"}
    assert await shop.balance() == OPENING_CENTS - 7 * billed


async def test_a_delayed_original_after_a_refusal(shop: Shop) -> None:
    """Attempt 1 hangs in the network, attempt 2 is refused: the key is voided, so attempt 1 can never be executed."""
    delayed: list[httpx.Request] = []
    real = shop.network.services["billing"]

    class DelaysTheFirst(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.method == "POST" and not delayed:
                delayed.append(request)
                raise httpx.ReadError("no answer")
            return await real.handle_async_request(request)

    shop.network.services["billing"] = DelaysTheFirst()
    response = await shop.place(customer="dave")
    assert response.status_code == 422
    assert response.json()["order"]["status"] == "failed"
    await shop.billing.put("/accounts/dave", json={"opening_balance_cents": 5_000})
    late = await real.handle_async_request(delayed[0])
    assert late.status_code == 410
    dave = await shop.billing.get("/accounts/dave")
    assert dave.json()["balance_cents"] == 5_000


async def test_a_copy_of_a_refused_attempt(shop: Shop) -> None:
    """The network duplicates the only attempt, and its copy arrives after the account was opened: nothing is withdrawn."""
    sent: list[httpx.Request] = []
    real = shop.network.services["billing"]

    class Remembers(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.method == "POST":
                sent.append(request)
            return await real.handle_async_request(request)

    shop.network.services["billing"] = Remembers()
    response = await shop.place(customer="dave")
    assert response.status_code == 422
    assert response.json()["order"]["status"] == "failed"
    assert response.json()["order"]["answer"]["type"].endswith("account-unknown")
    (copy,) = sent
    await shop.billing.put("/accounts/dave", json={"opening_balance_cents": 5_000})
    assert (await real.handle_async_request(copy)).status_code == 410
    assert (await shop.billing.get("/accounts/dave")).json()["balance_cents"] == 5_000


async def alarms(shop: Shop, alarm: str) -> bool:
    """Whether the alarm is raised; it is soon after the order was seen to be settled."""

    async def counted() -> bool:
        metrics = (await shop.orders.get("/metrics")).text
        return f'order_alarms_total{{alarm="{alarm}"}} 1.0' in metrics

    return bool(await seen(counted, f"the alarm {alarm}"))


async def test_a_restored_caller_meets_keys_of_other_orders(shop: Shop) -> None:
    """422 and an alarm, never another order's answer; nothing is withdrawn for the new order."""
    await shop.billing.post(
        "/charges", json=charge_of(str(UUID(int=5))), headers={"Idempotency-Key": '"1"'}
    )
    response = await shop.place(amount_cents=200)
    assert response.status_code == 422
    assert response.json()["order"]["status"] == "failed"
    assert response.json()["order"]["answer"]["type"].endswith("key-reused")
    assert await alarms(shop, "key_reused")
    assert await shop.balance() == OPENING_CENTS - 1999


async def forget_below(database: Any, first_incomplete: int) -> None:
    owner = await asyncpg.connect(database.owner)
    await owner.execute(
        """
        INSERT INTO billing.clients (client, first_incomplete) VALUES ('order_service', $1)
        ON CONFLICT (client) DO UPDATE SET first_incomplete = $1
        """,
        first_incomplete,
    )
    await owner.execute("DELETE FROM billing.processed_keys")
    await owner.close()


async def test_a_restored_caller_meets_forgotten_keys(shop: Shop, database: Any) -> None:
    """410 and an alarm: the only attempt of a new order was refused, so it failed and nothing was withdrawn."""
    await forget_below(database, 9)
    response = await shop.place(amount_cents=100)
    assert response.status_code == 422
    assert response.json()["order"]["status"] == "failed"
    assert await alarms(shop, "key_forgotten")
    assert await shop.balance() == OPENING_CENTS


async def test_a_restored_order_that_billing_has_forgotten(shop: Shop, database: Any) -> None:
    """Pending in the backup, billed and settled in truth: it becomes unknown, not failed, and is not charged again."""
    await forget_below(database, 9)
    order = await settled(shop, await dead_order(database), notified=False)
    assert order["status"] == "unknown"
    assert order["answer"]["type"].endswith("key-forgotten")
    assert await alarms(shop, "key_forgotten")
    assert await shop.balance() == OPENING_CENTS


async def test_the_window_of_unsettled_orders(
    shop: Shop, order_settings: Settings, serve: Any
) -> None:
    """Load is shed, never queued without end; a refused order spends no key, and room comes back with billing."""
    network = Network(shop.network.services, lose_requests=10**9)
    narrow = order_settings.model_copy(update={"window_max": 3, "wait_budget_s": 0.02})
    body = {"customer": "alice", "amount_cents": 1, "item": "x"}
    async with serve(order_service.app.create(narrow, lambda: network)) as client:
        statuses = [(await client.post("/orders", json=body)).status_code for _ in range(5)]
        assert statuses == [202, 202, 202, 503, 503]
        refused = await client.post("/orders", json=body)
        assert refused.json()["type"].endswith("/problems/window-full")
        assert int(refused.headers["Retry-After"]) >= 1
        network.lose_requests = 0
        for order in (await client.get("/orders")).json()["orders"]:
            await settled(shop, order["order_id"])
        accepted = await client.post("/orders", json=body)
    assert accepted.status_code in (201, 202)
    assert accepted.json()["sequence_key"] == 4


async def test_billing_forgets_what_is_settled(shop: Shop, database: Any) -> None:
    """After the last order nothing is in flight, and soon nothing is stored: the caller declares it in quiet hours."""
    for _ in range(20):
        await shop.place(amount_cents=1)
    owner = await asyncpg.connect(database.owner)
    empty = "SELECT NOT EXISTS (SELECT FROM billing.processed_keys)"
    await seen(lambda: owner.fetchval(empty), "every key is forgotten")
    assert await owner.fetchval("SELECT first_incomplete FROM billing.clients") == 21
    assert await owner.fetchval("SELECT count(*) FROM billing.ledger") == 20
    await owner.close()


@pytest.mark.parametrize("given", [None, "garbage", "00-" + "a" * 32 + "-" + "b" * 16 + "-01"])
async def test_one_trace_through_all_services(
    shop: Shop, given: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    """The customer's trace, or a new one, is in the headers of every request that the order causes."""
    headers = {} if given is None else {"traceparent": given}
    response = await shop.place(headers=headers)
    await settled(shop, response.json()["order_id"])
    # The loop of the process declares what is settled, too; that belongs to no order.
    caused = [request for request in shop.network.requests if request.method == "POST"]
    sent = [request.headers["traceparent"].split("-") for request in caused]
    traces = {parts[1] for parts in sent}
    assert len(traces) == 1
    assert len({parts[2] for parts in sent}) == len(sent) == 2
    if given is not None and given.startswith("00"):
        assert traces == {"a" * 32}
