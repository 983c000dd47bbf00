"""A token is replaced while orders are placed, as docs/running.md describes it, and no order fails."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette

import billing_service.app
import billing_service.settings
import order_service.app
from tests.order_service.conftest import OPENING_CENTS, TOKEN, Shop

Serve = Callable[[Starlette], AbstractAsyncContextManager[httpx.AsyncClient]]
NEW = SecretStr("token-that-comes-after-it")


@dataclass
class Stack:
    """Billing behind one address, order_service behind another; each can be replaced by one with other tokens."""

    shop: Shop
    serve: Serve
    database: Any
    orders: httpx.AsyncClient
    running: AsyncExitStack
    placed: list[httpx.Response] = field(default_factory=list)

    async def accept(self, *tokens: SecretStr) -> None:
        """Billing is started anew with these tokens of its client."""
        app = billing_service.app.create(
            billing_service.settings.Settings(
                database_url=SecretStr(self.database.billing),
                tokens={"order_service": tokens},
                hosts=("billing",),
            )
        )
        await self.running.enter_async_context(self.serve(app))
        self.shop.network.services["billing"] = httpx.ASGITransport(app)

    async def send(self, token: SecretStr) -> None:
        """order_service is started anew with this token."""
        app = order_service.app.create(
            self.shop.settings.model_copy(update={"billing_token": token}),
            lambda: self.shop.network,
        )
        self.orders = await self.running.enter_async_context(self.serve(app))

    @asynccontextmanager
    async def customers(self) -> AsyncIterator[None]:
        """Four customers order one thing after the other for the length of the block."""
        over = asyncio.Event()

        async def ordering() -> None:
            while not over.is_set():
                body = {"customer": "alice", "amount_cents": 1, "item": "pin"}
                self.placed.append(await self.orders.post("/orders", json=body))

        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(ordering())
            yield
            over.set()

    async def some_are_placed(self) -> None:
        """Returns when orders were answered that were placed after now."""
        enough = len(self.placed) + 8
        async with asyncio.timeout(60):
            while len(self.placed) < enough:
                # A question to Postgres lets the orders go on.
                await self.shop.notifications.get("/readyz")


@pytest.fixture
async def stack(shop: Shop, serve: Serve, database: Any) -> AsyncIterator[Stack]:
    async with AsyncExitStack() as running:
        yield Stack(shop, serve, database, shop.orders, running)


async def test_a_token_is_replaced_under_orders(stack: Stack) -> None:
    """Billing takes both, order_service sends the new one, billing takes the new one alone: every order is billed."""
    async with stack.customers():
        await stack.some_are_placed()
        await stack.accept(TOKEN, NEW)
        await stack.some_are_placed()
        await stack.send(NEW)
        await stack.some_are_placed()
        # The old process has ended when its last request is answered; here, when the customers ask the new one.
        await stack.some_are_placed()
        await stack.accept(NEW)
        await stack.some_are_placed()
    assert {response.status_code for response in stack.placed} == {201}
    left = await stack.shop.billing.get("/accounts/alice")
    assert left.json()["balance_cents"] == OPENING_CENTS - len(stack.placed)
    refused = await charge_with(stack, TOKEN)
    assert refused.status_code == 401


async def test_a_token_that_is_replaced_at_once(stack: Stack) -> None:
    """The negative control: without the time in which both are valid, orders fail."""
    async with stack.customers():
        await stack.some_are_placed()
        await stack.accept(NEW)
        await stack.some_are_placed()
    assert 422 in {response.status_code for response in stack.placed}


async def charge_with(stack: Stack, token: SecretStr) -> httpx.Response:
    """What billing answers to a token now."""
    request = httpx.Request(
        "GET",
        "http://billing/accounts/alice",
        headers={"Authorization": f"Bearer {token.get_secret_value()}"},
    )
    return await stack.shop.network.services["billing"].handle_async_request(request)
