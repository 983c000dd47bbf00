"""billing_service on a database of its own, with two clients and an account."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette

import billing_service.app
from billing_service import accounts
from billing_service.settings import Settings
from service_kit.bounded_pool import BoundedPool
from tests.billing_service.replica import Owner, Replica, opened

TOKENS = {
    "order_service": (SecretStr("token-of-order_service"),),
    "curl": (SecretStr("token-of-client-curl"),),
}
OPENING_CENTS = 10_000


@pytest.fixture(params=["in batches", "one by one"])
def form(request: pytest.FixtureRequest) -> str:
    """How the service executes charges. What it promises is the same in both forms."""
    return str(request.param)


# For many charges at once that must all be executed: on a busy machine they wait for each other longer than a test of a lock
# that is held would like to.
PATIENT = pytest.mark.parametrize("lock_timeout_s", [30.0], ids=["patient"])


@pytest.fixture
def lock_timeout_s() -> float:
    """Short, because tests of what is held wait for it."""
    return 0.3


@pytest.fixture
def transaction_timeout_s(lock_timeout_s: float) -> float:
    """Long enough for a charge on a busy machine."""
    return max(2.0, 2 * lock_timeout_s)


@pytest.fixture
def settings(
    database: Any, form: str, lock_timeout_s: float, transaction_timeout_s: float
) -> Settings:
    return Settings(
        database_url=SecretStr(database.billing),
        tokens=TOKENS,
        hosts=("billing",),
        lock_timeout_s=lock_timeout_s,
        group_commit=form == "in batches",
        transaction_timeout_s=transaction_timeout_s,
    )


@pytest.fixture
async def billing(
    settings: Settings,
    serve: Callable[[Starlette], AbstractAsyncContextManager[httpx.AsyncClient]],
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service, as client `order_service`; the account alice is open."""
    async with serve(billing_service.app.create(settings)) as client:
        client.headers["Authorization"] = "Bearer token-of-order_service"
        response = await client.put(
            "/accounts/alice", json={"opening_balance_cents": OPENING_CENTS}
        )
        assert response.status_code == 200
        yield client


Charge = Callable[..., Coroutine[Any, Any, httpx.Response]]


@pytest.fixture
def charge(billing: httpx.AsyncClient) -> Charge:
    """Sends one charge."""

    async def send(
        key: int | str,
        amount_cents: Any = 1999,
        *,
        account: str = "alice",
        order: int = 1,
        retry: bool | None = None,
        **headers: str,
    ) -> httpx.Response:
        sent = {"Idempotency-Key": f'"{key}"', **headers}
        if retry is not None:
            sent["Idempotency-Retry"] = "?1" if retry else "?0"
        body = {"order_id": str(UUID(int=order)), "account": account, "amount_cents": amount_cents}
        return await billing.post("/charges", json=body, headers=sent)

    return send


@pytest.fixture
def balance(billing: httpx.AsyncClient) -> Callable[[], Coroutine[Any, Any, int]]:
    """What alice has left."""

    async def read() -> int:
        cents: int = (await billing.get("/accounts/alice")).json()["balance_cents"]
        return cents

    return read


@pytest.fixture
async def pool(database: Any) -> AsyncIterator[BoundedPool]:
    """Of a replica on a database in which alice and bob have accounts."""
    async with opened(database.billing) as pool:
        for account in ("alice", "bob"):
            await accounts.open_account(pool, account, OPENING_CENTS)
        yield pool


@pytest.fixture
async def owner(database: Any) -> AsyncIterator[Owner]:
    """A connection that may do everything."""
    connection = await asyncpg.connect(database.owner)
    yield connection
    await connection.close()


@pytest.fixture
def replica(pool: BoundedPool) -> Replica:
    """The queue of one replica."""
    return Replica(pool)
