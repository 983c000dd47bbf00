"""A key is voided before it is executed, or it was executed: there is nothing in between."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg
import httpx

from tests.billing_service.conftest import PATIENT

Charge = Callable[..., Coroutine[Any, Any, httpx.Response]]
Balance = Callable[[], Coroutine[Any, Any, int]]
OPENING_CENTS = 10_000


async def test_a_voided_key_is_never_executed(
    billing: httpx.AsyncClient, charge: Charge, balance: Balance
) -> None:
    """The late original finds the tombstone, whatever its payload; voiding again changes nothing."""
    for _ in range(2):
        response = await billing.delete("/charges/1")
        assert response.status_code == 200
        assert response.json()["state"] == "voided"
    late = await charge(1)
    assert late.status_code == 410
    assert late.json()["type"].endswith("/problems/key-voided")
    assert late.json()["detail"] == "Key 1 was voided."
    assert (await billing.get("/charges/1")).json()["state"] == "voided"
    assert await balance() == OPENING_CENTS


async def test_an_executed_key_cannot_be_voided(
    billing: httpx.AsyncClient, charge: Charge, balance: Balance
) -> None:
    """409 with the stored answer, charged or declined."""
    charged = await charge(1)
    declined = await charge(2, 99_999, order=2)
    for key, answer in ((1, charged), (2, declined)):
        response = await billing.delete(f"/charges/{key}")
        assert response.status_code == 409
        assert response.json()["type"].endswith("/problems/key-executed")
        assert response.json()["executed_status"] == answer.status_code
        assert response.json()["answer"] == answer.text
    assert await balance() == OPENING_CENTS - 1999


async def test_a_client_cannot_void_the_key_of_another(
    billing: httpx.AsyncClient, charge: Charge
) -> None:
    """The same number of another client is another key."""
    await billing.delete("/charges/1", headers={"Authorization": "Bearer token-of-client-curl"})
    assert (await charge(1)).status_code == 201
    wrong = await billing.delete("/charges/2", headers={"Authorization": "Bearer x"})
    assert wrong.status_code == 401


async def test_a_forgotten_key_cannot_be_voided(
    database: Any, billing: httpx.AsyncClient, charge: Charge
) -> None:
    """410: what it did is not known here any more, so nothing is promised about it."""
    await charge(1)
    owner = await asyncpg.connect(database.owner)
    await owner.execute("INSERT INTO billing.clients VALUES ('order_service', 2)")
    await owner.close()
    response = await billing.delete("/charges/1")
    assert response.status_code == 410
    assert response.json()["first_incomplete"] == 2


@PATIENT
async def test_voiding_races_with_charging(
    billing: httpx.AsyncClient, charge: Charge, balance: Balance
) -> None:
    """The first request decides, and both answers agree with the money."""
    executed = 0
    for key in range(1, 31):
        charged, voided = await asyncio.gather(
            charge(key, 10, order=key), billing.delete(f"/charges/{key}")
        )
        assert (charged.status_code, voided.status_code) in {(201, 409), (410, 200)}
        executed += charged.status_code == 201
    assert await balance() == OPENING_CENTS - 10 * executed


async def test_a_key_that_is_held_cannot_be_voided_now(
    database: Any, billing: httpx.AsyncClient
) -> None:
    """409 key-in-flight with Retry-After: it is not known yet what to answer."""
    owner = await asyncpg.connect(database.owner)
    async with owner.transaction():
        await owner.execute(
            """
            INSERT INTO billing.processed_keys (client, sequence_key, fingerprint)
            VALUES ('order_service', 1, '')
            """
        )
        response = await billing.delete("/charges/1")
        assert response.status_code == 409
        assert response.json()["type"].endswith("/problems/key-in-flight")
        await owner.execute("DELETE FROM billing.processed_keys")
    await owner.close()
