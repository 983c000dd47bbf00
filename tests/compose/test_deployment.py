"""The deployed stack as `make compose-test` reads it, on the Postgres of these tests: no container is needed for it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

import billing_service.app
import billing_service.settings
from chaos.compose import deployment as module
from chaos.compose.deployment import AMOUNT_CENTS, OPENING_CENTS, Connection, Deployment
from chaos.compose.pause import Where, paused
from chaos.harness.target import Target
from stack.processes import StackError
from tests.conftest import Serve

# Nothing listens there: a reading that went through a service or a proxy would fail.
NOWHERE = "http://127.0.0.1:9"
CHARGE = {
    "order_id": "00000000-0000-4000-8000-000000000001",
    "account": "ada",
    "amount_cents": AMOUNT_CENTS,
}


@pytest.fixture
async def deployment(database: Any) -> AsyncIterator[Deployment]:
    """The owner's Postgres, and services that cannot be reached."""
    names = ("order_service", "billing_service", "notification_service")
    target = Target(
        urls=dict.fromkeys(names, NOWHERE),
        toxiproxy=NOWHERE,
        owner=database.owner,
        tokens={"order_service": "o", "curl": "c"},
        order_tokens={},
    )
    async with Deployment(target) as deployment:
        owner = await deployment.connected()
        await owner.execute(
            "INSERT INTO billing.accounts (account, opening_balance_cents, balance_cents) VALUES ('ada', $1, $1)",
            OPENING_CENTS,
        )
        await owner.close()
        yield deployment


@pytest.fixture
async def billing(database: Any, serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    """The real billing_service on the same database."""
    settings = billing_service.settings.Settings(
        database_url=SecretStr(database.billing),
        tokens={"order_service": (SecretStr("token-of-order_service"),)},
    )
    async with serve(billing_service.app.create(settings)) as client:
        client.headers["Authorization"] = "Bearer token-of-order_service"
        yield client


def charging(billing: httpx.AsyncClient, key: int) -> "asyncio.Task[httpx.Response]":
    """A charge on its way."""
    headers = {"Idempotency-Key": f'"{key}"'}
    return asyncio.create_task(billing.post("/charges", json=CHARGE, headers=headers))


async def traces(owner: Connection) -> list[Any]:
    """Functions and triggers of the schema, and advisory locks of the harness: what a pause must not leave behind."""
    found: list[Any] = await owner.fetch(
        """
        SELECT 'function', proname::text FROM pg_proc WHERE pronamespace = 'billing'::regnamespace
        UNION ALL SELECT 'trigger', tgname::text FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL SELECT 'lock', classid::text FROM pg_locks WHERE locktype = 'advisory' AND classid = 471148
        UNION ALL SELECT 'row lock', relation::regclass::text FROM pg_locks
                  WHERE relation = 'billing.accounts'::regclass AND database = (SELECT oid FROM pg_database
                                                                                WHERE datname = current_database())
        ORDER BY 1, 2
        """
    )
    return found


async def test_money_is_read_past_every_service(
    deployment: Deployment, billing: httpx.AsyncClient
) -> None:
    """From the balance in Postgres, in amounts of an order, although no service can be reached."""
    assert await deployment.effects("ada") == 0
    for key in (1, 2):
        assert (await charging(billing, key)).status_code == 201
    assert await deployment.effects("ada") == 2
    with pytest.raises(httpx.ConnectError):
        await deployment.open_account("ada")


async def test_a_wait_ends_and_names_what_it_waited_for(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the evidence, or at its bound; also when the question itself never returns."""
    answers = iter([False, False, True])

    async def third_time() -> bool:
        return next(answers)

    await deployment.until("it is seen the third time", third_time)
    monkeypatch.setattr(module, "STEP_TIMEOUT_S", 0.05)

    async def never() -> bool:
        return False

    async def silent() -> bool:
        await asyncio.Event().wait()
        return True

    for question in (never, silent):
        with pytest.raises(StackError, match="within 0.05 s: the moon is blue"):
            await deployment.until("the moon is blue", question)


@pytest.mark.parametrize("where", ["before execution", "inside commit"])
async def test_a_charge_is_paused(
    deployment: Deployment, billing: httpx.AsyncClient, where: Where
) -> None:
    """`reached` returns when Postgres itself lists the charge as waiting; its money has not moved, and moves afterwards."""
    owner = await deployment.connected()
    before = await traces(owner)
    async with paused(deployment, where, "ada") as pause:
        charge = charging(billing, 1)
        await pause.reached()
        waiting = await owner.fetchval(
            "SELECT count(*) FROM pg_locks WHERE classid = 471148 AND NOT granted"
        )
        assert waiting == 1
        assert not charge.done()
        assert await deployment.effects("ada") == 0
    assert (await charge).status_code == 201
    assert await deployment.effects("ada") == 1
    assert await traces(owner) == before
    await owner.close()


async def test_without_a_charge_nothing_is_paused(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: `reached` says so within its bound, and the schema is as before all the same."""
    monkeypatch.setattr(module, "STEP_TIMEOUT_S", 0.3)
    owner = await deployment.connected()
    before = await traces(owner)
    for where in ("before execution", "inside commit"):
        with pytest.raises(StackError, match="a charge"):
            async with paused(deployment, where, "ada") as pause:
                assert len(await traces(owner)) > len(before)
                await pause.reached()
        assert await traces(owner) == before
    await owner.close()
