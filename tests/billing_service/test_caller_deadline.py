"""`Request-Timeout`: a charge is not begun when its caller has stopped waiting; the clock is the test's."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import asyncpg
import httpx
import pytest
from starlette.applications import Starlette

import billing_service.app
import billing_service.charge
from billing_service.settings import Settings
from tests.evidence import seen

Charge = Callable[..., Coroutine[Any, Any, httpx.Response]]
Balance = Callable[[], Coroutine[Any, Any, int]]
OPENING_CENTS = 10_000
TOKEN = "token-of-order_service"
WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted"
BODY = b'{"order_id": "00000000-0000-4000-8000-000000000001", "account": "alice", "amount_cents": 1999}'


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """No wait for a lock ends by itself, however busy the machine is."""
    return settings.model_copy(update={"lock_timeout_s": 30.0, "transaction_timeout_s": 60.0})


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which the service counts a caller's seconds."""
    clock = Clock()
    monkeypatch.setattr(billing_service.app, "time", SimpleNamespace(monotonic=clock))
    return clock


async def waiting(owner: Any) -> None:
    """Returns when a session of the service waits for a lock."""
    await seen(lambda: owner.fetchval(WAITS), "a session waits for a lock")


async def test_a_charge_whose_caller_has_stopped_waiting_is_not_begun(
    database: Any, billing: httpx.AsyncClient, charge: Charge, balance: Balance, clock: Clock
) -> None:
    """The caller's deadline passed while a twin held the key and was rolled back: 503, unspent, nothing moved."""
    owner: Any = await asyncpg.connect(database.owner)
    transaction = owner.transaction()
    await transaction.start()
    await billing_service.charge.insert_key(owner, "order_service", 1, b"")
    late = asyncio.create_task(charge(1, **{"Request-Timeout": "5"}))
    await waiting(owner)
    clock.now_s += 5
    await transaction.rollback()
    await owner.close()
    response = await late
    assert response.status_code == 503
    assert response.json()["type"].endswith("/problems/deadline-passed")
    assert (await billing.get("/charges/1")).json()["state"] == "never_seen"
    assert await balance() == OPENING_CENTS
    assert (await charge(1, retry=True, **{"Request-Timeout": "5"})).status_code == 201


async def test_a_charge_whose_caller_still_waits_is_begun(
    database: Any, charge: Charge, balance: Balance, clock: Clock
) -> None:
    """The control: a moment before the deadline."""
    owner: Any = await asyncpg.connect(database.owner)
    transaction = owner.transaction()
    await transaction.start()
    await billing_service.charge.insert_key(owner, "order_service", 1, b"")
    in_time = asyncio.create_task(charge(1, **{"Request-Timeout": "5"}))
    await waiting(owner)
    clock.now_s += 4.9
    await transaction.rollback()
    await owner.close()
    assert (await in_time).status_code == 201
    assert await balance() == OPENING_CENTS - 1999


async def test_a_charge_under_way_is_never_called_too_late(
    database: Any, charge: Charge, balance: Balance, clock: Clock
) -> None:
    """Its caller's deadline passes inside COMMIT: a caller that still listens gets the outcome, not "nothing happened"."""
    owner = await asyncpg.connect(database.owner)
    await owner.execute(
        """
        CREATE FUNCTION billing.pause() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS
        $$ BEGIN PERFORM pg_advisory_xact_lock(1, 1); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER pause AFTER INSERT ON billing.ledger
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing.pause();
        SELECT pg_advisory_lock(1, 1);
        """
    )
    under_way = asyncio.create_task(charge(1, **{"Request-Timeout": "5"}))
    await waiting(owner)
    clock.now_s += 10
    await owner.execute("SELECT pg_advisory_unlock(1, 1)")
    response = await under_way
    await owner.close()
    assert response.status_code == 201
    assert await balance() == OPENING_CENTS - 1999


@pytest.fixture
async def app(settings: Settings, serve: Callable[[Starlette], Any]) -> AsyncIterator[Starlette]:
    """The service, with alice's account."""
    app = billing_service.app.create(settings)
    async with serve(app) as client:
        client.headers["Authorization"] = f"Bearer {TOKEN}"
        body = {"opening_balance_cents": OPENING_CENTS}
        assert (await client.put("/accounts/alice", json=body)).status_code == 200
        yield app


async def sent(app: Starlette, body: AsyncIterator[bytes]) -> httpx.Response:
    """The answer to a charge whose caller waits 5 seconds, and whose body comes bit by bit."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.post(
            "/charges",
            content=body,
            headers={
                "Authorization": f"Bearer {TOKEN}",
                "Content-Type": "application/json",
                "Idempotency-Key": '"1"',
                "Idempotency-First-Incomplete": "1",
                "Request-Timeout": "5",
            },
        )


@pytest.mark.parametrize(("seconds", "status"), [(4.9, 201), (5.0, 503)])
async def test_the_time_of_a_slow_body_counts(
    app: Starlette, clock: Clock, seconds: float, status: int
) -> None:
    """The caller has been waiting since its request began, not since it was complete."""

    async def slowly() -> AsyncIterator[bytes]:
        yield BODY[:20]
        clock.now_s += seconds
        yield BODY[20:]

    assert (await sent(app, slowly())).status_code == status


@pytest.mark.parametrize(("seconds", "status"), [(4.9, 201), (5.0, 503)])
async def test_the_time_of_a_slow_mark_counts(
    app: Starlette, clock: Clock, seconds: float, status: int
) -> None:
    """So does what the service does before the charge: looking up the keys of the client."""
    collector = app.state.process.collector
    announce = collector.announce

    async def slowly(client: str, first_incomplete: int) -> None:
        clock.now_s += seconds
        await announce(client, first_incomplete)

    collector.announce = slowly

    async def at_once() -> AsyncIterator[bytes]:
        yield BODY

    assert (await sent(app, at_once())).status_code == status
