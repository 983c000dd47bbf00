"""A caller that was restored hands out keys that billing knows for other orders: no order gets another one's answer."""

import json
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from order_service.wire import Status
from tests.evidence import seen
from tests.order_service.conftest import OPENING_CENTS, Shop
from tests.order_service.test_orders import dead_order, settled

OTHERS = UUID(int=5)
# What of the other order's charge is the same as of ours: its order never is.
OTHER_CHARGES = pytest.mark.parametrize(
    ("account", "amount_cents", "executed"),
    [
        ("alice", 1999, 201),
        ("alice", 500, 201),
        ("bob", 1999, 201),
        ("alice", OPENING_CENTS + 1, 402),
    ],
)
WAYS = pytest.mark.parametrize(
    "way", ["request lost", "response lost", "taken over", "cancelled", "both lost and cancelled"]
)


async def executed_before(shop: Shop, account: str, amount_cents: int, status: int) -> None:
    """Key 1 is another order's."""
    await shop.billing.put("/accounts/bob", json={"opening_balance_cents": OPENING_CENTS})
    response = await shop.billing.post(
        "/charges",
        json={"order_id": str(OTHERS), "account": account, "amount_cents": amount_cents},
        headers={"Idempotency-Key": '"1"'},
    )
    assert response.status_code == status


async def age(database: Any) -> None:
    """The stored answers become those of a release that did not name orders in them."""
    owner = await asyncpg.connect(database.owner)
    changed = await owner.execute(
        """
        UPDATE billing.processed_keys
        SET body = regexp_replace(body, '"order_id": ?"[-0-9a-f]*", ?', '')
        WHERE body LIKE '%"order_id"%'
        """
    )
    assert changed == "UPDATE 1"
    await owner.close()


async def brought(shop: Shop, database: Any, way: str) -> dict[str, Any]:
    """Our order of 1,999 cents of alice, under key 1 as well, when it is final."""
    if way == "taken over":
        return await settled(shop, await dead_order(database), notified=False)
    if way == "cancelled":
        return await cancelled(shop, await living_order(database))
    if way == "both lost and cancelled":
        shop.network.lose_requests = 1
        order_id = await living_order(database)
        assert (await shop.orders.post(f"/orders/{order_id}/cancel")).status_code == 503
        return await cancelled(shop, order_id)
    setattr(shop.network, f"lose_{way.removesuffix(' lost')}s", 1)
    response = await shop.place()
    assert response.status_code == 422
    order: dict[str, Any] = response.json()["order"]
    return order


async def cancelled(shop: Shop, order_id: str) -> dict[str, Any]:
    response = await shop.orders.post(f"/orders/{order_id}/cancel")
    assert response.status_code == 409
    assert response.json()["type"].endswith("/problems/order-settled")
    order: dict[str, Any] = response.json()["order"]
    return order


async def living_order(database: Any) -> str:
    """Under key 1, in the hands of a process that has not sent it yet."""
    order_id = uuid4()
    connection = await asyncpg.connect(database.order)
    await connection.execute(
        """
        WITH minted AS (UPDATE orders.sequence_counter SET last_key = 1)
        INSERT INTO orders.orders (order_id, customer, item, amount_cents, delivery, sequence_key, fingerprint,
                                   lease_owner, lease_until)
        VALUES ($1, 'alice', 'book', 1999, 'exactly_once', 1, '', gen_random_uuid(), 'infinity')
        """,
        order_id,
    )
    await connection.close()
    return str(order_id)


async def metric(shop: Shop, line: str) -> bool:
    return f"{line}\n" in (await shop.orders.get("/metrics")).text


async def alarmed(shop: Shop, alarm: str) -> None:
    """Until the alarm is counted, which is soon after the order was seen to be settled."""
    counted = f'order_alarms_total{{alarm="{alarm}"}} 1.0'
    await seen(lambda: metric(shop, counted), f"the alarm {alarm}")


@WAYS
@OTHER_CHARGES
async def test_the_key_of_another_order(
    shop: Shop, database: Any, way: str, account: str, amount_cents: int, executed: int
) -> None:
    """Failed, an alarm, and not a cent or a word of the other order: nothing was withdrawn for this one, for sure."""
    await executed_before(shop, account, amount_cents, executed)
    before = await shop.balance()
    order = await brought(shop, database, way)
    assert order["status"] == Status.FAILED
    assert order["answer"]["type"].endswith("key-reused")
    assert str(OTHERS) not in json.dumps(order)
    assert "balance_cents" not in json.dumps(order)
    assert order["notification"] is None
    await alarmed(shop, "key_reused")
    assert await shop.balance() == before
    shown = await shop.notifications.get("/notifications")
    assert shown.json()["notifications"] == []


@pytest.mark.parametrize("way", ["request lost", "response lost", "taken over"])
@OTHER_CHARGES
async def test_the_key_of_another_order_of_an_older_release(
    shop: Shop, database: Any, way: str, account: str, amount_cents: int, executed: int
) -> None:
    """Its stored answer names no order: the ledger does, and for a decline nothing was withdrawn, whichever order it was for."""
    await executed_before(shop, account, amount_cents, executed)
    await age(database)
    before = await shop.balance()
    order = await brought(shop, database, way)
    assert order["status"] == Status.FAILED
    assert order["answer"]["type"].endswith("key-reused")
    assert await shop.balance() == before


@pytest.mark.parametrize("executed", [201, 402])
async def test_cancelling_an_order_whose_answer_is_of_an_older_release(
    shop: Shop, database: Any, executed: int
) -> None:
    """Its own charge is found by the ledger; a decline cannot be told from another's: 503, and sending it again tells."""
    amount_cents = 1999 if executed == 201 else OPENING_CENTS + 1
    order_id = await living_order(database)
    # The owner: no service may change what was ordered.
    connection = await asyncpg.connect(database.owner)
    await connection.execute("UPDATE orders.orders SET amount_cents = $1", amount_cents)
    charge = {"order_id": order_id, "account": "alice", "amount_cents": amount_cents}
    response = await shop.billing.post("/charges", json=charge, headers={"Idempotency-Key": '"1"'})
    assert response.status_code == executed
    await age(database)
    response = await shop.orders.post(f"/orders/{order_id}/cancel")
    if executed == 402:
        assert response.status_code == 503
        await connection.execute("UPDATE orders.orders SET lease_until = '-infinity'")
    await connection.close()
    order = await settled(shop, order_id)
    assert order["status"] == (Status.BILLED if executed == 201 else Status.DECLINED)
    assert order["answer"]["order_id"] == order_id


async def test_an_own_answer_of_an_older_release(shop: Shop, database: Any) -> None:
    """It was stored before answers named their order, and comes again after the upgrade: billed once."""
    order_id = await dead_order_that_was_charged(shop, database)
    await age(database)
    await free(database)
    order = await settled(shop, order_id)
    assert order["status"] == Status.BILLED
    assert order["answer"]["order_id"] == order_id
    assert await shop.balance() == OPENING_CENTS - 1999


@pytest.mark.parametrize("old", [{"amount_cents": 5}, {"account": "bob"}], ids=str)
async def test_an_order_that_was_charged_otherwise(
    shop: Shop, database: Any, old: dict[str, Any]
) -> None:
    """Money moved for this order, and not as it says now: neither billed nor failed, and an alarm for a person."""
    await shop.billing.put("/accounts/bob", json={"opening_balance_cents": OPENING_CENTS})
    order_id = await living_order(database)
    charge = {"order_id": order_id, "account": "alice", "amount_cents": 1999, **old}
    response = await shop.billing.post("/charges", json=charge, headers={"Idempotency-Key": '"1"'})
    assert response.status_code == 201
    await free(database)
    order = await settled(shop, order_id, notified=False)
    assert order["status"] == Status.UNKNOWN
    assert order["answer"]["type"] == "key-executed"
    assert order["notification"] is None
    await alarmed(shop, "key_reused")


async def dead_order_that_was_charged(shop: Shop, database: Any) -> str:
    order_id = await living_order(database)
    charge = {"order_id": order_id, "account": "alice", "amount_cents": 1999}
    response = await shop.billing.post("/charges", json=charge, headers={"Idempotency-Key": '"1"'})
    assert response.status_code == 201
    return order_id


async def free(database: Any) -> None:
    """The process that had the orders is dead."""
    connection = await asyncpg.connect(database.order)
    await connection.execute("UPDATE orders.orders SET lease_until = '-infinity'")
    await connection.close()


class Gateway(httpx.AsyncBaseTransport):
    """Stands before a service and answers in its place, so many times."""

    def __init__(
        self, behind: httpx.AsyncBaseTransport, times: int, answer: httpx.Response
    ) -> None:
        self.behind = behind
        self.times = times
        self.answer = answer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.times > 0:
            self.times -= 1
            return httpx.Response(
                self.answer.status_code, headers=self.answer.headers, content=self.answer.content
            )
        return await self.behind.handle_async_request(request)


OTHER_ANSWERS = [
    httpx.Response(201, json={"created": True}),
    httpx.Response(200, json={"status": "ok"}),
    httpx.Response(204),
    httpx.Response(302, headers={"Location": "https://login.example/"}),
    httpx.Response(200, html="<form>Log in</form>"),
    httpx.Response(400, json={"message": "bad request"}),
    httpx.Response(401, json={"message": "Unauthorized"}),
    httpx.Response(402, json={"message": "Your plan has expired"}),
    httpx.Response(403, json={"message": "Forbidden"}),
    httpx.Response(404, json={"message": "no Route matched with those values"}),
    httpx.Response(413, json={"message": "Request size limit exceeded"}),
    httpx.Response(422, json={"detail": []}),
    httpx.Response(
        404,
        json={"type": "/problems/not-found", "title": "x", "status": 404, "detail": "x"},
        headers={"Content-Type": "application/problem+json"},
    ),
    httpx.Response(
        201,
        json={
            "charge_id": str(UUID(int=1)),
            "order_id": str(OTHERS),
            "account": "alice",
            "amount_cents": 1999,
            "balance_cents": 1,
        },
    ),
]


@pytest.mark.parametrize("answer", OTHER_ANSWERS, ids=lambda a: f"{a.status_code} {a.text[:30]}")
async def test_a_gateway_answers_for_billing(shop: Shop, answer: httpx.Response) -> None:
    """Unknown each time, sent again, and billed once as soon as the gateway is right again."""
    shop.network.services["billing"] = Gateway(shop.network.services["billing"], 3, answer)
    response = await shop.place()
    assert response.status_code == 201
    order = await settled(shop, response.json()["order_id"])
    assert [a["outcome"] for a in order["attempts"]] == ["unknown"] * 3 + ["acknowledged"]
    assert order["answer"]["order_id"] == order["order_id"]
    assert await shop.balance() == OPENING_CENTS - 1999
    misdirected = float(str(OTHERS) in answer.text) * 3
    assert await metric(shop, f'order_alarms_total{{alarm="answer_misdirected"}} {misdirected}')


@pytest.mark.parametrize("answer", OTHER_ANSWERS, ids=lambda a: f"{a.status_code} {a.text[:30]}")
async def test_a_gateway_answers_for_billing_when_an_order_is_cancelled(
    shop: Shop, database: Any, answer: httpx.Response
) -> None:
    """503, the outcome is unknown; cancelled with certainty as soon as billing itself answers."""
    order_id = await living_order(database)
    shop.network.services["billing"] = Gateway(shop.network.services["billing"], 1, answer)
    assert (await shop.orders.post(f"/orders/{order_id}/cancel")).status_code == 503
    response = await shop.orders.post(f"/orders/{order_id}/cancel")
    assert response.json()["status"] == Status.CANCELLED
    assert await shop.balance() == OPENING_CENTS


@pytest.mark.parametrize("answer", OTHER_ANSWERS, ids=lambda a: f"{a.status_code} {a.text[:30]}")
async def test_a_gateway_answers_for_notification(shop: Shop, answer: httpx.Response) -> None:
    """It may have been shown: its fate is unknown, and it is not sent again."""
    gateway = Gateway(shop.network.services["notification"], 10**9, answer)
    shop.network.services["notification"] = gateway
    order = await settled(shop, (await shop.place()).json()["order_id"])
    assert (order["status"], order["notification"]) == (Status.BILLED, "unknown")
    # One more order passes through everything: if the first notification were sent again, it would be seen by then.
    await settled(shop, (await shop.place()).json()["order_id"])
    assert gateway.times == 10**9 - 2


async def test_a_wish_without_an_end(shop: Shop, database: Any) -> None:
    """A caller that cancels gets a Retry-After that is a number."""
    order_id = await living_order(database)
    answer = httpx.Response(503, json={}, headers={"Retry-After": "9" * 400})
    shop.network.services["billing"] = Gateway(shop.network.services["billing"], 1, answer)
    response = await shop.orders.post(f"/orders/{order_id}/cancel")
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "86400"
