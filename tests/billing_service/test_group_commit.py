"""Charges that wait together are committed together, and none of them is delayed or failed by another."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

import billing_service.app
from billing_service import keys, ledger
from billing_service.admission import QueueFull
from billing_service.collector import Collector
from billing_service.keys import Answer, KeyForgotten, KeyInFlight, Voided
from billing_service.ledger import AccountUnknown, ChargeOutcome, KeyReused, TooLate
from billing_service.settings import Settings
from billing_service.wire import Charge
from service_kit.bounded_pool import BoundedPool, LockWaitTooLong
from tests.billing_service.desk import (
    LOCK_TIMEOUT_S,
    OPENING_CENTS,
    Desk,
    Owner,
    inserting_keys_pauses,
    moved,
    opened,
    sample,
    stand_still,
    statuses,
    waits_for_a_lock,
)


async def test_what_waits_together_is_committed_together(desk: Desk, owner: Owner) -> None:
    """Twenty charges, one transaction; every answer and every balance is what twenty would have given."""
    outcomes = await asyncio.gather(*(desk.charge(key) for key in range(1, 21)))
    assert statuses(outcomes) == [201] * 20
    assert desk.batches() == (1, 20)
    assert await moved(owner) == 200
    rows = await owner.fetch(
        "SELECT charge_id, balance_cents, xmin::text FROM billing.ledger ORDER BY sequence_key"
    )
    assert [row["balance_cents"] for row in rows] == [OPENING_CENTS - 10 * n for n in range(1, 21)]
    assert len({row["xmin"] for row in rows}) == 1
    for row, outcome in zip(rows, outcomes, strict=True):
        assert isinstance(outcome, Answer)
        assert str(row["charge_id"]) in outcome.body


async def test_nothing_is_under_way(desk: Desk) -> None:
    """A charge that finds the queue empty begins at once: nothing waits for a batch to fill."""
    assert statuses([await desk.charge(1), await desk.charge(2)]) == [201, 201]
    assert desk.batches() == (2, 2)


async def test_a_batch_is_bounded(pool: BoundedPool, owner: Owner) -> None:
    """What does not fit into one batch goes into the next one."""
    desk = Desk(pool, size_max=8)
    outcomes = await asyncio.gather(*(desk.charge(key) for key in range(1, 21)))
    assert statuses(outcomes) == [201] * 20
    assert desk.batches() == (3, 20)
    assert await moved(owner) == 200


async def test_an_overdraft_is_judged_in_the_order_of_arrival(desk: Desk, owner: Owner) -> None:
    """Each charge sees what those before it in the batch have left; a decline takes nothing from those behind it."""
    outcomes = await asyncio.gather(
        desk.charge(1, 6_000),
        desk.charge(2, 5_000),
        desk.charge(3, 4_000),
        desk.charge(4, 1),
        desk.charge(5, 10_000, "bob"),
    )
    assert statuses(outcomes) == [201, 402, 201, 402, 201]
    assert isinstance(outcomes[1], Answer)
    assert outcomes[1].body == '"5000 of 4000"'
    assert desk.batches() == (1, 5)
    assert await moved(owner) == 20_000
    again = await asyncio.gather(desk.charge(2, 5_000), desk.charge(4, 1))
    assert statuses(again) == [402, 402]


async def test_bad_account_locks(desk: Desk, pool: BoundedPool, owner: Owner) -> None:
    """Replayed, reused, voided, forgotten, declined, too late, without an account: each gets its own outcome."""
    await desk.charge(1, 5)
    await desk.charge(11, 7)
    await keys.void(pool, "order_service", 12)
    await keys.forget(pool, "order_service", 5)
    before = desk.batches()
    outcomes = await asyncio.gather(
        desk.charge(20),
        desk.charge(1, 5),
        desk.charge(11, 7),
        desk.charge(11, 8),
        desk.charge(12),
        desk.charge(13, 10, "nobody"),
        desk.charge(14, OPENING_CENTS),
        desk.charge(15, awaited=lambda: False),
        desk.charge(21),
    )
    # The second charge of key 11 has waited for the first one.
    assert desk.batches() == (before[0] + 1, before[1] + 8)
    assert statuses(outcomes) == [201, 0, 201, 0, 0, 0, 402, 0, 201]
    assert outcomes[1] == KeyForgotten(5)
    assert isinstance(outcomes[2], Answer)
    assert outcomes[2].replayed
    assert outcomes[3] == KeyReused()
    assert outcomes[4] == Voided()
    assert outcomes[5] == AccountUnknown()
    assert outcomes[7] == TooLate()
    assert await moved(owner) == 5 + 7 + 20
    unspent = [await keys.state(pool, "order_service", key) for key in (13, 15)]
    assert unspent == [keys.NeverSeen(), keys.NeverSeen()]


async def test_twins(desk: Desk, owner: Owner) -> None:
    """One is executed and the others wait for it: replays, or refused for another payload. They share no batch."""
    outcomes = await asyncio.gather(
        desk.charge(1, 10), desk.charge(1, 10), desk.charge(1, 11), desk.charge(1, 10)
    )
    assert desk.batches() == (1, 1)
    first, second, other, third = outcomes
    assert isinstance(first, Answer)
    assert not first.replayed
    assert second == third == Answer(first.status, first.body, replayed=True)
    assert other == KeyReused()
    assert await moved(owner) == 10


async def test_twins_of_one_that_spent_nothing(desk: Desk, owner: Owner) -> None:
    """A refusal that spends no key leaves it to the next one, and so on."""
    outcomes = await asyncio.gather(
        desk.charge(1, 10, "nobody"),
        desk.charge(1, 10, awaited=lambda: False),
        desk.charge(1, 10, "bob"),
        desk.charge(1, 10, "bob"),
    )
    assert list(outcomes[:2]) == [AccountUnknown(), TooLate()]
    assert statuses(outcomes[2:]) == [201, 201]
    assert [isinstance(each, Answer) and each.replayed for each in outcomes[2:]] == [False, True]
    assert await moved(owner) == 10


async def test_the_same_number_of_two_clients_in_one_batch(desk: Desk, owner: Owner) -> None:
    """The client is part of the key's name, in a batch too; both are new to the service."""
    outcomes = await asyncio.gather(
        desk.charge(1, 10, client="one"), desk.charge(1, 11, client="two")
    )
    assert statuses(outcomes) == [201, 201]
    assert await moved(owner) == 21


async def unannounced(owner: Owner, key: int) -> None:
    await owner.execute(
        "INSERT INTO billing.processed_keys (client, sequence_key, fingerprint) VALUES ($1, $2, '')",
        "order_service",
        key,
    )


async def announced(owner: Owner, key: int) -> None:
    await keys.insert_key(owner, "order_service", key, b"")


@pytest.mark.parametrize("hold", [announced, unannounced])
async def test_a_key_that_is_held_elsewhere(
    database: Any, pool: BoundedPool, owner: Owner, hold: Callable[[Owner, int], Awaitable[None]]
) -> None:
    """Its charge waits apart. The others of its batch and later ones are charged long before the lock timeout."""
    async with opened(database.billing, lock_timeout_s=30) as patient:
        desk = Desk(patient, wait_s=30)
        async with owner.transaction():
            await hold(owner, 3)
            twin = desk.begin(3)
            async with asyncio.timeout(5):
                outcomes = await asyncio.gather(*(desk.charge(key) for key in (1, 2, 4, 5)))
                assert statuses(outcomes) == [201] * 4
                assert statuses([await desk.charge(6)]) == [201]
            assert not twin.done()
            await waits_for_a_lock(owner)
            await owner.execute("DELETE FROM billing.processed_keys WHERE sequence_key = 3")
        assert statuses([await twin]) == [201]
    assert await moved(owner) == 60


async def test_a_key_that_stays_held(desk: Desk, owner: Owner) -> None:
    """409 after the lock timeout, for its twins too; the key is not spent."""
    async with owner.transaction():
        await announced(owner, 3)
        outcomes = await asyncio.gather(*(desk.charge(3) for _ in range(3)))
        assert list(outcomes) == [KeyInFlight()] * 3
        await owner.execute("DELETE FROM billing.processed_keys")
    assert desk.held("key") == 1
    assert statuses([await desk.charge(3)]) == [201]


@pytest.mark.parametrize("payloads", [(10, 10, 11, 10), (11, 10, 11, 10)])
async def test_twins_of_a_key_that_is_committed_elsewhere(
    desk: Desk, owner: Owner, payloads: tuple[int, ...]
) -> None:
    """Each one gets its own verdict: the stored answer for the payload that was charged, a refusal for any other."""
    charge = Charge(order_id=UUID(int=3), account="alice", amount_cents=10)
    transaction = owner.transaction()
    await transaction.start()
    await keys.insert_key(owner, "order_service", 3, ledger.fingerprint(charge))
    twins = [desk.begin(3, cents) for cents in payloads]
    assert statuses([await desk.charge(1)]) == [201]
    await waits_for_a_lock(owner)
    await keys.store_answer(owner, "order_service", 3, Answer(402, "no"))
    await transaction.commit()
    stored = Answer(402, "no", replayed=True)
    assert [await twin for twin in twins] == [
        stored if cents == 10 else KeyReused() for cents in payloads
    ]


async def test_an_account_that_is_held_elsewhere(desk: Desk, owner: Owner) -> None:
    """Its charges wait and are committed together when it is free; other accounts, replays and refusals go on."""
    await desk.charge(1)
    transaction = owner.transaction()
    await transaction.start()
    await ledger.lock_account(owner, "alice")
    held = [desk.begin(key) for key in (2, 3)]
    free = await asyncio.gather(
        desk.charge(4, account="bob"), desk.charge(1), desk.charge(5, 10, "nobody")
    )
    assert statuses(free) == [201, 201, 0]
    held += [desk.begin(key) for key in (6, 6, 7)]
    assert statuses([await desk.charge(8, account="bob")]) == [201]
    await waits_for_a_lock(owner)
    assert not any(task.done() for task in held)
    before = desk.batches()
    await transaction.rollback()
    assert statuses([await task for task in held]) == [201] * 5
    assert desk.batches() == (before[0] + 1, before[1] + 4)
    assert await moved(owner) == 70


async def test_an_account_that_stays_held(desk: Desk, owner: Owner, pool: BoundedPool) -> None:
    """All its charges end about a lock timeout after they came, not one after the other; none has spent its key."""
    loop = asyncio.get_running_loop()
    async with owner.transaction():
        await ledger.lock_account(owner, "alice")
        since_s = loop.time()
        held = [desk.begin(key) for key in range(1, 31)]
        assert statuses([await desk.charge(40, account="bob")]) == [201]
        outcomes = await asyncio.gather(*held, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {LockWaitTooLong}
        assert LOCK_TIMEOUT_S * 0.9 < loop.time() - since_s < LOCK_TIMEOUT_S * 2
    for key in (1, 30):
        assert await keys.state(pool, "order_service", key) == keys.NeverSeen()
    assert statuses([await desk.charge(1)]) == [201]


@asynccontextmanager
async def accounts_held(database: Any, owner: Owner, *accounts: str) -> AsyncIterator[Any]:
    """Opens the accounts; another transaction holds them. Gives its connection."""
    for account in accounts:
        await ledger.insert_account(owner, account, OPENING_CENTS)
    other: Owner = await asyncpg.connect(database.owner)
    await other.execute("BEGIN")
    for account in accounts:
        await ledger.lock_account(other, account)
    yield other
    await other.close()


async def test_more_held_accounts_than_connections_to_wait_on(
    database: Any, pool: BoundedPool, owner: Owner
) -> None:
    """They leave connections to the others; and one that is free again is charged although all slow connections wait."""
    many = [f"held{number}" for number in range(8)]
    async with (
        opened(database.billing, lock_timeout_s=15) as patient,
        accounts_held(database, owner, *many) as holder,
        accounts_held(database, owner, "late") as late_holder,
    ):
        desk = Desk(patient, slow_max=2, patience_s=0.02, wait_s=15)
        held = [desk.begin(key, account=each) for key, each in enumerate(many, start=1)]
        await waits_for_a_lock(owner, 2)
        late = desk.begin(20, account="late")
        async with asyncio.timeout(5):
            for key in range(30, 40):
                assert statuses([await desk.charge(key, account="bob")]) == [201]
                # Two that wait, and two batches.
                assert patient.in_use <= 4
            assert not late.done()
            await late_holder.execute("ROLLBACK")
            assert statuses([await late]) == [201]
        await holder.execute("ROLLBACK")
        assert statuses([await task for task in held]) == [201] * 8
    assert await moved(owner) == 190


async def test_a_client_whose_mark_is_being_moved(desk: Desk, owner: Owner) -> None:
    """Its charges wait aside and then obey the new mark; other clients' charges go on."""
    await desk.charge(9)
    transaction = owner.transaction()
    await transaction.start()
    await keys.lock_client_exclusively(owner, "order_service")
    held = [desk.begin(4), desk.begin(5)]
    assert statuses([await desk.charge(1, client="curl")]) == [201]
    await waits_for_a_lock(owner)
    await keys.insert_client(owner, "order_service")
    await keys.advance_mark(owner, "order_service", 5)
    await transaction.commit()
    assert await held[0] == KeyForgotten(5)
    assert statuses([await held[1]]) == [201]
    assert desk.held("client") == 2


async def test_a_client_whose_mark_stays_locked(desk: Desk, owner: Owner) -> None:
    """Its charges end after the lock timeout, and say why; nothing was executed."""
    async with owner.transaction():
        await keys.lock_client_exclusively(owner, "order_service")
        outcomes = await asyncio.gather(desk.charge(1), desk.charge(2), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [keys.ClientHeld] * 2
    assert await moved(owner) == 0


async def test_a_stuck_charge_and_the_collector(
    desk: Desk, pool: BoundedPool, owner: Owner
) -> None:
    """The collector gives way before a lock timeout is over: charges queue behind it no longer than that."""
    collector = Collector(
        pool,
        pause_s=60,
        leap_max=1_000,
        sleep=asyncio.sleep,
        clock=time.monotonic,
        metrics=desk.metrics,
    )
    await collector.announce("order_service", 5)
    transaction = owner.transaction()
    await transaction.start()
    await keys.share_lock_client(owner, "order_service")
    async with asyncio.timeout(LOCK_TIMEOUT_S):
        assert await collector.run_once() == 0
    assert sample(desk.metrics.registry, "billing_collector_failures_total", cause="lock") == 1
    assert statuses([await desk.charge(4)]) == [201]
    await transaction.rollback()
    assert await collector.run_once() == 1
    assert await desk.charge(4) == KeyForgotten(5)


async def test_late_batches_hold_no_other_up(pool: BoundedPool, owner: Owner) -> None:
    """Two batches stand still in Postgres; soon they count as late, and the next one begins beside them."""
    await ledger.open_account(pool, "carol", OPENING_CENTS)
    desk = Desk(pool, patience_s=0.02)
    async with inserting_keys_pauses(owner, keys_max=2):
        late = [desk.begin(1)]
        await stand_still(owner)
        late.append(desk.begin(2, account="bob"))
        await stand_still(owner, 2)
        async with asyncio.timeout(5):
            assert statuses([await desk.charge(3, account="carol")]) == [201]
        assert not any(task.done() for task in late)
    assert statuses([await task for task in late]) == [201, 201]
    assert await moved(owner) == 30


async def test_many_twins_of_a_held_key(pool: BoundedPool, owner: Owner) -> None:
    """They take one connection together."""
    desk = Desk(pool, wait_s=30)
    transaction = owner.transaction()
    await transaction.start()
    await unannounced(owner, 1)
    twins = [desk.begin(1)]
    await waits_for_a_lock(owner)
    twins += [desk.begin(1) for _ in range(20)]
    assert statuses([await desk.charge(key) for key in (2, 3)]) == [201, 201]
    assert pool.in_use == 1
    assert not any(twin.done() for twin in twins)
    await transaction.rollback()
    assert statuses([await twin for twin in twins]) == [201] * 21
    assert await moved(owner) == 30


async def test_callers_that_have_gone(desk: Desk, pool: BoundedPool, owner: Owner) -> None:
    """A charge that waits is dropped: its key is not spent. A charge that is begun is finished. A twin takes over."""
    async with inserting_keys_pauses(owner):
        begun = desk.begin(1)
        await stand_still(owner)
        waiting, twin, other = desk.begin(2), desk.begin(2, 20), desk.begin(3)
        async with asyncio.timeout(10):
            while desk.group.queue_length < 3:
                await owner.fetchval("SELECT 1")
        begun.cancel()
        waiting.cancel()
    assert statuses([await twin, await other]) == [201, 201]
    await desk.group.drain()
    states = [await keys.state(pool, "order_service", key) for key in (1, 2)]
    assert [isinstance(state, Answer) for state in states] == [True, True]
    find = "SELECT amount_cents FROM billing.ledger WHERE sequence_key = 2"
    assert await owner.fetchval(find) == 20
    assert await moved(owner) == 40


async def test_a_charge_that_is_not_begun_in_time(
    desk: Desk, pool: BoundedPool, owner: Owner
) -> None:
    """Behind a batch that stands still a charge ends as refused, and a twin as in flight; neither is begun later."""
    async with inserting_keys_pauses(owner):
        begun = desk.begin(1)
        await stand_still(owner)
        behind, twin = desk.begin(2), desk.begin(1)
        with pytest.raises(QueueFull):
            await behind
        assert await twin == KeyInFlight()
        assert not begun.done()
    assert statuses([await begun]) == [201]
    await desk.group.drain()
    assert await keys.state(pool, "order_service", 2) == keys.NeverSeen()
    assert await moved(owner) == 10


async def test_two_batches_at_once_share_no_account(desk: Desk, owner: Owner) -> None:
    """While one is under way another begins with other accounts; charges of the same account wait in the queue."""
    async with inserting_keys_pauses(owner, keys_max=2):
        under_way = [desk.begin(key) for key in (1, 2)]
        await stand_still(owner)
        same = [desk.begin(key) for key in (3, 4)]
        other = await asyncio.gather(*(desk.charge(key, account="bob") for key in (5, 6)))
        assert statuses(other) == [201, 201]
        assert not any(task.done() for task in same)
        assert desk.group.queue_length == 2
    assert statuses([await task for task in (*under_way, *same)]) == [201] * 4
    assert desk.held("account") == 0
    assert await moved(owner) == 60


async def test_the_order_of_arrival_behind_a_batch(pool: BoundedPool, owner: Owner) -> None:
    """A charge that waits because its account is under way is not overtaken by a later one of it, however small batches are."""
    desk = Desk(pool, size_max=1)
    async with inserting_keys_pauses(owner, keys_max=1):
        first = desk.begin(1)
        await stand_still(owner)
        later = [desk.begin(2, OPENING_CENTS - 30), desk.begin(3, account="bob"), desk.begin(4, 30)]
        assert statuses([await later[1]]) == [201]
        assert desk.group.queue_length == 2
    assert statuses([await task for task in (first, *later)]) == [201, 201, 201, 402]
    assert await moved(owner) == 20 + OPENING_CENTS - 30


async def test_the_order_of_arrival_at_a_held_account(
    database: Any, desk: Desk, owner: Owner
) -> None:
    """Charges that met a held account go before those that came while it was tried."""
    await owner.execute("BEGIN")
    await ledger.lock_account(owner, "alice")
    other: Owner = await asyncpg.connect(database.owner)
    async with inserting_keys_pauses(other, keys_max=1):
        tried = [desk.begin(1, account="bob"), desk.begin(2), desk.begin(3)]
        await stand_still(other)
        later = [desk.begin(4, OPENING_CENTS - 30), desk.begin(5, 20)]
        async with asyncio.timeout(10):
            while desk.group.queue_length < 2:
                await other.fetchval("SELECT 1")
    await waits_for_a_lock(other)
    assert desk.held("account") == 2
    await owner.execute("ROLLBACK")
    await other.close()
    assert statuses([await task for task in (*tried, *later)]) == [201, 201, 201, 201, 402]
    assert await moved(owner) == 30 + OPENING_CENTS - 30


@pytest.fixture
def narrow(settings: Settings) -> Settings:
    """Eight charges in all, four of a client, two of an account; three clients."""
    tokens = {name: (SecretStr(f"token-of-client-{name}"),) for name in ("one", "two", "three")}
    patience = {"lock_timeout_s": 30.0, "transaction_timeout_s": 60.0}
    return settings.model_copy(update={"queue_max": 8, "tokens": tokens, **patience})


@pytest.mark.parametrize("form", ["in batches"], indirect=True)
async def test_held_accounts_fill_their_shares_of_the_queue(
    database: Any, narrow: Settings, serve: Callable[[FastAPI], Any], owner: Owner
) -> None:
    """503 at once for what does not fit: of the account, of the client, in all. All that wait count; others are charged."""
    accounts = ("alice", "bob", "carol", "dave", "erin")
    async with (
        accounts_held(database, owner, "alice", "bob", "carol", "dave") as holder,
        serve(billing_service.app.create(narrow)) as client,
    ):
        await ledger.insert_account(owner, "erin", OPENING_CENTS)
        keys_used = iter(range(1, 1000))

        async def send(name: str, account: str) -> httpx.Response:
            key = next(keys_used)
            body = {"order_id": f"{key:032x}", "account": account, "amount_cents": 1}
            headers = {
                "Idempotency-Key": f'"{key}"',
                "Authorization": f"Bearer token-of-client-{name}",
            }
            response: httpx.Response = await client.post("/charges", json=body, headers=headers)
            return response

        waiting: list[asyncio.Task[httpx.Response]] = []

        async def wait_with(name: str, account: str) -> None:
            waiting.append(asyncio.create_task(send(name, account)))
            async with asyncio.timeout(10):
                while (
                    f"billing_queue_length {len(waiting)}.0"
                    not in (await client.get("/metrics")).text
                ):
                    # A request within this process need not yield to the charge; a question to Postgres does.
                    await owner.fetchval("SELECT 1")
                    assert not waiting[-1].done()

        async def is_refused(name: str, account: str, reason: str) -> None:
            response = await send(name, account)
            assert response.status_code == 503
            assert response.json()["type"].endswith("/problems/overloaded")
            assert reason in response.json()["detail"]
            assert int(response.headers["Retry-After"]) >= 1

        for account in ("alice", "alice", "bob"):
            await wait_with("one", account)
        await is_refused("one", "alice", "the account alice")
        await is_refused("two", "alice", "the account alice")
        assert (await send("one", "erin")).status_code == 201
        await wait_with("one", "bob")
        await is_refused("one", "erin", "this client")
        assert (await send("two", "erin")).status_code == 201
        for account in ("carol", "carol", "dave", "dave"):
            await wait_with("two", account)
        await is_refused("three", "erin", "Too many charges wait")
        assert (await client.get("/problems/overloaded")).status_code == 200
        assert "billing_charges_shed_total 4.0" in (await client.get("/metrics")).text
        await holder.execute("ROLLBACK")
        assert {(await task).status_code for task in waiting} == {201}
        for account in accounts:
            assert (await send("three", account)).status_code == 201
    assert await moved(owner) == 8 + 2 + 5


@pytest.mark.parametrize("form", ["in batches"], indirect=True)
async def test_a_held_account_over_http(
    database: Any, settings: Settings, serve: Callable[[FastAPI], Any], owner: Owner
) -> None:
    """Hundreds of its charges end at the lock timeout, and the charges of another account do not notice them."""
    patient = settings.model_copy(update={"lock_timeout_s": 1.0})
    async with (
        accounts_held(database, owner, "alice"),
        serve(billing_service.app.create(patient)) as client,
    ):
        await ledger.insert_account(owner, "carol", OPENING_CENTS)
        client.headers["Authorization"] = "Bearer token-of-order_service"
        loop = asyncio.get_running_loop()

        async def send(key: int, account: str) -> tuple[int, float]:
            since_s = loop.time()
            body = {"order_id": f"{key:032x}", "account": account, "amount_cents": 1}
            response = await client.post(
                "/charges", json=body, headers={"Idempotency-Key": f'"{key}"'}
            )
            return response.status_code, loop.time() - since_s

        held = [asyncio.create_task(send(key, "alice")) for key in range(1, 301)]
        others = [await send(key, "carol") for key in range(1001, 1101)]
        ended = await asyncio.gather(*held)
    assert {status for status, _ in others} == {201}
    assert {status for status, _ in ended} == {503}
    assert max(seconds for _, seconds in ended) < 2.5
    assert await moved(owner) == 100


async def test_shutting_down_drains(pool: BoundedPool, owner: Owner) -> None:
    """Each charge that was taken gets its outcome, also one that waits for a lock; later ones are refused."""
    desk = Desk(pool, size_max=2)
    transaction = owner.transaction()
    await transaction.start()
    await ledger.lock_account(owner, "bob")
    tasks = [desk.begin(key) for key in range(1, 8)]
    tasks += [desk.begin(key, account="bob") for key in (8, 9)]
    await waits_for_a_lock(owner)
    draining = asyncio.create_task(desk.group.drain())
    await asyncio.gather(*tasks[:7])
    assert not draining.done()
    await transaction.rollback()
    await draining
    assert all(task.done() for task in tasks)
    assert statuses([await task for task in tasks]) == [201] * 9
    with pytest.raises(QueueFull):
        await desk.charge(10)
    assert await moved(owner) == 90


async def test_a_defect_is_met_alone(desk: Desk, owner: Owner) -> None:
    """A batch that fails for a reason of one member is taken apart: only that one fails."""
    await owner.execute(
        """
        CREATE FUNCTION billing.defect() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION USING ERRCODE = '22012'; END $$;
        CREATE TRIGGER defect BEFORE INSERT ON billing.processed_keys
        FOR EACH ROW WHEN (NEW.sequence_key = 2) EXECUTE FUNCTION billing.defect();
        """
    )
    outcomes = await asyncio.gather(
        desk.charge(1), desk.charge(2), desk.charge(2), desk.charge(3), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes[1:3]] == [asyncpg.DivisionByZeroError] * 2
    assert statuses([outcomes[0], outcomes[3]]) == [201, 201]
    assert await moved(owner) == 20


async def test_two_replicas_and_one_hot_account(
    database: Any, pool: BoundedPool, owner: Owner
) -> None:
    """The same keys in opposite orders at both, over two accounts: no deadlock, no 409, every cent once."""
    async with opened(database.billing) as other:
        desks = (Desk(pool, size_max=20), Desk(other, size_max=20))
        keys_up = list(range(1, 101))
        outcomes = await asyncio.gather(
            *(
                desk.charge(key, 1 + key % 3, ("alice", "bob")[key % 2])
                for desk, order in zip(desks, (keys_up, keys_up[::-1]), strict=True)
                for key in order
            )
        )
    assert set(statuses(outcomes)) == {201}
    first, second = outcomes[:100], outcomes[100:][::-1]
    for one, two in zip(first, second, strict=True):
        assert isinstance(one, Answer)
        assert isinstance(two, Answer)
        assert one.body == two.body
        assert one.replayed != two.replayed
    assert await moved(owner) == sum(1 + key % 3 for key in keys_up)
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert await owner.fetchval(deadlocks) == 0


async def test_two_replicas_of_which_one_charges_alone(
    database: Any, pool: BoundedPool, owner: Owner
) -> None:
    """Batches of one and single charges of the other on one account: each balance of the ledger follows from the one before."""
    async with opened(database.billing) as other:
        desk = Desk(pool, size_max=5)

        async def alone(key: int) -> ChargeOutcome:
            charge = Charge(order_id=UUID(int=key), account="alice", amount_cents=1 + key % 3)
            return await ledger.charge(other, "curl", key, charge, lambda *_: "", lambda: True)

        async def one_by_one(first: int) -> list[ChargeOutcome]:
            return [await alone(key) for key in range(first, first + 15)]

        batches = [desk.charge(key, 1 + key % 3) for key in range(1, 61)]
        outcomes, *singles = await asyncio.gather(
            asyncio.gather(*batches), *(one_by_one(first) for first in (1, 101, 201, 301))
        )
    assert set(statuses(outcomes)) == {201}
    assert {status for single in singles for status in statuses(single)} == {201}
    assert await owner.fetchval("SELECT count(*) FROM billing.ledger") == 120
    await moved(owner)


async def test_a_concurrent_charges_is_halved(pool: BoundedPool, owner: Owner) -> None:
    """A batch leaves half of those who are there to the next one; few go together."""
    desk = Desk(pool, halved_from=4)
    await asyncio.gather(*(desk.charge(key, account="alice") for key in range(1, 17)))
    # 8 of 16; the other 8 together with the 8 that were answered are 16 again.
    assert desk.batches() == (2, 16)
    await asyncio.gather(*(desk.charge(key, account="alice") for key in range(17, 21)))
    assert desk.batches() == (3, 20)
    assert await moved(owner) == 200
