"""The collector serves each client by itself, and takes no mark that leaps."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import httpx
import pytest
import structlog
from pydantic import SecretStr
from starlette.applications import Starlette

import billing_service.app
import billing_service.charge
from billing_service import forgetting, keys
from billing_service.forgetting import Collector
from billing_service.metrics import Metrics
from billing_service.outcomes import VOIDED, KeyForgotten, MarkLeap
from billing_service.settings import Settings
from service_kit.bounded_pool import BoundedPool, Connection, DatabaseTrouble
from tests.billing_service.replica import Owner, opened, sample
from tests.evidence import seen
from tests.service_kit.http_guard.connection import next_turn

Charge = Callable[..., Coroutine[Any, Any, httpx.Response]]
MARK = "Idempotency-First-Incomplete"
LEAP_MAX = 1_000
KEY_MAX = 999_999_999_999_999


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Rig:
    """A collector whose clock and pauses are the test's."""

    def __init__(self, pool: BoundedPool) -> None:
        self.metrics = Metrics()
        self.clock = Clock()
        self.pauses: asyncio.Queue[float] = asyncio.Queue()
        self.collector = Collector(
            pool,
            pause_s=60,
            leap_max=LEAP_MAX,
            sleep=self._sleep,
            clock=self.clock,
            metrics=self.metrics,
        )

    async def _sleep(self, seconds: float) -> None:
        self.pauses.put_nowait(seconds)
        # A turn of the loop, so that it can be cancelled here.
        await asyncio.Event().wait() if self.pauses.qsize() > 3 else None

    def failures(self, cause: str) -> float:
        return sample(self.metrics.registry, "billing_collector_failures_total", cause=cause)

    def rounds(self) -> float:
        return sample(self.metrics.registry, "billing_collector_rounds_total")


@pytest.fixture
def rig(pool: BoundedPool) -> Rig:
    return Rig(pool)


async def store(owner: Owner, client: str, first: int, last: int, status: int = 402) -> None:
    await owner.execute(
        """
        INSERT INTO billing.processed_keys (client, sequence_key, fingerprint, status, body)
        SELECT $1, key, '', $4, '' FROM generate_series($2::bigint, $3::bigint) AS key
        """,
        client,
        first,
        last,
        status,
    )


async def stored(owner: Owner, client: str) -> int:
    count: int = await owner.fetchval(
        "SELECT count(*) FROM billing.processed_keys WHERE client = $1", client
    )
    return count


async def test_a_stuck_client_keeps_no_other_one(rig: Rig, owner: Owner) -> None:
    """One client's lock is held; those before and behind it are served in the same round, and it is served when it is free."""
    for client in ("a", "b", "c"):
        await store(owner, client, 1, 3)
        await rig.collector.announce(client, 3)
    async with owner.transaction():
        await billing_service.charge.share_lock_client(owner, "b")
        assert await rig.collector.run_once() == 4
    assert [await stored(owner, client) for client in ("a", "b", "c")] == [1, 3, 1]
    assert (rig.failures("lock"), rig.rounds()) == (1, 0)
    assert await rig.collector.run_once() == 2
    assert await stored(owner, "b") == 1
    assert (rig.failures("lock"), rig.rounds()) == (1, 1)


async def test_a_row_that_is_held_keeps_no_other_client(database: Any, owner: Owner) -> None:
    """Also what waits behind the mark gives way: the deletion of a row that another transaction holds."""
    # The pool's own bounds (20 s in all) outlast the one below.
    async with opened(database.billing, lock_timeout_s=20.0) as pool:
        await gives_way(Rig(pool), owner)


async def gives_way(rig: Rig, owner: Owner) -> None:
    for client in ("a", "b"):
        await store(owner, client, 1, 3)
        await rig.collector.announce(client, 3)
    async with owner.transaction():
        await owner.execute("SELECT 1 FROM billing.processed_keys WHERE client = 'a' FOR UPDATE")
        async with asyncio.timeout(15):
            assert await rig.collector.run_once() == 2
    assert await rig.collector.run_once() == 2


@pytest.mark.parametrize(
    ("failure", "cause", "logged"),
    [
        (DEFECT := ZeroDivisionError(), "defect", {"log_level": "error", "exc_info": DEFECT}),
        (DatabaseTrouble("x"), "database", {"log_level": "warning", "reason": "x"}),
    ],
)
async def test_a_client_that_cannot_be_served(
    rig: Rig,
    owner: Owner,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
    cause: str,
    logged: dict[str, object],
) -> None:
    """Whatever it is, it is counted, and the others are served. Only a defect is logged as an error, with its traceback."""
    advance_mark = forgetting.advance_mark

    async def broken(connection: Connection, client: str, mark: int) -> None:
        if client == "a":
            raise failure
        await advance_mark(connection, client, mark)

    monkeypatch.setattr(forgetting, "advance_mark", broken)
    for client in ("a", "b"):
        await store(owner, client, 1, 3)
        await rig.collector.announce(client, 3)
    with structlog.testing.capture_logs() as lines:
        assert await rig.collector.run_once() == 2
    assert lines == [
        {"event": "a client's keys were not forgotten in this round", "client": "a", **logged}
    ]
    assert (await stored(owner, "a"), await stored(owner, "b")) == (3, 1)
    assert (rig.failures(cause), rig.rounds()) == (1, 0)


async def test_a_round_that_cannot_begin(
    rig: Rig, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect there is counted and ends neither the collector nor its pauses; later rounds do the work."""
    read_marks = forgetting.read_marks
    calls = 0

    async def broken_once(connection: Connection) -> dict[str, int]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise KeyError("a defect")
        return await read_marks(connection)

    monkeypatch.setattr(forgetting, "read_marks", broken_once)
    await store(owner, "a", 1, 3)
    await rig.collector.announce("a", 3)
    running = asyncio.create_task(rig.collector.run())
    async with asyncio.timeout(60):
        assert [await rig.pauses.get() for _ in range(2)] == [60, 60]
    assert not running.done()
    assert (rig.failures("defect"), rig.rounds() >= 1) == (1, True)
    assert await stored(owner, "a") == 1
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_client_with_very_many_keys(
    rig: Rig, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a share of a round; the next client's turn comes, and the rest goes in the rounds after."""
    monkeypatch.setattr(forgetting, "FORGOTTEN_AT_ONCE_MAX", 10)
    delete_forgotten = forgetting.delete_forgotten

    async def slowly(connection: Connection, client: str, limit: int) -> int:
        rig.clock.now_s += 0.4
        return await delete_forgotten(connection, client, limit)

    monkeypatch.setattr(forgetting, "delete_forgotten", slowly)
    await store(owner, "a", 1, 100)
    await store(owner, "b", 1, 5)
    await rig.collector.announce("a", 101)
    await rig.collector.announce("b", 6)
    assert await rig.collector.run_once() == 30 + 5
    assert await stored(owner, "b") == 0
    assert [await rig.collector.run_once() for _ in range(4)] == [30, 30, 10, 0]


async def test_one_transaction_deletes_a_thousand_keys(
    pool: BoundedPool, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not one more: charges wait for no longer transaction of the collector."""
    chunks: list[int] = []
    delete_forgotten = forgetting.delete_forgotten

    async def counted(connection: Connection, client: str, limit: int) -> int:
        chunks.append(await delete_forgotten(connection, client, limit))
        return chunks[-1]

    monkeypatch.setattr(forgetting, "delete_forgotten", counted)
    await store(owner, "a", 1, 1001)
    assert await forgetting.forget(pool, "a", 1002) == 1001
    assert chunks == [1000, 1]


async def test_a_round_that_fails_after_the_mark_was_moved(rig: Rig, owner: Owner) -> None:
    """Of a client whose earlier keys are gone: the rest is deleted in the next round, although the mark moves no more."""
    await store(owner, "a", 1, 5)
    await rig.collector.announce("a", 3)
    assert await rig.collector.run_once() == 2
    await rig.collector.announce("a", 6)
    async with owner.transaction():
        await owner.execute("SELECT 1 FROM billing.processed_keys WHERE client = 'a' FOR UPDATE")
        assert await rig.collector.run_once() == 0
    assert rig.failures("lock") == 1
    assert await marks(owner) == [("a", 6)]
    assert await rig.collector.run_once() == 3
    assert await stored(owner, "a") == 0


async def test_rounds_that_fail_have_pauses_between_them(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that is away is not asked again without a pause."""
    failed = 0

    async def fails(_: Connection) -> dict[str, int]:
        nonlocal failed
        failed += 1
        # A turn of the loop, so that a loop without a pause ends this test and not the test run.
        await next_turn()
        raise DatabaseTrouble("away")

    monkeypatch.setattr(forgetting, "read_marks", fails)
    running = asyncio.create_task(rig.collector.run())
    try:
        async with asyncio.timeout(60):
            for count in (1, 2, 3):
                assert await rig.pauses.get() == 60
                assert failed == count
    finally:
        running.cancel()


async def test_a_lower_mark_is_ignored(rig: Rig, owner: Owner) -> None:
    """Charges arrive out of order: what was declared settled is forgotten, whatever was declared after it."""
    await store(owner, "a", 1, 5)
    await rig.collector.announce("a", 5)
    await rig.collector.announce("a", 2)
    assert await rig.collector.run_once() == 4
    assert await marks(owner) == [("a", 5)]


async def test_time_forgets_nothing(rig: Rig, owner: Owner) -> None:
    """However often the collector comes and however late it is, what no client has declared settled stays."""
    await store(owner, "a", 1, 3)
    for _ in range(3):
        rig.clock.now_s += 10**9
        assert await rig.collector.run_once() == 0
    assert await stored(owner, "a") == 3


async def test_a_round_that_a_crash_cut_short(rig: Rig, owner: Owner) -> None:
    """The mark was moved, the keys were not deleted: another process finds them without hearing the mark again."""
    await store(owner, "a", 1, 5)
    await owner.execute("INSERT INTO billing.clients VALUES ('a', 4)")
    assert await rig.collector.run_once() == 3
    assert await rig.collector.run_once() == 0


@pytest.mark.parametrize("seconds", [0.0, 1.0])
async def test_a_client_that_declares_nothing_new(
    rig: Rig, owner: Owner, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """After a round within its share, rounds do not look at its keys again until its mark rises."""
    served: list[str] = []
    forget = forgetting.forget

    async def recorded(pool: Any, client: str, *arguments: Any, **named: Any) -> int:
        served.append(client)
        rig.clock.now_s += seconds
        return await forget(pool, client, *arguments, **named)

    monkeypatch.setattr(forgetting, "forget", recorded)
    await store(owner, "a", 1, 5)
    await rig.collector.announce("a", 4)
    deleted = [await rig.collector.run_once() for _ in range(3)]
    assert (deleted, served) == ([3, 0, 0], ["a"])
    await rig.collector.announce("a", 5)
    assert await rig.collector.run_once() == 1
    assert served == ["a", "a"]


async def test_the_mark_is_moved_before_a_key_is_deleted(
    rig: Rig, owner: Owner, pool: BoundedPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash in between leaves keys that are refused, never keys that are forgotten and not refused."""

    async def crashes(_: Connection, __: str, ___: int) -> int:
        assert await marks(owner) == [("a", 4)]
        raise KeyError("a crash")

    monkeypatch.setattr(forgetting, "delete_forgotten", crashes)
    await store(owner, "a", 1, 5)
    with pytest.raises(KeyError):
        await forgetting.forget(pool, "a", 4)
    assert await stored(owner, "a") == 5
    assert await keys.state(pool, "a", 3) == KeyForgotten(4)


async def test_memory_is_bounded_by_the_clients(
    settings: Settings, serve: Callable[[Starlette], Any]
) -> None:
    """A request without a token leaves nothing in memory: client names come from tokens, never from requests."""
    app = billing_service.app.create(settings.model_copy(update={"forget_pause_s": 0.01}))
    async with serve(app) as client:
        for n in range(50):
            response = await client.delete(
                "/charges", params={"below": 5}, headers={"Authorization": f"Bearer {n}"}
            )
            assert response.status_code == 401
        for _ in range(3):
            response = await client.delete(
                "/charges",
                params={"below": 5},
                headers={"Authorization": "Bearer token-of-order_service"},
            )
            assert response.status_code == 202
        collector = app.state.process.collector
        assert set(collector._announced) == {"order_service"}


async def test_a_mark_within_reach(rig: Rig, owner: Owner) -> None:
    """As far above the highest key as the setting says, and not one further; a decline counts as a key, a mark does too."""
    await rig.collector.announce("a", LEAP_MAX)
    with pytest.raises(MarkLeap) as leap:
        await rig.collector.announce("a", LEAP_MAX + 1)
    assert (leap.value.highest_key, leap.value.leap_max) == (0, LEAP_MAX)
    await store(owner, "a", 77, 77)
    await rig.collector.announce("a", 77 + LEAP_MAX)
    with pytest.raises(MarkLeap):
        await rig.collector.announce("a", 77 + LEAP_MAX + 1)
    await rig.collector.run_once()
    await rig.collector.announce("a", 76 + 2 * LEAP_MAX)
    with pytest.raises(MarkLeap) as again:
        await rig.collector.announce("a", 77 + 2 * LEAP_MAX)
    assert again.value.highest_key == 76 + LEAP_MAX


async def test_what_vouches_for_no_mark(rig: Rig, owner: Owner) -> None:
    """Neither a key that was only voided nor the keys of another client."""
    await store(owner, "a", KEY_MAX - 1, KEY_MAX - 1, status=VOIDED)
    await store(owner, "b", KEY_MAX - 1, KEY_MAX - 1)
    with pytest.raises(MarkLeap):
        await rig.collector.announce("a", KEY_MAX)
    await rig.collector.announce("b", KEY_MAX)
    # Nor what was read of that client a moment ago.
    with pytest.raises(MarkLeap):
        await rig.collector.announce("a", KEY_MAX)


async def test_the_database_is_asked_seldom(
    rig: Rig, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that counts costs one question in as many keys as a mark may leap."""
    questions = 0
    read_highest = forgetting.read_highest

    async def counted(connection: Connection, client: str) -> int:
        nonlocal questions
        questions += 1
        return await read_highest(connection, client)

    monkeypatch.setattr(forgetting, "read_highest", counted)
    await store(owner, "a", 1, 5 * LEAP_MAX)
    for mark in range(1, 3 * LEAP_MAX):
        await rig.collector.announce("a", mark)
    assert questions == 1


async def marks(owner: Owner) -> list[tuple[Any, ...]]:
    rows = await owner.fetch("SELECT client, first_incomplete FROM billing.clients")
    return [tuple(row) for row in rows]


@pytest.fixture
async def eager(
    settings: Settings, serve: Callable[[Starlette], Any]
) -> AsyncIterator[httpx.AsyncClient]:
    """The running service, which forgets without pause; alice has an account."""
    quick = settings.model_copy(update={"forget_pause_s": 0.01})
    async with serve(billing_service.app.create(quick)) as client:
        client.headers["Authorization"] = "Bearer token-of-order_service"
        await client.put("/accounts/alice", json={"opening_balance_cents": 1_000})
        yield client


async def charged(client: httpx.AsyncClient, key: int, mark: int | None = None) -> httpx.Response:
    headers = {"Idempotency-Key": f'"{key}"'}
    if mark is not None:
        headers[MARK] = str(mark)
    body = {"order_id": f"{key:032x}", "account": "alice", "amount_cents": 1}
    return await client.post("/charges", json=body, headers=headers)


async def collected(client: httpx.AsyncClient, owner: Owner) -> None:
    """Two more rounds of the collector: one may have been under way."""
    name = "billing_collector_rounds_total "

    async def rounds() -> float:
        lines = (await client.get("/metrics")).text.splitlines()
        return next(float(line.removeprefix(name)) for line in lines if line.startswith(name))

    before = await rounds()

    async def two_more() -> bool:
        return await rounds() >= before + 2

    await seen(two_more, "two rounds of the collector")


@pytest.mark.parametrize("mark", [KEY_MAX, 1_000_012, 10**12])
async def test_a_leap_ends_no_client(eager: httpx.AsyncClient, owner: Owner, mark: int) -> None:
    """422 by DELETE and by the header; no mark is moved, no key spent, answers are kept, and the client goes on."""
    first = await charged(eager, 11)
    declared = await eager.delete("/charges", params={"below": mark})
    # The charge's own key says nothing about its mark.
    in_one_breath = await charged(eager, mark, mark)
    below = await charged(eager, 12, mark)
    for response in (declared, in_one_breath, below):
        assert response.status_code == 422
        assert response.json()["type"].endswith("/problems/mark-leap")
        assert response.json()["highest_key"] == 11
        assert 'rel="describedby"' in response.headers["Link"]
        assert (await eager.get(response.json()["type"])).status_code == 200
    await collected(eager, owner)
    assert await marks(owner) == []
    state = await eager.get(f"/charges/{mark}")
    assert state.json()["state"] == "never_seen"
    again = await charged(eager, 11)
    assert (again.content, again.headers["Idempotency-Replayed"]) == (first.content, "?1")
    assert (await charged(eager, 12)).status_code == 201
    assert (await eager.get("/accounts/alice")).json()["balance_cents"] == 998


async def test_a_mark_that_does_not_leap(eager: httpx.AsyncClient, owner: Owner) -> None:
    """The control: the farthest mark within reach is taken, by DELETE and by the header."""
    await charged(eager, 11)
    assert (await charged(eager, 2_000_000, 1_000_011)).status_code == 201
    assert (await eager.delete("/charges", params={"below": 3_000_000})).status_code == 202
    await collected(eager, owner)
    assert await marks(owner) == [("order_service", 3_000_000)]


async def test_the_setting(
    settings: Settings, serve: Callable[[Starlette], Any], owner: Owner
) -> None:
    """BILLING_MARK_LEAP_MAX is the bound."""
    near = settings.model_copy(
        update={"mark_leap_max": 5, "tokens": {"c": (SecretStr("token-of-client-c"),)}}
    )
    async with serve(billing_service.app.create(near)) as client:
        client.headers["Authorization"] = "Bearer token-of-client-c"
        assert (await client.delete("/charges", params={"below": 6})).status_code == 422
        assert (await client.delete("/charges", params={"below": 5})).status_code == 202


async def test_a_key_that_is_refused_for_ever(
    billing: httpx.AsyncClient, charge: Charge, owner: Owner
) -> None:
    """410 for a key below its own mark stays true when the key comes again at once and alone, before any round."""
    assert (await charge(3, **{MARK: "4"})).status_code == 410
    assert (await charge(3)).status_code == 410
    assert (await billing.get("/charges/3")).json()["state"] == "forgotten"
    assert await marks(owner) == [("order_service", 4)]
