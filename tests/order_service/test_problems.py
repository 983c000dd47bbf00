"""What the problems of order_service say of the order is true, and each of them says something."""

import re
from typing import Any

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

import order_service.app
from order_service import problems
from order_service.problems import ALL
from service_kit.problem_details import ProblemType
from tests.order_service.conftest import Network, Shop

# What a customer can be told of the order, and of the money.
_SAYS = re.compile(
    r"No order was recorded|No order of this client|Nothing was executed|nothing was withdrawn|Nothing was withdrawn"
    r"|it stays billed|may be billed|it will be billed once"
)
NO_ORDER = {kind.slug for kind in ALL if "No order was recorded" in kind.explanation}


def silent(kinds: tuple[ProblemType, ...]) -> list[str]:
    """The slugs of problems that leave it open what became of the order."""
    return [kind.slug for kind in kinds if not _SAYS.search(kind.explanation)]


def test_each_says_what_became_of_the_order() -> None:
    """None leaves its reader without a word about the order or the money."""
    assert silent(ALL) == []


def test_a_problem_that_says_nothing_is_found() -> None:
    """The negative control."""
    assert silent((ProblemType("late", 503, "Late", "Ask again."),)) == ["late"]


async def orders(database: Any) -> int:
    """How many there are."""
    owner = await asyncpg.connect(database.owner)
    try:
        recorded: int = await owner.fetchval("SELECT count(*) FROM orders.orders")
        return recorded
    finally:
        await owner.close()


async def refused(shop: Shop, serve: Any, slug: str) -> httpx.Response:
    """An order that the service refuses with this problem; one order is there before it."""
    assert (await shop.place(headers={"Idempotency-Key": '"taken"'})).status_code == 201
    if slug == "key-malformed":
        return await shop.place(headers={"Idempotency-Key": "taken"})
    if slug == "key-reused":
        return await shop.place(headers={"Idempotency-Key": '"taken"'}, item="another")
    changes: dict[str, Any] = {}
    if slug == "delivery-refused":
        changes = {"unsafe_delivery": False}
    if slug == "window-full":
        # The first order of this process stays pending and fills the window.
        changes = {"window_max": 1, "wait_budget_s": 0.02}
    network = Network(shop.network.services, lose_requests=10**9)
    other = shop.settings.model_copy(update=changes)
    async with serve(order_service.app.create(other, lambda: network)) as client:
        body = {"customer": "alice", "amount_cents": 1, "item": "x"}
        if slug == "window-full":
            assert (await client.post("/orders", json=body)).status_code == 202
        return await client.post("/orders", json={**body, "delivery": "at_least_once"})  # type: ignore[no-any-return]


@pytest.mark.parametrize("slug", sorted(NO_ORDER))
async def test_no_order_was_recorded(shop: Shop, database: Any, serve: Any, slug: str) -> None:
    """A problem that says so is true: the table holds what it held before."""
    response = await refused(shop, serve, slug)
    assert response.json()["type"].endswith(f"/problems/{slug}")
    assert await orders(database) == (2 if slug == "window-full" else 1)


async def test_a_request_without_a_token(shop: Shop, database: Any, serve: Any) -> None:
    """Nothing was executed: no order is there."""
    tokens = {"shop": (SecretStr("token-of-the-shop"),)}
    knows = shop.settings.model_copy(update={"tokens": tokens})
    async with serve(order_service.app.create(knows, lambda: shop.network)) as client:
        body = {"customer": "alice", "amount_cents": 1, "item": "x"}
        response = await client.post("/orders", json=body)
    assert response.json()["type"].endswith(f"/problems/{problems.TOKEN_WRONG.slug}")
    assert await orders(database) == 0
