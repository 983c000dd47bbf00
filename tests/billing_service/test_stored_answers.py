"""Each answer says whose it is, also one that was stored by a release that did not say so."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

import httpx
import pytest

from billing_service.wire import Charged, Declined, KeyExecuted
from tests.billing_service.conftest import PATIENT
from tests.billing_service.replica import Owner

Charge = Callable[..., Coroutine[Any, Any, httpx.Response]]
OPENING_CENTS = 10_000


async def age(owner: Owner) -> None:
    """The stored answers become those of a release that did not name orders in them."""
    await owner.execute(
        """
        UPDATE billing.processed_keys
        SET body = regexp_replace(body, '"order_id": ?"[-0-9a-f]*", ?', '')
        """
    )
    assert not await owner.fetchval(
        "SELECT count(*) FROM billing.processed_keys WHERE body LIKE '%\"order\\_id\":%'"
    )


@PATIENT
async def test_every_form_of_a_charge_names_its_order(charge: Charge) -> None:
    """A batch in one round trip and the single transaction store the same form, to the byte."""
    answers = await asyncio.gather(*(charge(key, 10, order=key) for key in (1, 2, 3)))
    for key, answer in enumerate(answers, 1):
        charged = Charged.model_validate_json(answer.content)
        assert (charged.order_id, charged.account, charged.amount_cents) == (
            UUID(int=key),
            "alice",
            10,
        )
        assert charged.model_dump_json() == answer.text


async def test_a_decline_names_its_order(charge: Charge) -> None:
    """As a charge does."""
    declined = Declined.model_validate_json((await charge(1, 99_999, order=7)).content)
    assert (declined.order_id, declined.account, declined.amount_cents, declined.balance_cents) == (
        UUID(int=7),
        "alice",
        99_999,
        OPENING_CENTS,
    )


@pytest.mark.parametrize("account", ["alice", "order_id"])
@pytest.mark.parametrize("amount_cents", [1999, 99_999])
async def test_an_old_answer_is_completed_when_it_comes_again(
    billing: httpx.AsyncClient, charge: Charge, owner: Owner, account: str, amount_cents: int
) -> None:
    """The payload is the one that it was stored for, so its order is known: it gets today's form, and nothing else changes."""
    await billing.put(f"/accounts/{account}", json={"opening_balance_cents": OPENING_CENTS})
    first = await charge(1, amount_cents, account=account, order=7)
    stored = "SELECT body FROM billing.processed_keys"
    await age(owner)
    aged = await owner.fetchval(stored)
    assert json.loads(aged) == {k: v for k, v in first.json().items() if k != "order_id"}
    for _ in range(2):
        again = await charge(1, amount_cents, account=account, order=7, retry=True)
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["Idempotency-Replayed"] == "?1"
    # Another payload still gets none of it, and the row is as it was: an older release beside this one reads it too.
    assert (await charge(1, amount_cents, account=account, order=8)).status_code == 422
    assert await owner.fetchval(stored) == aged


@pytest.mark.parametrize("old", [False, True])
async def test_what_a_key_did_names_its_order(
    billing: httpx.AsyncClient, charge: Charge, owner: Owner, old: bool
) -> None:
    """For a charge the ledger knows it, whatever the release that stored the answer, and it knows other charges, too."""
    await charge(2, order=8)
    answer = (await charge(1, order=7)).text
    if old:
        await age(owner)
    assert (await billing.get("/charges/1")).json()["answer"] == answer
    executed = KeyExecuted.model_validate_json((await billing.delete("/charges/1")).content)
    assert executed.answer == answer
    assert (executed.order_id, executed.account, executed.amount_cents) == (
        UUID(int=7),
        "alice",
        1999,
    )


@pytest.mark.parametrize("old", [False, True])
async def test_what_a_declined_key_did(
    billing: httpx.AsyncClient, charge: Charge, owner: Owner, old: bool
) -> None:
    """Nothing else holds the order of an old decline: null says so."""
    await charge(1, 99_999, order=7)
    if old:
        await age(owner)
    response = await billing.delete("/charges/1")
    executed = KeyExecuted.model_validate_json(response.content)
    assert executed.order_id == (None if old else UUID(int=7))
    assert (executed.account, executed.amount_cents) == ("alice", 99_999)
    assert response.json()["order_id"] == (None if old else str(UUID(int=7)))
    stored = await owner.fetchval("SELECT body FROM billing.processed_keys")
    assert (await billing.get("/charges/1")).json()["answer"] == stored == executed.answer


async def test_an_old_charge_that_the_ledger_does_not_know(
    billing: httpx.AsyncClient, charge: Charge, owner: Owner
) -> None:
    """Its ledger was lost: the answer is given as it is, without a name."""
    await charge(1)
    await age(owner)
    await owner.execute("DELETE FROM billing.ledger")
    stored = await owner.fetchval("SELECT body FROM billing.processed_keys")
    response = await billing.delete("/charges/1")
    assert response.json()["answer"] == stored
    assert response.json()["order_id"] is None
