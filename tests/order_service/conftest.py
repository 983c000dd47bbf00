"""order_service with the real billing_service and notification_service behind it, in one process, on one database."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette

import billing_service.app
import billing_service.settings
import notification_service.app
import notification_service.settings
import order_service.app
from order_service.settings import Settings

OPENING_CENTS = 10_000
TOKEN = SecretStr("token-of-order_service")
NOTIFICATION_TOKEN = SecretStr("token-for-notification")


@dataclass
class Network(httpx.AsyncBaseTransport):
    """Passes requests to the services of this process, and loses what a test tells it to lose."""

    services: dict[str, httpx.AsyncBaseTransport] = field(default_factory=dict)
    requests: list[httpx.Request] = field(default_factory=list)
    lose_requests: int = 0
    lose_responses: int = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.lose_requests > 0:
            self.lose_requests -= 1
            raise httpx.ReadError("lost")
        response = await self.services[request.url.host].handle_async_request(request)
        await response.aread()
        if self.lose_responses > 0:
            self.lose_responses -= 1
            raise httpx.ReadError("lost")
        return response

    def charges(self) -> list[tuple[str, str]]:
        """Key and flag of each charge that was sent."""
        return [
            (request.headers["Idempotency-Key"], request.headers["Idempotency-Retry"])
            for request in self.requests
            if (request.method, request.url.path) == ("POST", "/charges")
        ]


@dataclass(frozen=True)
class Shop:
    """All three services: clients for a test, and the network between them."""

    orders: httpx.AsyncClient
    billing: httpx.AsyncClient
    notifications: httpx.AsyncClient
    network: Network
    settings: Settings

    async def balance(self) -> int:
        cents: int = (await self.billing.get("/accounts/alice")).json()["balance_cents"]
        return cents

    async def place(self, **changes: Any) -> httpx.Response:
        headers = changes.pop("headers", None)
        body = {"customer": "alice", "amount_cents": 1999, "item": "book", **changes}
        return await self.orders.post("/orders", json=body, headers=headers)


@pytest.fixture
def order_settings(database: Any) -> Settings:
    return Settings(
        database_url=SecretStr(database.order),
        billing_url="http://billing",
        billing_token=TOKEN,
        notification_url="http://notification",
        notification_token=NOTIFICATION_TOKEN,
        unsafe_delivery=True,
        backoff_base_s=0.001,
        backoff_cap_s=0.01,
        takeover_poll_s=0.02,
        attempt_timeout_s=2.0,
        transaction_timeout_s=2.0,
        lease_s=4.1,
        wait_budget_s=5.0,
    )


@pytest.fixture
async def shop(
    database: Any,
    order_settings: Settings,
    serve: Callable[[Starlette], AbstractAsyncContextManager[httpx.AsyncClient]],
) -> AsyncIterator[Shop]:
    billing = billing_service.app.create(
        billing_service.settings.Settings(
            database_url=SecretStr(database.billing),
            tokens={"order_service": (TOKEN,)},
            hosts=("billing",),
        )
    )
    notification = notification_service.app.create(
        notification_service.settings.Settings(
            database_url=SecretStr(database.notification),
            tokens={"order_service": (NOTIFICATION_TOKEN,)},
            hosts=("notification",),
        )
    )
    network = Network(
        {"billing": httpx.ASGITransport(billing), "notification": httpx.ASGITransport(notification)}
    )
    async with AsyncExitStack() as stack:
        billing_client = await stack.enter_async_context(serve(billing))
        notification_client = await stack.enter_async_context(serve(notification))
        orders = await stack.enter_async_context(
            serve(order_service.app.create(order_settings, lambda: network))
        )
        billing_client.headers["Authorization"] = "Bearer token-of-order_service"
        await billing_client.put("/accounts/alice", json={"opening_balance_cents": OPENING_CENTS})
        yield Shop(orders, billing_client, notification_client, network, order_settings)
