"""Keys are forgotten when their client says so; a forgotten key is never executed again."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import asyncpg
import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette

import billing_service.app
import billing_service.charge
from billing_service import forgetting
from billing_service.settings import Settings
from service_kit.bounded_pool import BoundedPool, Connection, LockWaitTooLong
from tests.billing_service.conftest import PATIENT
from tests.evidence import seen

Charge = Callable[..., Coroutine[Any, Any, httpx.Response]]
Balance = Callable[[], Coroutine[Any, Any, int]]
OPENING_CENTS = 10_000
MARK = "Idempotency-First-Incomplete"


@pytest.fixture
async def owner(database: Any) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database.owner)
    yield connection
    await connection.close()


@pytest.fixture
async def pool(database: Any) -> AsyncIterator[BoundedPool]:
    pool = BoundedPool(
        database.billing,
        application="collector under test",
        size_max=2,
        deadline_s=20.0,
        lock_timeout_s=10.0,
        idle_in_transaction_timeout_s=10.0,
    )
    await pool.open()
    yield pool
    await pool.close()


async def stored(owner: "asyncpg.Connection[asyncpg.Record]") -> list[int]:
    rows = await owner.fetch("SELECT sequence_key FROM billing.processed_keys ORDER BY 1")
    return [row["sequence_key"] for row in rows]


async def test_settled_keys_are_deleted(
    pool: BoundedPool, owner: Any, charge: Charge, balance: Balance
) -> None:
    """Below the mark nothing is left; from the mark on everything is."""
    for key in range(1, 6):
        await charge(key, 100, order=key)
    assert await forgetting.forget(pool, "order_service", 4) == 3
    assert await stored(owner) == [4, 5]
    for key in range(1, 4):
        assert (await charge(key, 100, order=key, retry=True)).status_code == 410
    assert (await charge(4, 100, order=4, retry=True)).headers["Idempotency-Replayed"] == "?1"
    assert await balance() == OPENING_CENTS - 500


async def test_deleting_goes_in_chunks(
    pool: BoundedPool, owner: Any, charge: Charge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many transactions instead of a long one, and nothing is left over."""
    monkeypatch.setattr(forgetting, "FORGOTTEN_AT_ONCE_MAX", 3)
    for key in range(1, 11):
        await charge(key, 1, order=key)
    assert await forgetting.forget(pool, "order_service", 11) == 10
    assert await stored(owner) == []


async def test_a_mark_never_goes_back(pool: BoundedPool, owner: Any, charge: Charge) -> None:
    """A late word of a client does not bring forgotten keys back to life."""
    await charge(1)
    await forgetting.forget(pool, "order_service", 5)
    await forgetting.forget(pool, "order_service", 2)
    assert await owner.fetchval("SELECT first_incomplete FROM billing.clients") == 5
    assert (await charge(4, order=4)).status_code == 410


async def test_a_mark_is_the_clients_own(pool: BoundedPool, charge: Charge) -> None:
    """What one client has settled says nothing about the keys of another."""
    await charge(1)
    await charge(1, 500, Authorization="Bearer token-of-client-curl")
    await forgetting.forget(pool, "order_service", 9)
    other = await charge(1, 500, Authorization="Bearer token-of-client-curl", retry=True)
    assert other.headers["Idempotency-Replayed"] == "?1"


async def test_a_mark_moves_no_other_clients(pool: BoundedPool, owner: Any) -> None:
    """Both have one; each moves its own, and each one's highest key is its own."""
    for client, mark in (("curl", 2), ("order_service", 9)):
        await forgetting.forget(pool, client, mark)
    marks = "SELECT client, first_incomplete FROM billing.clients ORDER BY client"
    assert [tuple(row) for row in await owner.fetch(marks)] == [("curl", 2), ("order_service", 9)]
    async with pool.connection() as connection:
        for client, highest in (("curl", 1), ("order_service", 8), ("stranger", 0)):
            assert await forgetting.read_highest(connection, client) == highest


async def test_the_lowest_keys_are_deleted_first(owner: Any, charge: Charge) -> None:
    """Whatever the way in which Postgres reads the table: a round that is cut short leaves no hole."""
    for key in (3, 1, 2):
        await charge(key, order=key)
    await forgetting.insert_client(owner, "order_service")
    await forgetting.advance_mark(owner, "order_service", 4)
    for way in ("enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan"):
        await owner.execute(f"SET {way} = off")
    assert await forgetting.delete_forgotten(owner, "order_service", 1) == 1
    assert await stored(owner) == [2, 3]


async def test_a_mark_of_a_client_that_never_charged(
    settings: Settings, serve: Callable[[Starlette], Any], owner: Any
) -> None:
    """Declared before the first charge, it holds all the same: 410 for what lies below, after a restart too."""
    eager = settings.model_copy(update={"forget_pause_s": 0.01})
    async with serve(billing_service.app.create(eager)) as client:
        client.headers["Authorization"] = "Bearer token-of-order_service"
        response = await client.delete("/charges", params={"below": 5})
        assert response.status_code == 202
        moved = "SELECT first_incomplete = 5 FROM billing.clients"
        await seen(lambda: owner.fetchval(moved), "the mark is moved")
    async with serve(billing_service.app.create(settings)) as client:
        client.headers["Authorization"] = "Bearer token-of-order_service"
        assert (await client.get("/charges/4")).json()["state"] == "forgotten"
        assert (await client.get("/charges/5")).json()["state"] == "never_seen"


async def test_a_charge_below_its_own_mark(charge: Charge, balance: Balance) -> None:
    """A request that carries a key and declares it settled is refused at once."""
    response = await charge(3, **{MARK: "4"})
    assert response.status_code == 410
    assert await balance() == OPENING_CENTS


async def test_the_announced_mark_is_acted_upon(
    settings: Settings, database: Any, owner: Any, serve: Callable[[Starlette], Any]
) -> None:
    """The header alone makes the collector forget, in the running service."""
    eager = settings.model_copy(update={"forget_pause_s": 0.01})
    async with serve(billing_service.app.create(eager)) as client:
        client.headers["Authorization"] = "Bearer token-of-order_service"
        await client.put("/accounts/alice", json={"opening_balance_cents": 100})
        for key in range(1, 4):
            response = await client.post(
                "/charges",
                json={"order_id": f"{key:032x}", "account": "alice", "amount_cents": 1},
                headers={"Idempotency-Key": f'"{key}"', MARK: str(key)},
            )
            assert response.status_code == 201

        async def forgotten() -> bool:
            return "billing_keys_forgotten_total 2.0" in (await client.get("/metrics")).text

        await seen(forgotten, "two keys are forgotten")
        assert await stored(owner) == [3]


async def late_duplicate_meets_collector(
    pool: BoundedPool, charge: Charge, owner: Any, monkeypatch: pytest.MonkeyPatch, *, waits: bool
) -> httpx.Response:
    """A charge reads the old mark and pauses; the collector comes; the charge goes on with its key."""
    await charge(1)
    has_read, go_on = asyncio.Event(), asyncio.Event()
    claim = billing_service.charge.claim

    async def paused_claim(*arguments: Any) -> bool:
        has_read.set()
        await go_on.wait()
        return await claim(*arguments)

    monkeypatch.setattr(billing_service.charge, "claim", paused_claim)
    late = asyncio.create_task(charge(1, retry=True))
    await has_read.wait()
    collecting = asyncio.create_task(forgetting.forget(pool, "order_service", 2))
    if waits:
        # Evidence that the collector stands before the lock: Postgres lists it as not granted.
        stands = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        await seen(lambda: owner.fetchval(stands), "the collector waits")
        assert await stored(owner) == [1]
    else:
        await collecting
        assert await stored(owner) == []
    go_on.set()
    response = await late
    await collecting
    return response


# Of the single transaction; batches are in test_plain.py.
ONE_BY_ONE = pytest.mark.parametrize("form", ["one by one"], indirect=True)


@ONE_BY_ONE
async def test_the_race_between_a_late_duplicate_and_the_collector(
    pool: BoundedPool,
    charge: Charge,
    balance: Balance,
    owner: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The collector waits for the charge that has read the old mark: it is a replay, and the money moves once."""
    response = await late_duplicate_meets_collector(pool, charge, owner, monkeypatch, waits=True)
    assert response.headers["Idempotency-Replayed"] == "?1"
    assert await balance() == OPENING_CENTS - 1999
    assert await stored(owner) == []
    monkeypatch.undo()
    assert (await charge(1, retry=True)).status_code == 410


@ONE_BY_ONE
async def test_the_race_without_the_share_lock(
    pool: BoundedPool,
    charge: Charge,
    balance: Balance,
    owner: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The negative control: take the share lock out, and the same interleaving charges twice."""

    async def read_without_lock(connection: Connection, client: str) -> int:
        sql = "SELECT first_incomplete FROM billing.clients WHERE client = $1"
        return await connection.fetchval(sql, client) or 1

    await charge(9, 1, order=9)
    monkeypatch.setattr(billing_service.charge, "share_lock_client", read_without_lock)
    await owner.execute("DELETE FROM billing.processed_keys")
    response = await late_duplicate_meets_collector(pool, charge, owner, monkeypatch, waits=False)
    assert response.status_code == 201
    assert "Idempotency-Replayed" not in response.headers
    assert await balance() == OPENING_CENTS - 1 - 2 * 1999


@PATIENT
async def test_purging_everything_and_replaying_everything(
    pool: BoundedPool, charge: Charge, balance: Balance
) -> None:
    """Purge all that can be purged, send every old request again, in both flags: zero new charges."""
    for key in range(1, 31):
        await charge(key, 10, order=key)
    before = await balance()
    await forgetting.forget(pool, "order_service", 31)
    again = await asyncio.gather(
        *(
            charge(key, 10, order=key, retry=retry)
            for key in range(1, 31)
            for retry in (True, False)
        )
    )
    assert {response.status_code for response in again} == {410}
    assert await balance() == before


@PATIENT
async def test_many_charges_while_the_collector_runs(
    settings: Settings, serve: Callable[[Starlette], Any], owner: Any
) -> None:
    """Each charge is sent twice at once while keys are forgotten as fast as possible: balances are exact."""
    eager = settings.model_copy(
        update={
            "forget_pause_s": 0.001,
            "tokens": {"order_service": (SecretStr("token-of-order_service"),)},
        }
    )
    async with serve(billing_service.app.create(eager)) as client:
        client.headers["Authorization"] = "Bearer token-of-order_service"
        await client.put("/accounts/alice", json={"opening_balance_cents": OPENING_CENTS})

        async def send(key: int, mark: int) -> int:
            response = await client.post(
                "/charges",
                json={"order_id": f"{key:032x}", "account": "alice", "amount_cents": 7},
                headers={"Idempotency-Key": f'"{key}"', MARK: str(mark)},
            )
            return int(response.status_code)

        for first in range(1, 101, 5):
            batch = range(first, first + 5)
            statuses = await asyncio.gather(*(send(key, first) for key in (*batch, *batch)))
            assert set(statuses) == {201}
        cents = (await client.get("/accounts/alice")).json()["balance_cents"]
    assert cents == OPENING_CENTS - 700


async def test_the_vacuum_after_a_purge_delays_no_charge(database: Any) -> None:
    """It leaves the empty tail of the table alone: to cut it off, it would lock the table against every charge."""
    owner = await asyncpg.connect(database.owner)
    await owner.execute(
        """
        INSERT INTO billing.processed_keys (client, sequence_key, fingerprint, status, body)
        SELECT 'c', k, '', 201, repeat('x', 100) FROM generate_series(1, 20000) AS k
        """
    )
    await owner.execute("DELETE FROM billing.processed_keys")
    size = "SELECT pg_relation_size('billing.processed_keys')"
    before = await owner.fetchval(size)
    await owner.execute("VACUUM billing.processed_keys")
    after = await owner.fetchval(size)
    await owner.close()
    assert (before > 0, after) == (True, before)


async def test_a_round_that_gives_way_leaves_its_connection_as_it_was(
    pool: BoundedPool, owner: Any
) -> None:
    """The short patience was the round's own, and so was the lock: the next user of the connection has neither."""
    async with owner.transaction():
        # A charge that is stuck.
        await billing_service.charge.share_lock_client(owner, "order_service")
        with pytest.raises(LockWaitTooLong):
            await forgetting.forget(pool, "order_service", 4, 0.05)
    async with pool.connection() as connection:
        assert await connection.fetchval("SHOW lock_timeout") == "10s"


async def test_the_mark_moves_in_a_transaction(
    pool: BoundedPool, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock ends with it: when the round's process cannot be reached any more, the database ends the transaction."""
    states: list[str] = []
    advance_mark = forgetting.advance_mark

    async def watched(connection: Connection, client: str, first_incomplete: int) -> None:
        find = "SELECT state FROM pg_stat_activity WHERE pid = $1"
        states.append(await owner.fetchval(find, connection.get_server_pid()))
        await advance_mark(connection, client, first_incomplete)

    monkeypatch.setattr(forgetting, "advance_mark", watched)
    await forgetting.forget(pool, "order_service", 4)
    assert states == ["idle in transaction"]


@pytest.mark.parametrize("timeout_s, shown", [(0.2, "200ms"), (1.5, "1500ms")])
async def test_how_long_the_collector_waits_for_a_lock(
    pool: BoundedPool, timeout_s: float, shown: str
) -> None:
    """To the millisecond, and in its own transaction alone."""
    async with pool.transaction() as connection:
        before = await connection.fetchval("SHOW lock_timeout")
    async with pool.transaction() as connection:
        await forgetting.limit_lock_waits(connection, timeout_s)
        assert await connection.fetchval("SHOW lock_timeout") == shown
    async with pool.connection() as connection:
        assert await connection.fetchval("SHOW lock_timeout") == before
