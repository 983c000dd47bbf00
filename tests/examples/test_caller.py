"""The caller of the examples: it records before it sends, repeats one key, believes only its own answer, settles once."""

import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from tests.evidence import seen
from tests.examples.source import Substitution, load, text

Answer = Callable[[dict[str, Any]], httpx.Response]
ORDER = {"account": "alice", "amount_cents": 10}


def charged(charge: dict[str, Any]) -> httpx.Response:
    return httpx.Response(201, json={"charge_id": str(uuid4()), **charge})


def declined(charge: dict[str, Any]) -> httpx.Response:
    body = {"type": "/problems/insufficient-funds", "order_id": charge["order_id"]}
    return httpx.Response(402, json=body)


def other_charge(**changes: Any) -> Answer:
    return lambda charge: charged({**charge, **changes})


@dataclass
class Receiver:
    """Answers as it is told, then as the receiver does; keeps what it was sent, and what was recorded by then."""

    url: str
    answers: list[Answer] = field(default_factory=list)
    sent: list[tuple[str, str]] = field(default_factory=list)
    recorded: list[int] = field(default_factory=list)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        headers = request.headers
        self.sent.append((headers["Idempotency-Key"], headers["Idempotency-Retry"]))
        charge = json.loads(request.content)
        owner = await asyncpg.connect(self.url)
        sql = "SELECT sequence_key FROM orders WHERE order_id = $1"
        self.recorded.append(await owner.fetchval(sql, charge["order_id"]))
        await owner.close()
        return self.answers.pop(0)(charge) if self.answers else charged(charge)


@dataclass
class Shop:
    """A running caller, its receiver, and a look at its database."""

    caller: Any
    client: httpx.AsyncClient
    receiver: Receiver
    owner: Any

    async def order(self) -> httpx.Response:
        return await self.client.post("/orders", json=ORDER)

    async def statuses(self) -> list[str]:
        return [row["status"] for row in await self.owner.fetch("SELECT status FROM orders")]


@asynccontextmanager
async def opened(url: str, broken: Iterable[Substitution] = ()) -> AsyncIterator[Shop]:
    owner = await asyncpg.connect(url)
    await owner.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await owner.execute(text("schema.sql"))
    module, receiver = load("caller", broken), Receiver(url)
    http = httpx.AsyncClient(base_url="http://receiver", transport=httpx.MockTransport(receiver))
    caller = module.Caller(url, http)
    app = module.create(caller)
    transport = httpx.ASGITransport(app)
    async with (
        http,
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://caller") as client,
    ):
        yield Shop(caller, client, receiver, owner)
    await owner.close()


@pytest.fixture
async def shop(database: Any) -> AsyncIterator[Shop]:
    """A caller on a database of its own."""
    async with opened(database.owner) as shop:
        yield shop


async def test_an_order(shop: Shop) -> None:
    """Its key is committed before it is sent; keys count from 1; the first attempt carries no retry flag."""
    assert [(await shop.order()).status_code for _ in range(2)] == [201, 201]
    assert shop.receiver.sent == [('"1"', "?0"), ('"2"', "?0")]
    assert shop.receiver.recorded == [1, 2]
    assert await shop.statuses() == ["billed", "billed"]


async def test_a_declined_order(shop: Shop) -> None:
    """A decline is an answer: nothing is sent again."""
    shop.receiver.answers = [declined]
    assert (await shop.order()).status_code == 402
    assert len(shop.receiver.sent) == 1
    assert await shop.statuses() == ["declined"]


NOT_BELIEVED: dict[str, Answer] = {
    "another order's answer": other_charge(order_id=str(uuid4())),
    "another amount": other_charge(amount_cents=11),
    "another account": other_charge(account="bob"),
    "a gateway's created": lambda _: httpx.Response(201, json={"created": True}),
    "a gateway's payment required": lambda _: httpx.Response(402, json={"message": "no"}),
    "another order's decline": lambda charge: declined({**charge, "order_id": str(uuid4())}),
    "a gateway's not found": lambda _: httpx.Response(404, json={"message": "no Route"}),
    "a charge with another status": lambda charge: httpx.Response(200, json=charge),
    "no JSON": lambda _: httpx.Response(201, text="<html>"),
    "half an answer": lambda _: httpx.Response(201, text='{"order_id": "'),
    "a list": lambda _: httpx.Response(201, json=[]),
    "too deep": lambda _: httpx.Response(201, text="[" * 100_000),
    "unknown": lambda _: httpx.Response(503, json={"type": "/problems/unknown"}),
}


@pytest.mark.parametrize("name", NOT_BELIEVED)
async def test_an_answer_that_is_not_believed(shop: Shop, name: str) -> None:
    """It decides nothing: the same key is sent again, with the retry flag, until its own answer comes."""
    shop.receiver.answers = [NOT_BELIEVED[name]]
    assert (await shop.order()).status_code == 201
    assert shop.receiver.sent == [('"1"', "?0"), ('"1"', "?1")]
    assert await shop.statuses() == ["billed"]


async def test_a_caller_that_believes_any_order(database: Any) -> None:
    """The negative control: without the comparison, another order's answer settles this one."""
    broken = [("answer.items() >= expected.items()", "True")]
    async with opened(database.owner, broken) as shop:
        shop.receiver.answers = [NOT_BELIEVED["another order's answer"]]
        await shop.order()
        assert len(shop.receiver.sent) == 1


async def test_an_order_is_settled_once(shop: Shop, database: Any) -> None:
    """A second answer changes nothing; the negative control: without the condition it does."""
    order = {"order_id": await placed(shop)}
    await shop.caller.settle(order, 402, "{}")
    assert await shop.statuses() == ["billed"]
    async with opened(database.owner, [("= $1 AND status = 'pending'", "= $1")]) as other:
        order = {"order_id": await placed(other)}
        await other.caller.settle(order, 402, "{}")
        assert await other.statuses() == ["declined"]


async def placed(shop: Shop) -> str:
    return str((await shop.order()).json()["order_id"])


async def test_an_order_of_a_process_that_died(shop: Shop) -> None:
    """It is taken up under its recorded key, as a retry: whether it was sent is unknown."""
    sql = "INSERT INTO orders VALUES ($1, 'alice', 10, 42, 'pending', now() - interval '1 hour')"
    await shop.owner.execute(sql, uuid4())

    async def billed() -> bool:
        return await shop.statuses() == ["billed"]

    await seen(billed, "the order is taken up and billed")
    assert shop.receiver.sent == [('"42"', "?1")]
