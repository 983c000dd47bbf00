"""While the standby is silent, nothing that another transaction committed is told."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from uuid import UUID

import httpx
import pytest

from billing_service import forgetting
from service_kit.bounded_pool import BoundedPool, DatabaseTrouble
from stack.postgres import PostgresCluster
from stack.waiting import until
from tests.billing_service.conftest import Charge
from tests.billing_service.replica import opened
from tests.silent_standby import silent_standby

# Everything is asked again until it is final: on a busy machine a charge may take longer than the service waits here.
_BOUND_S = 60
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


@pytest.fixture
def transaction_timeout_s() -> float:
    """Short, because each test waits for a commit in vain."""
    return 0.5


async def status(answer: Awaitable[httpx.Response]) -> int:
    return (await answer).status_code


async def told(ask: Callable[[], Awaitable[int]], final: int) -> None:
    """Returns when the answer has this status."""

    async def has_it() -> bool:
        return await ask() == final

    await until(has_it, _BOUND_S, f"the answer {final}")


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

    async def void() -> int:
        return (await billing.delete(f"/charges/{VOIDED}")).status_code

    await told(lambda: status(charge(CHARGED)), 201)
    await told(void, 200)
    await forgetting.forget(pool, "order_service", FORGOTTEN + 1)

    async def ask() -> int:
        if key is not None:
            return (await charge(key, retry=True)).status_code
        body: Any = {"opening_balance_cents": 10_000} if method == "PUT" else None
        return (await billing.request(method, path, json=body)).status_code

    await told(ask, final)
    async with silent_standby(cluster):
        assert await ask() == 503
    await told(ask, final)


async def test_another_payload_under_a_known_key(charge: Charge, cluster: PostgresCluster) -> None:
    """That the key was used is told only when the standby has it, too."""
    await told(lambda: status(charge(CHARGED)), 201)
    async with silent_standby(cluster):
        assert (await charge(CHARGED, 500)).status_code == 503
    await told(lambda: status(charge(CHARGED, 500)), 422)


async def test_a_mark_that_another_transaction_moved(
    charge: Charge, pool: BoundedPool, cluster: PostgresCluster
) -> None:
    """A charge below its own mark is refused for ever only when the mark is replicated."""
    await forgetting.forget(pool, "order_service", 10)
    headers = {"Idempotency-First-Incomplete": "10"}
    async with silent_standby(cluster):
        assert (await charge(9, **headers)).status_code == 503
    await told(lambda: status(charge(9, **headers)), 410)


async def test_the_highest_key(
    database: Any, pool: BoundedPool, cluster: PostgresCluster, transaction_timeout_s: float
) -> None:
    """A mark is judged by it, and refused for ever: so it is told only when the standby has it, too."""

    async def highest(pool: BoundedPool) -> int:
        async with pool.connection() as connection:
            return await forgetting.read_highest(connection, "order_service")

    await forgetting.forget(pool, "order_service", 10)
    async with (
        silent_standby(cluster),
        opened(database.billing, deadline_s=transaction_timeout_s) as impatient,
    ):
        with pytest.raises(DatabaseTrouble):
            await highest(impatient)
    assert await highest(pool) == 9


async def test_replays_and_new_charges_in_one_batch(
    charge: Charge, cluster: PostgresCluster
) -> None:
    """Neither is told, and all are executed once."""
    await told(lambda: status(charge(1, 10)), 201)
    async with silent_standby(cluster):
        answers = await asyncio.gather(*(charge(key, 10, order=key) for key in range(1, 9)))
        assert {answer.status_code for answer in answers} == {503}

    async def once_more(key: int) -> int:
        return await status(charge(key, 10, order=key))

    for key in range(1, 10):
        await told(partial(once_more, key), 201)
    assert (await charge(9, 10, order=9)).json()["balance_cents"] == 10_000 - 9 * 10
    assert UUID((await charge(9, 10, order=9)).json()["order_id"]) == UUID(int=9)
