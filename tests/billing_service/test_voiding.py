"""A key is voided before it is executed, or it was executed: there is nothing in between."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg
import httpx

import billing_service.charge

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
    assert (await billing.delete("/charges/1")).status_code == 410


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


async def test_a_charge_whose_caller_has_stopped_waiting_is_not_begun(
    database: Any, billing: httpx.AsyncClient, charge: Charge, balance: Balance
) -> None:
    """The caller's deadline passed while a twin held the key and was rolled back: 503, unspent, nothing moved."""
    owner: Any = await asyncpg.connect(database.owner)
    transaction = owner.transaction()
    await transaction.start()
    await billing_service.charge.insert_key(owner, "order_service", 1, b"")
    late = asyncio.create_task(charge(1, **{"Request-Timeout": "0.005"}))
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    async with asyncio.timeout(10):
        while not await owner.fetchval(waits):
            pass
        since_s = time.monotonic()
        while time.monotonic() - since_s < 0.01:
            assert await owner.fetchval(waits)
    await transaction.rollback()
    await owner.close()
    response = await late
    assert response.status_code == 503
    assert response.json()["type"].endswith("/problems/deadline-passed")
    assert (await billing.get("/charges/1")).json()["state"] == "never_seen"
    assert await balance() == OPENING_CENTS
    assert (await charge(1, retry=True, **{"Request-Timeout": "5"})).status_code == 201


async def test_a_charge_under_way_is_never_called_too_late(
    database: Any, charge: Charge, balance: Balance
) -> None:
    """Its caller's deadline passes inside COMMIT: a caller that still listens gets the outcome, not "nothing happened"."""
    owner = await asyncpg.connect(database.owner)
    await owner.execute(
        """
        CREATE FUNCTION billing.pause() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS
        $$ BEGIN PERFORM pg_advisory_xact_lock(1, 1); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER pause AFTER INSERT ON billing.ledger
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing.pause();
        SELECT pg_advisory_lock(1, 1);
        """
    )
    under_way = asyncio.create_task(charge(1, **{"Request-Timeout": "1"}))
    since_s = time.monotonic()
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    async with asyncio.timeout(10):
        while not await owner.fetchval(waits):
            pass
        while time.monotonic() - since_s < 1.2:
            assert await owner.fetchval(waits)
    await owner.execute("SELECT pg_advisory_unlock(1, 1)")
    response = await under_way
    await owner.close()
    assert response.status_code == 201
    assert await balance() == OPENING_CENTS - 1999
