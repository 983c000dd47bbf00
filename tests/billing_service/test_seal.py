"""While the standby is silent, nothing that another transaction committed is told."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest

from billing_service import forgetting
from service_kit.bounded_pool import BoundedPool
from stack.postgres import PostgresCluster
from stack.waiting import until
from tests.billing_service.conftest import Charge
from tests.silent_standby import silent_standby

_BOUND_S = 30
CHARGED, VOIDED, FORGOTTEN, UNSEEN = 5, 6, 1, 7
ROUTES = (
    ("POST", "/charges", CHARGED, 201),
    ("POST", "/charges", VOIDED, 410),
    ("POST", "/charges", FORGOTTEN, 410),
    ("GET", f"/charges/{CHARGED}", None, 200),
    ("GET", f"/charges/{VOIDED}", None, 200),
    ("GET", f"/charges/{FORGOTTEN}", None, 200),
    ("GET", f"/charges/{UNSEEN}", None, 200),
    ("DELETE", f"/charges/{CHARGED}", None, 409),
    ("DELETE", f"/charges/{VOIDED}", None, 200),
    ("DELETE", f"/charges/{FORGOTTEN}", None, 410),
    ("GET", "/accounts/alice", None, 200),
    ("GET", "/accounts/nobody", None, 404),
    ("PUT", "/accounts/alice", None, 200),
)


@pytest.mark.parametrize(
    ("method", "path", "key", "final"), ROUTES, ids=[f"{r[0]} {r[1]} {r[2] or ''}" for r in ROUTES]
)
async def test_what_another_transaction_committed(
    billing: httpx.AsyncClient,
    charge: Charge,
    pool: BoundedPool,
    cluster: PostgresCluster,
    method: str,
    path: str,
    key: int | None,
    final: int,
) -> None:
    """503 until the standby confirms; then the answer, without a restart."""
    assert (await charge(CHARGED)).status_code == 201
    assert (await billing.delete(f"/charges/{VOIDED}")).status_code == 200
    await forgetting.forget(pool, "order_service", FORGOTTEN + 1)

    async def ask() -> int:
        if key is not None:
            return (await charge(key, retry=True)).status_code
        body: Any = {"opening_balance_cents": 10_000} if method == "PUT" else None
        return (await billing.request(method, path, json=body)).status_code

    assert await ask() == final
    async with silent_standby(cluster):
        assert await ask() == 503

    async def answered() -> bool:
        return await ask() == final

    assert await until(answered, _BOUND_S, "the final answer")


async def test_another_payload_under_a_known_key(charge: Charge, cluster: PostgresCluster) -> None:
    """That the key was used is told only when the standby has it, too."""
    assert (await charge(CHARGED)).status_code == 201
    async with silent_standby(cluster):
        assert (await charge(CHARGED, 500)).status_code == 503
    assert (await charge(CHARGED, 500)).status_code == 422


async def test_a_mark_that_another_transaction_moved(
    charge: Charge, pool: BoundedPool, cluster: PostgresCluster
) -> None:
    """A charge below its own mark is refused for ever only when the mark is replicated."""
    await forgetting.forget(pool, "order_service", 10)
    headers = {"Idempotency-First-Incomplete": "10"}
    async with silent_standby(cluster):
        assert (await charge(9, **headers)).status_code == 503
    assert (await charge(9, **headers)).status_code == 410


async def test_replays_and_new_charges_in_one_batch(
    charge: Charge, cluster: PostgresCluster
) -> None:
    """Neither is told, and all are executed once."""
    assert (await charge(1, 10)).status_code == 201
    async with silent_standby(cluster):
        answers = await asyncio.gather(*(charge(key, 10, order=key) for key in range(1, 9)))
        assert {answer.status_code for answer in answers} == {503}

    async def all_told() -> bool:
        again = await asyncio.gather(*(charge(key, 10, order=key) for key in range(1, 9)))
        return {answer.status_code for answer in again} == {201}

    assert await until(all_told, _BOUND_S, "all are charged")
    assert (await charge(9, 10, order=9)).json()["balance_cents"] == 10_000 - 9 * 10
    assert UUID((await charge(9, 10, order=9)).json()["order_id"]) == UUID(int=9)
