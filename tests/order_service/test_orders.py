"""An order is billed once, and its customer is told."""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from starlette.applications import Starlette

import order_service.app
from order_service import orders, problems
from order_service.orders import Settlement
from order_service.settings import Settings
from order_service.statements import leases, settling
from order_service.wire import NewOrder, Status, without_balance
from order_service.writing import GroupedWrites
from tests.evidence import seen
from tests.order_service.conftest import OPENING_CENTS, Network, Shop
from tests.shut_out import shut_out


async def settled(shop: Shop, order_id: str, *, notified: bool = True) -> dict[str, Any]:
    """The order when it is final; asks until then."""

    async def final() -> dict[str, Any] | None:
        order: dict[str, Any] = (await shop.orders.get(f"/orders/{order_id}")).json()
        waiting = notified and order["notification"] in (None, "attempted")
        return None if order["status"] == "pending" or waiting else order

    order: dict[str, Any] = await seen(final, "the order is final")
    return order


async def test_an_order(shop: Shop) -> None:
    """201 with the charge; one attempt, one withdrawal, one notification."""
    response = await shop.place()
    assert response.status_code == 201
    assert response.headers["Content-Type"] == "application/json"
    order = response.json()
    assert response.headers["Location"] == f"/orders/{order['order_id']}"
    assert order["status"] == "billed"
    assert order["sequence_key"] == 1
    assert (order["answer"]["account"], order["answer"]["amount_cents"]) == ("alice", 1999)
    assert [attempt["outcome"] for attempt in order["attempts"]] == ["acknowledged"]
    stored = await settled(shop, order["order_id"])
    assert stored["notification"] == "acknowledged"
    assert {**order, "notification": "acknowledged"} == stored
    shown = await shop.notifications.get("/notifications", params={"order_id": order["order_id"]})
    assert [row["text"] for row in shown.json()["notifications"]] == [
        "Your order of book is billed."
    ]
    assert await shop.balance() == OPENING_CENTS - 1999


@pytest.mark.parametrize("lost", ["lose_requests", "lose_responses"])
async def test_a_loss_is_healed_by_the_same_key(shop: Shop, lost: str) -> None:
    """The retry carries the same key with the flag up, and the money moves once."""
    setattr(shop.network, lost, 2)
    response = await shop.place()
    assert response.status_code == 201
    assert shop.network.charges() == [('"1"', "?0"), ('"1"', "?1"), ('"1"', "?1")]
    assert [attempt["outcome"] for attempt in response.json()["attempts"]] == [
        "unknown",
        "unknown",
        "acknowledged",
    ]
    assert await shop.balance() == OPENING_CENTS - 1999


async def test_an_attempt_is_committed_before_it_is_sent(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that takes the order over has to know of every attempt that may be under way."""
    steps: list[str] = []
    begin, send = GroupedWrites.begin, Network.handle_async_request

    async def begun(self: GroupedWrites, beginning: orders.Beginning) -> None:
        await begin(self, beginning)
        steps.append(f"begun {beginning.attempt}")

    async def sent(self: Network, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/charges":
            steps.append("sent")
        return await send(self, request)

    monkeypatch.setattr(GroupedWrites, "begin", begun)
    monkeypatch.setattr(Network, "handle_async_request", sent)
    shop.network.lose_responses = 2
    assert (await shop.place()).status_code == 201
    assert steps == ["sent", "begun 2", "sent", "begun 3", "sent"]


async def test_at_least_once_shows_its_harm(shop: Shop) -> None:
    """A fresh key for each attempt: a lost response is a second withdrawal."""
    shop.network.lose_responses = 1
    response = await shop.place(delivery="at_least_once")
    assert response.status_code == 201
    assert shop.network.charges() == [('"1"', "?0"), ('"2"', "?0")]
    assert await shop.balance() == OPENING_CENTS - 2 * 1999


async def test_at_most_once_shows_its_harm(shop: Shop) -> None:
    """One attempt: a lost request is no withdrawal, and the outcome stays unknown."""
    shop.network.lose_requests = 1
    response = await shop.place(delivery="at_most_once")
    assert response.status_code == 202
    assert "Retry-After" not in response.headers
    assert response.json()["status"] == "unknown"
    assert len(shop.network.charges()) == 1
    assert await shop.balance() == OPENING_CENTS


async def test_a_decline(shop: Shop) -> None:
    """402 with the order, which is final; nothing was withdrawn."""
    response = await shop.place(amount_cents=OPENING_CENTS + 1)
    assert response.status_code == 402
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["order"]["status"] == "declined"
    order = await settled(shop, response.json()["order"]["order_id"])
    assert order["status"] == "declined"
    assert await shop.balance() == OPENING_CENTS


async def test_an_unknown_customer(shop: Shop) -> None:
    """422 with billing's reason; the order is failed, after one attempt, without a notification."""
    response = await shop.place(customer="unknown")
    assert response.status_code == 422
    assert response.json()["type"].endswith("/problems/order-failed")
    assert response.json()["detail"] == "There is no account unknown."
    order = response.json()["order"]
    assert order["status"] == "failed"
    assert order["notification"] is None
    assert len(shop.network.charges()) == 1


async def test_a_customer_retries(shop: Shop) -> None:
    """The same key and payload give the same order; another payload is refused."""
    headers = {"Idempotency-Key": '"a7f3"'}
    first = await shop.place(headers=headers)
    again = await shop.place(headers=headers)
    other = await shop.place(headers=headers, amount_cents=5)
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "?1"
    assert "Idempotency-Replayed" not in other.headers
    assert first.status_code == again.status_code == 201
    assert first.json()["order_id"] == again.json()["order_id"]
    assert other.status_code == 422
    assert other.json()["type"].endswith("/problems/key-reused")
    assert await shop.balance() == OPENING_CENTS - 1999
    # The refused key spent no sequence key: the next order has the next one.
    assert (await shop.place()).json()["sequence_key"] == 2


# Each field of an order, and another value of it.
OTHER_ORDER = {
    "customer": "bob",
    "amount_cents": 2000,
    "item": "books",
    "delivery": "at_least_once",
}


def test_every_field_of_an_order_is_told_apart() -> None:
    """The fingerprint of an order is another one when any of its fields is, also one that is added later."""
    order = {"customer": "alice", "amount_cents": 1999, "item": "book", "delivery": "exactly_once"}
    fingerprint = orders.fingerprint(NewOrder.model_validate(order))
    assert set(OTHER_ORDER) == set(NewOrder.model_fields)
    for name, value in OTHER_ORDER.items():
        other = NewOrder.model_validate({**order, name: value})
        assert orders.fingerprint(other) != fingerprint, name
    assert orders.fingerprint(NewOrder.model_validate(order)) == fingerprint
    without = {name: value for name, value in order.items() if name != "delivery"}
    assert orders.fingerprint(NewOrder.model_validate(without)) == fingerprint


def test_the_fingerprint_of_an_order_stays() -> None:
    """What an older release has recorded is recognised: of JSON with sorted names, without spaces, in ASCII."""
    order = {"customer": "alice", "amount_cents": 1999, "item": "Café", "delivery": "exactly_once"}
    text = r'{"amount_cents":1999,"customer":"alice","delivery":"exactly_once","item":"Caf\u00e9"}'
    expected = hashlib.sha256(text.encode()).digest()
    assert orders.fingerprint(NewOrder.model_validate(order)) == expected


@pytest.mark.parametrize("changed", sorted(set(OTHER_ORDER) - {"customer"}))
async def test_the_customers_key_with_another_order(shop: Shop, changed: str) -> None:
    """Whichever field is another one, the old order is not replayed for it: 422, and nothing is recorded."""
    headers = {"Idempotency-Key": '"a7f3"'}
    await shop.place(headers=headers)
    other = await shop.place(headers=headers, **{changed: OTHER_ORDER[changed]})
    assert other.status_code == 422
    assert other.json()["type"].endswith("/problems/key-reused")
    assert "order" not in other.json()
    assert len((await shop.orders.get("/orders")).json()["orders"]) == 1
    assert await shop.balance() == OPENING_CENTS - 1999


async def test_the_key_of_another_customer(shop: Shop) -> None:
    """The same text of another customer is another key: an order of its own, and each one's replay is of the own order."""
    await shop.billing.put("/accounts/bob", json={"opening_balance_cents": OPENING_CENTS})
    headers = {"Idempotency-Key": '"a7f3"'}
    first = await shop.place(headers=headers)
    other = await shop.place(headers=headers, customer="bob")
    assert (first.status_code, other.status_code) == (201, 201)
    assert "Idempotency-Replayed" not in other.headers
    assert first.json()["order_id"] != other.json()["order_id"]
    for placed, customer in ((first, "alice"), (other, "bob")):
        again = await shop.place(headers=headers, customer=customer)
        assert again.json()["order_id"] == placed.json()["order_id"]


async def test_a_replay_of_an_order_that_failed(shop: Shop) -> None:
    """A problem that is given again says so as well: declined, refused, cancelled."""
    for key, changes, status in (
        ("declined", {"amount_cents": OPENING_CENTS + 1}, 402),
        ("failed", {"customer": "unknown"}, 422),
    ):
        headers = {"Idempotency-Key": f'"{key}"'}
        first = await shop.place(headers=headers, **changes)
        again = await shop.place(headers=headers, **changes)
        assert (first.status_code, again.status_code) == (status, status)
        assert "Idempotency-Replayed" not in first.headers
        assert again.headers["Idempotency-Replayed"] == "?1"
        assert first.json()["order"]["order_id"] == again.json()["order"]["order_id"]


async def test_a_replay_of_an_answer_without_a_sentence(shop: Shop, database: Any) -> None:
    """An older release may have stored one: the customer is told in words all the same, by the title of the problem."""
    headers = {"Idempotency-Key": '"failed"'}
    await shop.place(headers=headers, customer="unknown")
    owner = await asyncpg.connect(database.owner)
    await owner.execute("UPDATE orders.orders SET answer = '{}'")
    await owner.close()
    problem = (await shop.place(headers=headers, customer="unknown")).json()
    assert problem["detail"] == problem["title"] == problems.ORDER_FAILED.title


@pytest.mark.parametrize(
    "key", ["42", "a7f3", "7f3a", "8e03978e-40d5-43e8-bc93-6894a57f9324", "a7 f3"]
)
async def test_a_key_without_quotes(shop: Shop, key: str) -> None:
    """The mistake that is made most: the answer says what is missing."""
    response = await shop.place(headers={"Idempotency-Key": key})
    assert response.status_code == 400
    assert "in double quotes" in response.json()["detail"]


async def test_a_customer_retries_at_once(shop: Shop) -> None:
    """Twenty at the same moment: one order, one withdrawal."""
    headers = {"Idempotency-Key": '"a7f3"'}
    responses = await asyncio.gather(*(shop.place(headers=headers) for _ in range(20)))
    assert {response.status_code for response in responses} == {201}
    assert len({response.json()["order_id"] for response in responses}) == 1
    assert await shop.balance() == OPENING_CENTS - 1999


async def test_keys_are_gap_free(shop: Shop) -> None:
    """Concurrent orders get the keys 1 to n, each one once."""
    responses = await asyncio.gather(*(shop.place(amount_cents=1) for _ in range(30)))
    keys = sorted(response.json()["sequence_key"] for response in responses)
    assert keys == list(range(1, 31))
    assert await shop.balance() == OPENING_CENTS - 30


async def test_the_list(shop: Shop) -> None:
    """The newest first, in pages; no order is on two of them."""
    placed = [(await shop.place(amount_cents=1)).json()["order_id"] for _ in range(5)]
    first = (await shop.orders.get("/orders", params={"limit": 3})).json()
    second = (await shop.orders.get("/orders", params={"before": first["next"]})).json()
    listed = [order["order_id"] for page in (first, second) for order in page["orders"]]
    assert listed == placed[::-1]
    assert second["next"] is None
    assert all(len(order["attempts"]) == 1 for order in first["orders"])


@pytest.mark.parametrize(
    "changes",
    [
        {"customer": ""},
        {"customer": "a b"},
        {"amount_cents": 0},
        {"amount_cents": -5},
        {"amount_cents": 19.99},
        {"amount_cents": "1999"},
        {"amount_cents": 10**30},
        {"item": ""},
        {"item": "a\x00b"},
        {"item": "x" * 201},
        {"delivery": "twice"},
        {"colour": "red"},
        {"headers": {"Idempotency-Key": "a7f3 and"}},
        {"headers": {"Idempotency-Key": '""'}},
        {"headers": {"Idempotency-Key": '"' + "x" * 256 + '"'}},
        {"headers": {"Idempotency-Key": "42"}},
    ],
    ids=str,
)
async def test_bad_input(shop: Shop, changes: dict[str, Any]) -> None:
    """A problem, no order, no sequence key."""
    response = await shop.place(**changes)
    assert response.status_code in (400, 422)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert (await shop.orders.get("/orders")).json()["orders"] == []
    assert (await shop.place()).json()["sequence_key"] == 1


@pytest.mark.parametrize(
    "path",
    [
        "/orders/x",
        "/orders?limit=0",
        "/orders?before=x",
        # A name that is spelt wrong, or given twice, would be left out of the question in silence.
        "/orders?limits=1",
        "/orders?limit=1&limit=2",
        f"/orders/{UUID(int=0)}?limit=1",
    ],
)
async def test_a_bad_question(shop: Shop, path: str) -> None:
    """422 with the field that is wrong."""
    assert (await shop.orders.get(path)).status_code == 422


@pytest.mark.parametrize("path", [f"/orders/{UUID(int=0)}", f"/orders?before={UUID(int=0)}"])
async def test_an_order_that_is_not_there(shop: Shop, path: str) -> None:
    """404, and its page can be opened; also the page of a list that would begin after it."""
    response = await shop.orders.get(path)
    assert response.status_code == 404
    assert (await shop.orders.get(response.json()["type"])).status_code == 200


async def test_unsafe_delivery_is_off(
    order_settings: Settings,
    serve: Callable[[Starlette], AbstractAsyncContextManager[httpx.AsyncClient]],
) -> None:
    """Without ORDER_UNSAFE_DELIVERY=1 both semantics that do harm are refused, and nothing is recorded."""
    safe = order_settings.model_copy(update={"unsafe_delivery": False})
    async with serve(order_service.app.create(safe, Network)) as client:
        for delivery in ("at_least_once", "at_most_once"):
            response = await client.post(
                "/orders",
                json={"customer": "alice", "amount_cents": 1, "item": "x", "delivery": delivery},
            )
            assert response.status_code == 422
            assert response.json()["type"].endswith("/problems/delivery-refused")
        assert (await client.get("/orders")).json()["orders"] == []


async def test_billing_is_away_for_longer_than_the_customer_waits(
    shop: Shop, order_settings: Settings, serve: Any
) -> None:
    """202 with Location and Retry-After; the order is billed in the background when billing is back."""
    impatient = order_settings.model_copy(update={"wait_budget_s": 0.05})
    network = Network(shop.network.services, lose_requests=10**9)
    async with serve(order_service.app.create(impatient, lambda: network)) as client:
        response = await client.post(
            "/orders", json={"customer": "alice", "amount_cents": 1999, "item": "book"}
        )
        assert response.status_code == 202
        assert int(response.headers["Retry-After"]) >= 1
        assert response.json()["status"] == "pending"
        assert await shop.balance() == OPENING_CENTS
        network.lose_requests = 0
        order = await settled(shop, response.headers["Location"].rpartition("/")[2])
    assert order["status"] == "billed"
    assert await shop.balance() == OPENING_CENTS - 1999


async def dead_order(database: Any, *, delivery: str = "exactly_once", key: int = 1) -> str:
    """An order as a process leaves it that died after recording it: leased to a process that is gone."""
    connection = await asyncpg.connect(database.order)
    order_id = uuid4()
    await connection.execute(
        """
        WITH minted AS (UPDATE orders.sequence_counter SET last_key = $2)
        INSERT INTO orders.orders (order_id, customer, item, amount_cents, delivery, sequence_key, fingerprint,
                                   lease_owner, lease_until)
        VALUES ($1, 'alice', 'book', 1999, $3, $2, '', gen_random_uuid(), now() - interval '1 second')
        """,
        order_id,
        key,
        delivery,
    )
    await connection.close()
    return str(order_id)


async def dead_orders(database: Any, *keys: int) -> list[str]:
    """Several of them, which become visible at the same moment."""
    connection = await asyncpg.connect(database.owner)
    async with connection.transaction():
        await connection.execute("LOCK TABLE orders.orders IN ACCESS EXCLUSIVE MODE")
        await connection.execute("UPDATE orders.sequence_counter SET last_key = $1", max(keys))
        ids = [uuid4() for _ in keys]
        await connection.executemany(
            """
            INSERT INTO orders.orders (order_id, customer, item, amount_cents, delivery, sequence_key, fingerprint,
                                       lease_owner, lease_until)
            VALUES ($1, 'alice', 'book', 1999, 'exactly_once', $2, '', gen_random_uuid(), now() - interval '1 second')
            """,
            list(zip(ids, keys, strict=True)),
        )
    await connection.close()
    return [str(order_id) for order_id in ids]


async def test_an_order_of_a_dead_process_is_taken_over(shop: Shop, database: Any) -> None:
    """It is sent under its recorded key with the retry flag up, and billed once."""
    order = await settled(shop, await dead_order(database))
    assert order["status"] == "billed"
    assert shop.network.charges() == [('"1"', "?1")]
    assert [(a["attempt"], a["outcome"], a["retry"]) for a in order["attempts"]] == [
        (1, "unknown", False),
        (2, "acknowledged", True),
    ]
    assert order["attempts"][0]["caller_saw"] == "nothing: the process died"
    sent = [r for r in shop.network.requests if r.method == "POST"]
    # No customer is there any more; the charge and the notification still belong to one trace.
    (trace,) = {request.headers["traceparent"].split("-")[1] for request in sent}
    assert await shop.balance() == OPENING_CENTS - 1999
    # Others, which the same process takes over later, in one look, belong to traces of their own.
    shop.network.requests.clear()
    for order_id in await dead_orders(database, 2, 3):
        await settled(shop, order_id)
    sent = [r for r in shop.network.requests if r.method == "POST"]
    others = {request.headers["traceparent"].split("-")[1] for request in sent}
    assert len(others - {trace}) == 2


async def test_a_taken_over_order_that_was_billed_already(shop: Shop, database: Any) -> None:
    """The dead process had sent it: the answer is a replay, and the money moves no second time."""
    owner = await asyncpg.connect(database.owner)
    charged = await shop.billing.post(
        "/charges",
        json={"order_id": str(UUID(int=9)), "account": "alice", "amount_cents": 1999},
        headers={"Idempotency-Key": '"1"'},
    )
    order_id = UUID(int=9)
    await owner.execute(
        """
        WITH minted AS (UPDATE orders.sequence_counter SET last_key = 1)
        INSERT INTO orders.orders (order_id, customer, item, amount_cents, delivery, sequence_key, fingerprint,
                                   lease_owner, lease_until)
        VALUES ($1, 'alice', 'book', 1999, 'exactly_once', 1, '', gen_random_uuid(), '-infinity')
        """,
        order_id,
    )
    await owner.close()
    order = await settled(shop, str(order_id))
    assert order["answer"] == without_balance(charged.json())
    assert order["attempts"][-1]["caller_saw"] == "HTTP 201, replayed"
    assert await shop.balance() == OPENING_CENTS - 1999


async def test_an_at_most_once_order_of_a_dead_process_is_not_sent(
    shop: Shop, database: Any
) -> None:
    """Whether it was sent is unknown, so it never will be again."""
    order_id = await dead_order(database, delivery="at_most_once")
    order = await settled(shop, order_id, notified=False)
    assert order["status"] == "unknown"
    assert shop.network.charges() == []


async def test_a_living_lease_is_respected(shop: Shop, database: Any) -> None:
    """An order that another process works on is left alone."""
    owner = await asyncpg.connect(database.owner)
    leased = UUID(await dead_order(database))
    taken = await settled(shop, str(leased))
    await owner.execute(
        """
        INSERT INTO orders.orders (order_id, customer, item, amount_cents, delivery, sequence_key, fingerprint,
                                   lease_owner, lease_until)
        VALUES ($1, 'alice', 'book', 1999, 'exactly_once', 2, '', gen_random_uuid(), 'infinity')
        """,
        UUID(int=7),
    )
    # An order that comes after it and is taken over proves that the look for dead orders passed the living one by.
    later = await dead_order(database, key=3)
    await settled(shop, later)
    await owner.close()
    assert taken["status"] == "billed"
    assert (await shop.orders.get(f"/orders/{UUID(int=7)}")).json()["status"] == "pending"


async def test_what_is_in_hand_keeps_its_lease(database: Any) -> None:
    """However long an order waits, its process keeps it; fresh leases, orders of others and settled ones are left alone."""
    mine, others = uuid4(), uuid4()
    keep: Any = leases.keep_leases
    rows = [
        (UUID(int=1), "pending", mine, "1 second"),
        (UUID(int=2), "pending", mine, "9.9 seconds"),
        (UUID(int=3), "pending", others, "1 second"),
        (UUID(int=4), "failed", mine, "1 second"),
        (UUID(int=5), "pending", mine, "1 second"),
    ]
    connection = await asyncpg.connect(database.order)
    for key, (order_id, status, owner, left) in enumerate(rows, 1):
        await connection.execute(
            """
            INSERT INTO orders.orders (order_id, customer, item, amount_cents, delivery, sequence_key, fingerprint,
                                       lease_owner, lease_until, status, settled_at, answer)
            VALUES ($1, 'alice', 'book', 1, 'exactly_once', $2, '', $3, now() + $4::text::interval, $5,
                    CASE WHEN $5 = 'failed' THEN now() END, CASE WHEN $5 = 'failed' THEN '{}'::jsonb END)
            """,
            order_id,
            key,
            owner,
            left,
            status,
        )
    read = "SELECT order_id, lease_until FROM orders.orders"
    before = {row["order_id"]: row["lease_until"] for row in await connection.fetch(read)}
    await keep(connection, [UUID(int=n) for n in (1, 2, 3, 4)], mine, 10.0)
    after = {row["order_id"]: row["lease_until"] for row in await connection.fetch(read)}
    await connection.close()
    assert {order_id.int for order_id in before if before[order_id] != after[order_id]} == {1}
    assert (after[UUID(int=1)] - before[UUID(int=1)]).total_seconds() > 8


@pytest.mark.parametrize("lost", ["lose_requests", "lose_responses"])
async def test_a_notification_is_never_sent_twice(shop: Shop, lost: str) -> None:
    """Its fate is unknown then, the order is billed all the same, and no second notification is sent."""
    real = shop.network.services["notification"]
    attempts: list[httpx.Request] = []

    class Lossy(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            attempts.append(request)
            if lost == "lose_responses":
                await real.handle_async_request(request)
            raise httpx.ReadError("lost")

    shop.network.services["notification"] = Lossy()
    response = await shop.place()
    order = await settled(shop, response.json()["order_id"])
    assert (order["status"], order["notification"]) == ("billed", "unknown")
    # One more order passes through everything: if the first notification were sent again, it would be seen by then.
    await settled(shop, (await shop.place()).json()["order_id"])
    orders = [json.loads(request.content)["order_id"] for request in attempts]
    assert orders.count(order["order_id"]) == 1


async def test_settling_happens_once(shop: Shop, database: Any) -> None:
    """A second settlement changes nothing: neither the state nor the notification."""
    order = await settled(shop, (await shop.place()).json()["order_id"])
    connection = await asyncpg.connect(database.order)
    order_id = UUID(order["order_id"])
    again = await settling.settle_all(
        connection,  # a bare connection has the pool's methods
        [Settlement(order_id, None, Status.FAILED, {}, None)],
    )
    await connection.close()
    assert again == {order_id: None}
    assert await settled(shop, order["order_id"]) == order


async def test_the_database_of_orders_is_away(shop: Shop, database: Any) -> None:
    """503 with Retry-After; nothing is sent for an order that is not recorded."""
    async with shut_out(database.owner, "order_service"):
        await shop.place()
        response = await shop.place()
        assert response.status_code == 503
        assert int(response.headers["Retry-After"]) >= 1
        assert (await shop.orders.get("/readyz")).status_code == 503
    assert shop.network.charges() == []
    assert (await shop.place()).status_code == 201


async def test_orders_are_taken_over_after_the_database_was_away(shop: Shop, database: Any) -> None:
    """A look for orders of dead processes that fails is counted, and is not the last one."""
    never = 'order_takeover_rounds_total{end="failed"} 0.0'

    async def failed() -> bool:
        assert (await shop.orders.get("/readyz")).status_code == 503
        return never not in (await shop.orders.get("/metrics")).text

    async with shut_out(database.owner, "order_service"):
        await seen(failed, "a takeover round fails")
    order = await settled(shop, await dead_order(database))
    assert order["status"] == "billed"


async def takeover_rounds(shop: Shop) -> float:
    """How often the process of the shop has looked for orders of dead processes."""
    text = (await shop.orders.get("/metrics")).text
    line = next(
        ln for ln in text.splitlines() if ln.startswith('order_takeover_rounds_total{end="done"}')
    )
    return float(line.rpartition(" ")[2])


async def test_a_process_that_stops_keeps_what_is_in_flight(
    shop: Shop, order_settings: Settings
) -> None:
    """Another one looks for orders meanwhile, and leaves it alone: one attempt, with its answer."""
    sent, let_go = asyncio.Event(), asyncio.Event()

    class Slow(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path == "/charges":
                sent.set()
                await let_go.wait()
            return await shop.network.handle_async_request(request)

    async def let_go_later() -> None:
        enough = await takeover_rounds(shop) + 3

        async def looked() -> bool:
            return await takeover_rounds(shop) >= enough

        await seen(looked, "three takeover rounds")
        let_go.set()

    app = order_service.app.create(order_settings, Slow)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://127.0.0.1"
    ) as client:
        async with app.router.lifespan_context(app), asyncio.timeout(60):
            body = {"customer": "alice", "amount_cents": 1999, "item": "book"}
            placing = asyncio.create_task(client.post("/orders", json=body))
            await sent.wait()
            letting_go = asyncio.create_task(let_go_later())
        await letting_go
        order = (await placing).json()
    assert order["status"] == "billed"
    assert [attempt["outcome"] for attempt in order["attempts"]] == ["acknowledged"]
    assert shop.network.charges() == [('"1"', "?0")]


class Away(httpx.AsyncBaseTransport):
    """No service listens: each charge is refused at once, and its time is recorded."""

    def __init__(self) -> None:
        self.at_s: list[float] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/charges" and request.method == "POST":
            self.at_s.append(time.monotonic())
        raise httpx.ConnectError("no service listens")


async def test_a_refused_connection_is_retried_within_the_budget(
    shop: Shop, order_settings: Settings, serve: Any
) -> None:
    """Many orders, short pauses: the burst of the budget goes at once, and then no more than its refill."""
    away = Away()
    changes = {"retry_budget": 2, "retry_refill_per_s": 20.0, "wait_budget_s": 0.01}
    settings = order_settings.model_copy(update=changes)
    orders_placed, retries = 5, 12
    async with serve(order_service.app.create(settings, lambda: away)) as client:
        body = {"customer": "alice", "amount_cents": 1, "item": "x"}
        for _ in range(orders_placed):
            assert (await client.post("/orders", json=body)).status_code == 202
        async with asyncio.timeout(60):
            while len(away.at_s) < orders_placed + retries:
                await client.get("/orders")
    # Each retry beyond the burst had to wait for a token; the first tokens may have come while orders were placed.
    trickled = retries - 2
    assert away.at_s[orders_placed + retries - 1] - away.at_s[0] >= (trickled - 1) / 20.0


@pytest.mark.parametrize(("wish", "seconds"), [("1", 1.0), ("3600", 0.0)])
async def test_billing_asks_for_a_pause(
    shop: Shop, order_settings: Settings, serve: Any, wish: str, seconds: float
) -> None:
    """Retry-After is honoured by the whole service, up to ORDER_RETRY_AFTER_MAX_S."""
    at_s: list[float] = []
    maximum_s = 1.5 if seconds else 0.01

    class Asks(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path == "/charges" and request.method == "POST":
                at_s.append(time.monotonic())
                if len(at_s) == 1:
                    return httpx.Response(503, headers={"Retry-After": wish}, json={})
            return await shop.network.handle_async_request(request)

    settings = order_settings.model_copy(update={"retry_after_max_s": maximum_s})
    async with serve(order_service.app.create(settings, Asks)) as client, asyncio.timeout(60):
        response = await client.post(
            "/orders", json={"customer": "alice", "amount_cents": 1, "item": "x"}
        )
        order_id = response.json()["order_id"]
        assert (await settled(shop, order_id))["status"] == "billed"
    assert at_s[1] - at_s[0] >= seconds


async def test_a_process_that_stops_leaves_its_orders_to_the_others(
    shop: Shop, order_settings: Settings, serve: Any
) -> None:
    """At once, however long its leases would last."""
    settings = order_settings.model_copy(update={"lease_s": 3600.0, "wait_budget_s": 0.01})
    async with serve(order_service.app.create(settings, Away)) as client:
        response = await client.post(
            "/orders", json={"customer": "alice", "amount_cents": 1999, "item": "book"}
        )
        assert response.status_code == 202
    order = await settled(shop, response.json()["order_id"])
    assert order["status"] == "billed"
    assert await shop.balance() == OPENING_CENTS - 1999


async def test_a_process_that_has_ended(
    database: Any, order_settings: Settings, serve: Any
) -> None:
    """It has closed its sessions: after each rolling restart all of Postgres's are there for those that serve."""
    owner = await asyncpg.connect(database.owner)
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'order_service'"
    async with serve(order_service.app.create(order_settings)) as client:
        assert (await client.get("/readyz")).status_code == 200
        assert await owner.fetchval(sessions) > 0
    await seen(lambda: owner.fetchval(f"SELECT 0 = ({sessions})"), "no session is left")
    await owner.close()


async def test_pauses_are_drawn_by_chance(order_settings: Settings, serve: Any) -> None:
    """From nothing to the bound: callers that failed together do not come back together."""
    app = order_service.app.create(order_settings, Network)
    async with serve(app):
        backoff = app.state.process.dispatcher._context.backoff
        drawn = [backoff.pause_s(10) for _ in range(200)]
    cap_s = order_settings.backoff_cap_s
    assert max(drawn) <= cap_s
    assert min(drawn) < 0.2 * cap_s
    assert max(drawn) > 0.8 * cap_s


async def test_a_customer_who_comes_back_does_not_wait_for_the_notification(shop: Shop) -> None:
    """The order is settled: its customer is told so, although the notification hangs."""
    hanging = asyncio.Event()

    class Hangs(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            hanging.set()
            await asyncio.Event().wait()
            raise AssertionError

    shop.network.services["notification"] = Hangs()
    headers = {"Idempotency-Key": '"a7f3"'}
    first = await shop.place(headers=headers)
    await hanging.wait()
    again = await shop.place(headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    # It was asked while the notification was still on its way.
    assert again.json()["notification"] == "attempted"
