"""An order shows what it cost, and never what its customer has left."""

import json
import re
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from order_service.wire import Order, without_balance
from tests.order_service.conftest import OPENING_CENTS, Shop
from tests.order_service.test_cancel import charge_of, pending_order
from tests.order_service.test_orders import settled

# Told by no other figure of these orders.
BALANCE_CENTS = OPENING_CENTS - 1999
# As a number of its own: the digits may stand in an id or in a time.
_BALANCE = re.compile(rf"balance_cents|(?<![\w.-])({BALANCE_CENTS}|{OPENING_CENTS})(?![\w-])")
KEY = {"Idempotency-Key": '"a7f3"'}


def shows_a_balance(text: str) -> bool:
    return bool(_BALANCE.search(text))


async def everything_said(shop: Shop, order_id: str) -> list[str]:
    """What every route says of an order that is settled."""
    return [
        (await shop.orders.get(f"/orders/{order_id}")).text,
        (await shop.orders.get("/orders")).text,
        (await shop.orders.post(f"/orders/{order_id}/cancel")).text,
        (await shop.place(headers=KEY)).text,
    ]


async def test_a_billed_order(shop: Shop, database: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """No answer, no list, no replay, no refusal to cancel, no log line of order_service and no row of its table."""
    response = await shop.place(headers=KEY)
    await settled(shop, response.json()["order_id"])
    said = [response.text, *await everything_said(shop, response.json()["order_id"])]
    said += await kept(database)
    said.append(capfd.readouterr().out)
    assert [text for text in said if shows_a_balance(text)] == []
    assert response.json()["answer"].keys() == {
        "charge_id",
        "order_id",
        "account",
        "amount_cents",
    }


async def test_a_declined_order(
    shop: Shop, database: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """Billing's sentence names the balance, too: the order has one of its own."""
    cents = 10**12
    response = await shop.place(amount_cents=cents)
    order_id = response.json()["order"]["order_id"]
    await settled(shop, order_id)
    said = [response.text, (await shop.orders.get(f"/orders/{order_id}")).text]
    said += [(await shop.orders.post(f"/orders/{order_id}/cancel")).text, *await kept(database)]
    said = [text.replace(str(cents), "") for text in [*said, capfd.readouterr().out]]
    assert [text for text in said if shows_a_balance(text)] == []
    assert response.status_code == 402
    assert response.json()["detail"] == "The account has less than the order costs."
    answer = response.json()["order"]["answer"]
    assert answer["type"].endswith("/problems/insufficient-funds")
    assert answer["detail"] == response.json()["detail"]


async def test_an_order_that_is_found_billed_when_it_is_cancelled(
    shop: Shop, database: Any
) -> None:
    """The answer that voiding finds is billing's whole one."""
    order_id = await pending_order(shop, database)
    await shop.billing.post(
        "/charges", json=charge_of(order_id), headers={"Idempotency-Key": '"1"'}
    )
    response = await shop.orders.post(f"/orders/{order_id}/cancel")
    assert response.json()["order"]["status"] == "billed"
    assert [text for text in [response.text, *await kept(database)] if shows_a_balance(text)] == []


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (
            "billed",
            {
                "charge_id": "c",
                "account": "alice",
                "amount_cents": 5,
                "balance_cents": BALANCE_CENTS,
            },
        ),
        (
            "declined",
            {
                "type": "/problems/insufficient-funds",
                "title": "Insufficient funds",
                "status": 402,
                "detail": f"The account alice has {BALANCE_CENTS} cents, the charge needs 5.",
                "account": "alice",
                "amount_cents": 5,
                "balance_cents": BALANCE_CENTS,
            },
        ),
    ],
)
async def test_an_order_that_was_stored_with_its_balance(
    shop: Shop, database: Any, status: str, answer: dict[str, Any]
) -> None:
    """By an older order_service: it is shown without."""
    owner = await asyncpg.connect(database.owner)
    order_id = UUID(int=3)
    await owner.execute(
        """
        INSERT INTO orders.orders (order_id, customer, item, amount_cents, delivery, sequence_key, fingerprint,
                                   lease_owner, lease_until, status, answer, settled_at)
        VALUES ($1, 'alice', 'book', 5, 'exactly_once', 900, '', gen_random_uuid(), 'infinity', $2, $3, now())
        """,
        order_id,
        status,
        json.dumps(answer),
    )
    await owner.close()
    said = (await everything_said(shop, str(order_id)))[:3]
    assert [text for text in said if shows_a_balance(text)] == []
    assert all(status in text for text in said)


def test_what_billing_may_add_is_not_shown() -> None:
    """What is shown is named; a member that is not listed is not shown."""
    answer = {"charge_id": "c", "balance_cents": 1, "balance_before_cents": 2, "account": "alice"}
    assert without_balance(answer) == {"charge_id": "c", "account": "alice"}
    assert without_balance(None) is None
    declined = {
        "type": "https://b.example/problems/insufficient-funds",
        "detail": "It has 2 cents.",
    }
    assert without_balance(declined) == {
        **declined,
        "detail": "The account has less than the order costs.",
    }
    refused = {"type": "https://b.example/problems/key-reused", "detail": "It was used."}
    assert without_balance(refused) == refused
    assert without_balance({"detail": "no type"}) == {"detail": "no type"}
    fields = Order.model_fields
    assert any(getattr(each, "func", None) is without_balance for each in fields["answer"].metadata)


async def kept(database: Any) -> list[str]:
    """The answers that order_service has stored."""
    owner = await asyncpg.connect(database.owner)
    rows = await owner.fetch("SELECT answer FROM orders.orders")
    await owner.close()
    return [str(row["answer"]) for row in rows]
