"""The caller of the examples: it records before it sends, repeats one key, believes only its own answer, settles once."""

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from tests.evidence import seen
from tests.examples.source import Substitution, load, text
from tests.service_kit.http_guard.connection import next_turn

Answer = Callable[[dict[str, Any]], httpx.Response | Awaitable[httpx.Response]]
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
    paths: list[str] = field(default_factory=list)
    recorded: list[int] = field(default_factory=list)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        headers = request.headers
        self.paths.append(request.url.path)
        self.sent.append((headers["Idempotency-Key"], headers["Idempotency-Retry"]))
        charge = json.loads(request.content)
        owner = await asyncpg.connect(self.url)
        sql = "SELECT sequence_key FROM orders WHERE order_id = $1"
        # The caller's deadline may pass meanwhile, and cancels this.
        try:
            self.recorded.append(await owner.fetchval(sql, charge["order_id"]))
        finally:
            await owner.close()
        answer = self.answers.pop(0)(charge) if self.answers else charged(charge)
        return answer if isinstance(answer, httpx.Response) else await answer


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


class Sleepless:
    """The module `asyncio`, in which a pause is a turn of the loop, and the hundredth one of a length never ends.

    The recovery pauses more often the slower the machine delivers, so its pauses may not use up those of a delivery.
    """

    def __init__(self, pauses: list[float]) -> None:
        self._pauses = pauses

    def __getattr__(self, name: str) -> Any:
        return self._pause if name == "sleep" else getattr(asyncio, name)

    async def _pause(self, seconds: float) -> None:
        self._pauses.append(seconds)
        last = self._pauses.count(seconds) == 100
        await (asyncio.Event().wait() if last else next_turn())


@asynccontextmanager
async def opened(
    url: str,
    broken: Iterable[Substitution] = (),
    *,
    pauses: list[float] | None = None,
    **waits: float,
) -> AsyncIterator[Shop]:
    """A running caller; `pauses` is told how long it would have slept, and it sleeps for no time."""
    owner = await asyncpg.connect(url)
    await owner.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await owner.execute(text("schema.sql"))
    module, receiver = load("caller", broken), Receiver(url)
    http = httpx.AsyncClient(base_url="http://receiver", transport=httpx.MockTransport(receiver))
    if pauses is not None:
        vars(module)["asyncio"] = Sleepless(pauses)
    caller = module.Caller(url, http)
    app = module.create(caller, **waits)
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
    assert shop.receiver.paths == ["/charges", "/charges"]
    assert await shop.statuses() == ["billed", "billed"]
    assert shop.caller.in_hand == {}


async def test_an_order_is_committed_before_it_is_sent(shop: Shop) -> None:
    """As long as its commit takes, nothing leaves: the process may die, and would not know what it had sent."""
    await shop.owner.execute(
        """
        CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
          BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED
          FOR EACH ROW EXECUTE FUNCTION slow();
        SELECT pg_advisory_lock(1);
        """
    )
    ordered = asyncio.create_task(shop.order())
    commits = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"
    await seen(lambda: shop.owner.fetchval(commits), "the commit waits")
    assert shop.receiver.sent == []
    await shop.owner.execute("SELECT pg_advisory_unlock(1)")
    assert (await ordered).status_code == 201
    assert shop.receiver.sent == [('"1"', "?0")]


async def test_the_key_is_minted_with_its_order(shop: Shop) -> None:
    """In one transaction: a crash between them leaves no gap, and keys become visible in their order."""
    async with shop.owner.transaction():
        await shop.owner.execute("LOCK TABLE orders IN SHARE MODE")
        ordered = asyncio.create_task(shop.order())
        waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
        await seen(lambda: shop.owner.fetchval(waits), "the order waits")
        assert await shop.owner.fetchval("SELECT count(*) FROM sequence_counter") == 0
    assert (await ordered).status_code == 201
    assert await shop.owner.fetchval("SELECT last_key FROM sequence_counter") == 1


async def test_what_the_customer_is_told(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """The order and its ending: in the answer, and once in the log."""
    caplog.set_level("INFO")
    shop.receiver.answers = [charged, declined]
    first, second = (await shop.order()).json(), (await shop.order()).json()
    assert [first["status"], second["status"]] == ["billed", "declined"]
    assert {*first, *second} == {"order_id", "status"}
    rows = await shop.owner.fetch("SELECT order_id::text FROM orders ORDER BY sequence_key")
    assert [row["order_id"] for row in rows] == [first["order_id"], second["order_id"]]
    lines = [each.getMessage() for each in caplog.records if each.name == "root"]
    assert lines == [
        f"order {first['order_id']} is billed: tell the customer",
        f"order {second['order_id']} is declined: tell the customer",
    ]


@pytest.mark.parametrize(
    ("order", "accepted"),
    [
        ({"account": "a" * 64, "amount_cents": 10**12}, True),
        ({"account": "a", "amount_cents": 1}, True),
        ({"account": "", "amount_cents": 1}, False),
        ({"account": "a" * 65, "amount_cents": 1}, False),
        ({"account": "a", "amount_cents": 0}, False),
        ({"account": "a", "amount_cents": 10**12 + 1}, False),
        ({"account": "a", "amount_cents": "1"}, False),
        ({"account": "a"}, False),
        ({"amount_cents": 1}, False),
    ],
)
async def test_the_bounds_of_an_order(shop: Shop, order: dict[str, Any], accepted: bool) -> None:
    """An account of 1 to 64 characters, and an amount from a cent; anything else is refused before it is recorded."""
    response = await shop.client.post("/orders", json=order)
    assert response.status_code == (201 if accepted else 422)
    assert len(await shop.statuses()) == accepted


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


async def test_orders_that_are_not_taken_up(shop: Shop) -> None:
    """One that is settled, and one that another process may have recorded just now and have in hand."""
    sql = "INSERT INTO orders VALUES ($1, 'alice', 10, $2, $3, now() + $4::interval, $5)"
    hour = timedelta(hours=1)
    await shop.owner.execute(sql, uuid4(), 1, "billed", -hour, "{}")
    await shop.owner.execute(sql, uuid4(), 2, "pending", hour, None)

    async def taken_up(key: int) -> None:
        await shop.owner.execute(sql, uuid4(), key, "pending", -hour, None)
        await seen(lambda: _billed(shop, key), "the order is taken up and billed")

    # What the look at the orders that found the first one has begun was sent before the second one.
    await taken_up(3)
    await taken_up(4)
    assert shop.receiver.sent == [('"3"', "?1"), ('"4"', "?1")]


async def _billed(shop: Shop, key: int) -> bool:
    sql = "SELECT status = 'billed' FROM orders WHERE sequence_key = $1"
    return bool(await shop.owner.fetchval(sql, key))


async def silence(_: dict[str, Any]) -> httpx.Response:
    """No answer ever."""
    await asyncio.Event().wait()
    raise AssertionError


async def cut(_: dict[str, Any]) -> httpx.Response:
    """The connection is lost."""
    raise httpx.ReadError("cut")


@pytest.mark.parametrize("lost", [silence, cut])
async def test_an_attempt_without_an_answer(shop: Shop, lost: Answer) -> None:
    """It ends, and the same key is sent again as a retry."""
    shop.caller.attempt_s = 0.25
    shop.receiver.answers = [lost]
    async with asyncio.timeout(30):
        assert (await shop.order()).status_code == 201
    assert shop.receiver.sent[0] == ('"1"', "?0")
    assert set(shop.receiver.sent[1:]) == {('"1"', "?1")}


async def test_an_order_that_takes_long(database: Any) -> None:
    """The customer is told that it is pending, and it is delivered all the same."""
    go_on = asyncio.Event()

    async def late(charge: dict[str, Any]) -> httpx.Response:
        await go_on.wait()
        return charged(charge)

    async with opened(database.owner, wait_s=0.05) as shop:
        shop.caller.attempt_s = 60.0
        shop.receiver.answers = [late]
        async with asyncio.timeout(30):
            response = await shop.order()
        (order_id,) = shop.caller.in_hand
        assert response.status_code == 202
        assert response.json() == {"order_id": order_id, "status": "pending"}
        go_on.set()

        async def billed() -> bool:
            return await shop.statuses() == ["billed"]

        await seen(billed, "the order is billed")


def test_how_long_it_waits() -> None:
    """Two seconds for an attempt, five for the order: then the customer has an answer, whatever became of it."""
    module = load("caller")
    assert inspect.signature(module.Caller).parameters["attempt_s"].default == 2.0
    assert inspect.signature(module.create).parameters["wait_s"].default == 5.0


async def test_the_pauses_between_attempts(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is drawn from nothing to a bound, which doubles from 50 ms to two seconds."""
    bounds: list[tuple[float, float]] = []

    def longest(low: float, high: float) -> float:
        bounds.append((low, high))
        return high

    monkeypatch.setattr("random.uniform", longest)
    pauses: list[float] = []
    async with opened(database.owner, pauses=pauses) as shop:
        shop.receiver.answers = [cut] * 8
        # On a slow machine the customer has an answer before the order is billed.
        await shop.order()

        async def billed() -> bool:
            return await shop.statuses() == ["billed"]

        await seen(billed, "the order is billed")
    expected = [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    assert bounds == [(0, each) for each in expected]
    # The pauses of the recovery are between them.
    assert [each for each in pauses if each != 1] == expected


async def test_the_pauses_of_the_recovery(database: Any) -> None:
    """It looks for orders of a process that died every second, and no more when the application has ended."""
    before = asyncio.all_tasks()
    pauses: list[float] = []

    async def three() -> bool:
        return len(pauses) >= 3

    async with opened(database.owner, pauses=pauses):
        await seen(three, "three pauses of the recovery")
    assert set(pauses) == {1}
    await next_turn()
    await next_turn()
    assert asyncio.all_tasks() <= before


async def test_its_connections(shop: Shop) -> None:
    """One at the start, more when they are needed; every wait of each one ends."""
    pool = shop.caller.pool
    assert pool.get_size() == 1
    for name, value in (
        ("lock_timeout", "2s"),
        ("statement_timeout", "3s"),
        ("idle_in_transaction_session_timeout", "3s"),
    ):
        assert await pool.fetchval("SELECT current_setting($1)", name) == value


async def test_its_connections_end_with_it(database: Any) -> None:
    """Postgres has no session of a caller that has ended."""
    sql = """SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"""
    watcher = await asyncpg.connect(database.owner)
    try:
        async with opened(database.owner) as shop:
            await shop.order()
            # The caller's and the shop's own.
            assert await watcher.fetchval(sql) >= 2

        async def none() -> bool:
            return not await watcher.fetchval(sql)

        await seen(none, "the sessions end")
    finally:
        await watcher.close()
