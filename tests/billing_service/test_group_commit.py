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
from pydantic import SecretStr
from starlette.applications import Starlette

import billing_service.app
import billing_service.charge
from billing_service import forgetting, keys
from billing_service.accounts import insert_account, open_account
from billing_service.forgetting import Collector
from billing_service.outcomes import (
    AccountUnknown,
    Answer,
    ChargeOutcome,
    ClientHeld,
    KeyForgotten,
    KeyInFlight,
    KeyReused,
    NeverSeen,
    QueueFull,
    TooLate,
    Voided,
)
from billing_service.settings import Settings
from billing_service.wire import Charge
from service_kit.bounded_pool import BoundedPool, LockWaitTooLong
from tests.billing_service.replica import (
    LOCK_TIMEOUT_S,
    OPENING_CENTS,
    Owner,
    Replica,
    inserting_keys_pauses,
    moved,
    opened,
    sample,
    stand_still,
    statuses,
    waits_for_a_lock,
)


@pytest.fixture(autouse=True)
async def failures_in_the_background() -> AsyncIterator[None]:
    """No task fails where nothing waits for it."""
    failures: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failures.append(context))
    yield
    loop.set_exception_handler(None)
    assert failures == []


async def test_what_waits_together_is_committed_together(replica: Replica, owner: Owner) -> None:
    """Twenty charges, one transaction; every answer and every balance is what twenty would have given."""
    outcomes = await asyncio.gather(*(replica.charge(key) for key in range(1, 21)))
    assert statuses(outcomes) == [201] * 20
    assert replica.batches() == (1, 20)
    assert await moved(owner) == 200
    rows = await owner.fetch(
        "SELECT charge_id, balance_cents, xmin::text FROM billing.ledger ORDER BY sequence_key"
    )
    assert [row["balance_cents"] for row in rows] == [OPENING_CENTS - 10 * n for n in range(1, 21)]
    assert len({row["xmin"] for row in rows}) == 1
    for row, outcome in zip(rows, outcomes, strict=True):
        assert isinstance(outcome, Answer)
        assert str(row["charge_id"]) in outcome.body


async def test_nothing_is_under_way(replica: Replica) -> None:
    """A charge that finds the queue empty begins at once: nothing waits for a batch to fill."""
    assert statuses([await replica.charge(1), await replica.charge(2)]) == [201, 201]
    assert replica.batches() == (2, 2)


async def test_a_batch_is_bounded(pool: BoundedPool, owner: Owner) -> None:
    """What does not fit into one batch goes into the next one."""
    replica = Replica(pool, size_max=8)
    outcomes = await asyncio.gather(*(replica.charge(key) for key in range(1, 21)))
    assert statuses(outcomes) == [201] * 20
    assert replica.batches() == (3, 20)
    assert await moved(owner) == 200


async def test_an_overdraft_is_judged_in_the_order_of_arrival(
    replica: Replica, owner: Owner
) -> None:
    """Each charge sees what those before it in the batch have left; a decline takes nothing from those behind it."""
    outcomes = await asyncio.gather(
        replica.charge(1, 6_000),
        replica.charge(2, 5_000),
        replica.charge(3, 4_000),
        replica.charge(4, 1),
        replica.charge(5, 10_000, "bob"),
    )
    assert statuses(outcomes) == [201, 402, 201, 402, 201]
    assert isinstance(outcomes[1], Answer)
    assert outcomes[1].body == '"5000 of 4000"'
    assert replica.batches() == (1, 5)
    assert await moved(owner) == 20_000
    again = await asyncio.gather(replica.charge(2, 5_000), replica.charge(4, 1))
    assert statuses(again) == [402, 402]


async def test_bad_account_locks(replica: Replica, pool: BoundedPool, owner: Owner) -> None:
    """Replayed, reused, voided, forgotten, declined, too late, without an account: each gets its own outcome."""
    await replica.charge(1, 5)
    await replica.charge(11, 7)
    await keys.void(pool, "order_service", 12)
    await forgetting.forget(pool, "order_service", 5)
    before = replica.batches()
    outcomes = await asyncio.gather(
        replica.charge(20),
        replica.charge(1, 5),
        replica.charge(11, 7),
        replica.charge(11, 8),
        replica.charge(12),
        replica.charge(13, 10, "unknown"),
        replica.charge(14, OPENING_CENTS),
        replica.charge(15, awaited=lambda: False),
        replica.charge(21),
    )
    # The second charge of key 11 has waited for the first one.
    assert replica.batches() == (before[0] + 1, before[1] + 8)
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
    assert unspent == [NeverSeen(), NeverSeen()]


async def test_twins(replica: Replica, owner: Owner) -> None:
    """One is executed and the others wait for it: replays, or refused for another payload. They share no batch."""
    outcomes = await asyncio.gather(
        replica.charge(1, 10), replica.charge(1, 10), replica.charge(1, 11), replica.charge(1, 10)
    )
    assert replica.batches() == (1, 1)
    first, second, other, third = outcomes
    assert isinstance(first, Answer)
    assert not first.replayed
    assert second == third == Answer(first.status, first.body, replayed=True)
    assert other == KeyReused()
    assert await moved(owner) == 10


async def test_twins_of_one_that_spent_nothing(replica: Replica, owner: Owner) -> None:
    """A refusal that spends no key leaves it to the next one, and so on."""
    outcomes = await asyncio.gather(
        replica.charge(1, 10, "unknown"),
        replica.charge(1, 10, awaited=lambda: False),
        replica.charge(1, 10, "bob"),
        replica.charge(1, 10, "bob"),
    )
    assert list(outcomes[:2]) == [AccountUnknown(), TooLate()]
    assert statuses(outcomes[2:]) == [201, 201]
    assert [isinstance(each, Answer) and each.replayed for each in outcomes[2:]] == [False, True]
    assert await moved(owner) == 10


@pytest.mark.parametrize("refusal", [Voided(), KeyForgotten(5)], ids=["voided", "forgotten"])
async def test_twins_of_a_key_that_is_refused_for_ever(
    pool: BoundedPool, replica: Replica, refusal: Voided | KeyForgotten
) -> None:
    """All get the refusal of the one that was asked for: Postgres is not asked again."""
    if refusal == Voided():
        await keys.void(pool, "order_service", 1)
    else:
        await forgetting.forget(pool, "order_service", 5)
    outcomes = await asyncio.gather(replica.charge(1), replica.charge(1), replica.charge(1, 11))
    assert list(outcomes) == [refusal] * 3
    assert replica.batches() == (1, 1)


async def test_the_same_number_of_two_clients_in_one_batch(replica: Replica, owner: Owner) -> None:
    """The client is part of the key's name, in a batch too; both are new to the service."""
    outcomes = await asyncio.gather(
        replica.charge(1, 10, client="one"), replica.charge(1, 11, client="two")
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
    await billing_service.charge.insert_key(owner, "order_service", key, b"")


@pytest.mark.parametrize("hold", [announced, unannounced])
async def test_a_key_that_is_held_elsewhere(
    database: Any, pool: BoundedPool, owner: Owner, hold: Callable[[Owner, int], Awaitable[None]]
) -> None:
    """Its charge waits separately. The others of its batch and later ones are charged long before the lock timeout."""
    async with opened(database.billing, lock_timeout_s=30) as patient:
        replica = Replica(patient, wait_s=30)
        async with owner.transaction():
            await hold(owner, 3)
            twin = replica.begin(3)
            async with asyncio.timeout(60):
                outcomes = await asyncio.gather(*(replica.charge(key) for key in (1, 2, 4, 5)))
                assert statuses(outcomes) == [201] * 4
                assert statuses([await replica.charge(6)]) == [201]
            assert not twin.done()
            await waits_for_a_lock(owner)
            await owner.execute("DELETE FROM billing.processed_keys WHERE sequence_key = 3")
        assert statuses([await twin]) == [201]
    assert await moved(owner) == 60


async def test_a_key_that_stays_held(replica: Replica, owner: Owner) -> None:
    """409 after the lock timeout, for its twins too; the key is not spent."""
    async with owner.transaction():
        await announced(owner, 3)
        outcomes = await asyncio.gather(*(replica.charge(3) for _ in range(3)))
        assert list(outcomes) == [KeyInFlight()] * 3
        await owner.execute("DELETE FROM billing.processed_keys")
    assert replica.held("key") == 1
    assert statuses([await replica.charge(3)]) == [201]


@pytest.mark.parametrize("payloads", [(10, 10, 11, 10), (11, 10, 11, 10)])
async def test_twins_of_a_key_that_is_committed_elsewhere(
    replica: Replica, owner: Owner, payloads: tuple[int, ...]
) -> None:
    """Each one gets its own verdict: the stored answer for the payload that was charged, a refusal for any other."""
    charge = Charge(order_id=UUID(int=3), account="alice", amount_cents=10)
    transaction = owner.transaction()
    await transaction.start()
    await billing_service.charge.insert_key(
        owner, "order_service", 3, billing_service.charge.fingerprint(charge)
    )
    twins = [replica.begin(3, cents) for cents in payloads]
    assert statuses([await replica.charge(1)]) == [201]
    await waits_for_a_lock(owner)
    await billing_service.charge.store_answer(owner, "order_service", 3, Answer(402, "no"))
    await transaction.commit()
    stored = Answer(402, "no", replayed=True)
    assert [await twin for twin in twins] == [
        stored if cents == 10 else KeyReused() for cents in payloads
    ]


async def test_an_account_that_is_held_elsewhere(replica: Replica, owner: Owner) -> None:
    """Its charges wait and are committed together when it is free; other accounts, replays and refusals go on."""
    await replica.charge(1)
    transaction = owner.transaction()
    await transaction.start()
    await billing_service.charge.lock_account(owner, "alice")
    held = [replica.begin(key) for key in (2, 3)]
    free = await asyncio.gather(
        replica.charge(4, account="bob"), replica.charge(1), replica.charge(5, 10, "unknown")
    )
    assert statuses(free) == [201, 201, 0]
    held += [replica.begin(key) for key in (6, 6, 7)]
    assert statuses([await replica.charge(8, account="bob")]) == [201]
    await waits_for_a_lock(owner)
    assert not any(task.done() for task in held)
    before = replica.batches()
    await transaction.rollback()
    assert statuses([await task for task in held]) == [201] * 5
    assert replica.batches() == (before[0] + 1, before[1] + 4)
    assert await moved(owner) == 70


async def test_an_account_that_stays_held(
    replica: Replica, owner: Owner, pool: BoundedPool
) -> None:
    """All its charges end about a lock timeout after they came, not one after the other; none has spent its key."""
    loop = asyncio.get_running_loop()
    async with owner.transaction():
        await billing_service.charge.lock_account(owner, "alice")
        since_s = loop.time()
        held = [replica.begin(key) for key in range(1, 31)]
        assert statuses([await replica.charge(40, account="bob")]) == [201]
        outcomes = await asyncio.gather(*held, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {LockWaitTooLong}
        assert LOCK_TIMEOUT_S * 0.9 < loop.time() - since_s < LOCK_TIMEOUT_S * 2
    for key in (1, 30):
        assert await keys.state(pool, "order_service", key) == NeverSeen()
    assert statuses([await replica.charge(1)]) == [201]


@asynccontextmanager
async def accounts_held(database: Any, owner: Owner, *accounts: str) -> AsyncIterator[Any]:
    """Opens the accounts; another transaction holds them. Gives its connection."""
    for account in accounts:
        await insert_account(owner, account, OPENING_CENTS)
    other: Owner = await asyncpg.connect(database.owner)
    await other.execute("BEGIN")
    for account in accounts:
        await billing_service.charge.lock_account(other, account)
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
        replica = Replica(patient, slow_max=2, patience_s=0.02, wait_s=15)
        held = [replica.begin(key, account=each) for key, each in enumerate(many, start=1)]
        await waits_for_a_lock(owner, 2)
        late = replica.begin(20, account="late")
        async with asyncio.timeout(60):
            for key in range(30, 40):
                assert statuses([await replica.charge(key, account="bob")]) == [201]
                # Two that wait, and two batches.
                assert patient.in_use <= 4
            assert not late.done()
            await late_holder.execute("ROLLBACK")
            assert statuses([await late]) == [201]
        await holder.execute("ROLLBACK")
        assert statuses([await task for task in held]) == [201] * 8
    assert await moved(owner) == 190


async def test_a_client_whose_mark_is_being_moved(replica: Replica, owner: Owner) -> None:
    """Its charges wait together and then obey the new mark; other clients' charges go on."""
    await replica.charge(9)
    transaction = owner.transaction()
    await transaction.start()
    await forgetting.lock_client_exclusively(owner, "order_service")
    held = [replica.begin(4), replica.begin(5)]
    assert statuses([await replica.charge(1, client="curl")]) == [201]
    await waits_for_a_lock(owner)
    await forgetting.insert_client(owner, "order_service")
    await forgetting.advance_mark(owner, "order_service", 5)
    await transaction.commit()
    assert await held[0] == KeyForgotten(5)
    assert statuses([await held[1]]) == [201]
    assert replica.held("client") == 2


async def test_a_client_whose_mark_stays_locked(replica: Replica, owner: Owner) -> None:
    """Its charges end after the lock timeout, and say why; nothing was executed."""
    async with owner.transaction():
        await forgetting.lock_client_exclusively(owner, "order_service")
        outcomes = await asyncio.gather(
            replica.charge(1), replica.charge(2), return_exceptions=True
        )
    assert [type(outcome) for outcome in outcomes] == [ClientHeld] * 2
    assert await moved(owner) == 0


async def test_a_stuck_charge_and_the_collector(
    replica: Replica, pool: BoundedPool, owner: Owner
) -> None:
    """The collector gives way before a lock timeout is over: charges queue behind it no longer than that."""
    collector = Collector(
        pool,
        pause_s=60,
        leap_max=1_000,
        sleep=asyncio.sleep,
        clock=time.monotonic,
        metrics=replica.metrics,
    )
    await collector.announce("order_service", 5)
    transaction = owner.transaction()
    await transaction.start()
    await billing_service.charge.share_lock_client(owner, "order_service")
    async with asyncio.timeout(LOCK_TIMEOUT_S):
        assert await collector.run_once() == 0
    assert sample(replica.metrics.registry, "billing_collector_failures_total", cause="lock") == 1
    assert statuses([await replica.charge(4)]) == [201]
    await transaction.rollback()
    assert await collector.run_once() == 1
    assert await replica.charge(4) == KeyForgotten(5)


async def test_late_batches_hold_no_other_up(pool: BoundedPool, owner: Owner) -> None:
    """Two batches stand still in Postgres; soon they count as late, and the next one begins beside them."""
    await open_account(pool, "carol", OPENING_CENTS)
    replica = Replica(pool, patience_s=0.02)
    async with inserting_keys_pauses(owner, keys_max=2):
        late = [replica.begin(1)]
        await stand_still(owner)
        late.append(replica.begin(2, account="bob"))
        await stand_still(owner, 2)
        async with asyncio.timeout(60):
            assert statuses([await replica.charge(3, account="carol")]) == [201]
        assert not any(task.done() for task in late)
    assert statuses([await task for task in late]) == [201, 201]
    assert await moved(owner) == 30


async def test_many_twins_of_a_held_key(pool: BoundedPool, owner: Owner) -> None:
    """They take one connection together."""
    replica = Replica(pool, wait_s=30)
    transaction = owner.transaction()
    await transaction.start()
    await unannounced(owner, 1)
    twins = [replica.begin(1)]
    await waits_for_a_lock(owner)
    twins += [replica.begin(1) for _ in range(20)]
    assert statuses([await replica.charge(key) for key in (2, 3)]) == [201, 201]
    assert pool.in_use == 1
    assert not any(twin.done() for twin in twins)
    await transaction.rollback()
    assert statuses([await twin for twin in twins]) == [201] * 21
    assert await moved(owner) == 30


async def test_callers_that_have_gone(replica: Replica, pool: BoundedPool, owner: Owner) -> None:
    """A charge that waits is dropped: its key is not spent. A charge that is begun is finished. A twin takes over."""
    async with inserting_keys_pauses(owner):
        begun = replica.begin(1)
        await stand_still(owner)
        waiting, twin, other = replica.begin(2), replica.begin(2, 20), replica.begin(3)
        async with asyncio.timeout(60):
            while replica.group.queue_length < 3:
                await owner.fetchval("SELECT 1")
        begun.cancel()
        waiting.cancel()
    assert statuses([await twin, await other]) == [201, 201]
    await replica.group.drain()
    states = [await keys.state(pool, "order_service", key) for key in (1, 2)]
    assert [isinstance(state, Answer) for state in states] == [True, True]
    find = "SELECT amount_cents FROM billing.ledger WHERE sequence_key = 2"
    assert await owner.fetchval(find) == 20
    assert await moved(owner) == 40


async def test_a_caller_that_has_gone_while_its_key_was_held(
    replica: Replica, pool: BoundedPool, owner: Owner
) -> None:
    """Its charge has not begun: it gives the key back, and moves nothing."""
    transaction = owner.transaction()
    await transaction.start()
    await announced(owner, 1)
    gone = replica.begin(1)
    await waits_for_a_lock(owner)
    gone.cancel()
    await asyncio.wait((gone,))
    await transaction.rollback()
    await replica.group.drain()
    assert await keys.state(pool, "order_service", 1) == NeverSeen()
    assert await moved(owner) == 0


async def test_a_charge_that_is_not_begun_in_time(
    replica: Replica, pool: BoundedPool, owner: Owner
) -> None:
    """Behind a batch that stands still a charge ends as refused, and a twin as in flight; neither is begun later."""
    async with inserting_keys_pauses(owner):
        begun = replica.begin(1)
        await stand_still(owner)
        behind, twin = replica.begin(2), replica.begin(1)
        with pytest.raises(QueueFull):
            await behind
        assert await twin == KeyInFlight()
        assert not begun.done()
    assert statuses([await begun]) == [201]
    await replica.group.drain()
    assert await keys.state(pool, "order_service", 2) == NeverSeen()
    assert await moved(owner) == 10


async def test_two_batches_at_once_share_no_account(replica: Replica, owner: Owner) -> None:
    """While one is under way another begins with other accounts; charges of the same account wait in the queue."""
    async with inserting_keys_pauses(owner, keys_max=2):
        under_way = [replica.begin(key) for key in (1, 2)]
        await stand_still(owner)
        same = [replica.begin(key) for key in (3, 4)]
        other = await asyncio.gather(*(replica.charge(key, account="bob") for key in (5, 6)))
        assert statuses(other) == [201, 201]
        assert not any(task.done() for task in same)
        assert replica.group.queue_length == 2
    assert statuses([await task for task in (*under_way, *same)]) == [201] * 4
    assert replica.held("account") == 0
    assert await moved(owner) == 60


async def test_the_order_of_arrival_behind_a_batch(pool: BoundedPool, owner: Owner) -> None:
    """A charge that waits because its account is under way is not overtaken by a later one of it, however small batches are."""
    replica = Replica(pool, size_max=1)
    async with inserting_keys_pauses(owner, keys_max=1):
        first = replica.begin(1)
        await stand_still(owner)
        later = [
            replica.begin(2, OPENING_CENTS - 30),
            replica.begin(3, account="bob"),
            replica.begin(4, 30),
        ]
        assert statuses([await later[1]]) == [201]
        assert replica.group.queue_length == 2
    assert statuses([await task for task in (first, *later)]) == [201, 201, 201, 402]
    assert await moved(owner) == 20 + OPENING_CENTS - 30


async def test_the_order_of_arrival_at_a_held_account(
    database: Any, replica: Replica, owner: Owner
) -> None:
    """Charges that met a held account go before those that came while it was tried."""
    await owner.execute("BEGIN")
    await billing_service.charge.lock_account(owner, "alice")
    other: Owner = await asyncpg.connect(database.owner)
    async with inserting_keys_pauses(other, keys_max=1):
        tried = [replica.begin(1, account="bob"), replica.begin(2), replica.begin(3)]
        await stand_still(other)
        later = [replica.begin(4, OPENING_CENTS - 30), replica.begin(5, 20)]
        async with asyncio.timeout(60):
            while replica.group.queue_length < 2:
                await other.fetchval("SELECT 1")
    await waits_for_a_lock(other)
    assert replica.held("account") == 2
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
    database: Any, narrow: Settings, serve: Callable[[Starlette], Any], owner: Owner
) -> None:
    """503 at once for what does not fit: of the account, of the client, in all. All that wait count; others are charged."""
    accounts = ("alice", "bob", "carol", "dave", "erin")
    async with (
        accounts_held(database, owner, "alice", "bob", "carol", "dave") as holder,
        serve(billing_service.app.create(narrow)) as client,
    ):
        await insert_account(owner, "erin", OPENING_CENTS)
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
            async with asyncio.timeout(60):
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
        await is_refused("three", "erin", "Too many charges are waiting")
        assert (await client.get("/problems/overloaded")).status_code == 200
        assert "billing_charges_shed_total 4.0" in (await client.get("/metrics")).text
        await holder.execute("ROLLBACK")
        assert {(await task).status_code for task in waiting} == {201}
        for account in accounts:
            assert (await send("three", account)).status_code == 201
    assert await moved(owner) == 8 + 2 + 5


@pytest.mark.parametrize("form", ["in batches"], indirect=True)
async def test_a_held_account_over_http(
    database: Any, settings: Settings, serve: Callable[[Starlette], Any], owner: Owner
) -> None:
    """Hundreds of its charges end at the lock timeout, and the charges of another account do not notice them."""
    patient = settings.model_copy(update={"lock_timeout_s": 3.0, "transaction_timeout_s": 6.0})
    async with (
        accounts_held(database, owner, "alice"),
        serve(billing_service.app.create(patient)) as client,
    ):
        await insert_account(owner, "carol", OPENING_CENTS)
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
    # Not one lock timeout after the other: twice the timeout is still ahead, and seconds of delay of a busy machine.
    assert max(seconds for _, seconds in ended) < 2.5 * patient.lock_timeout_s
    assert await moved(owner) == 100


async def test_shutting_down_drains(pool: BoundedPool, owner: Owner) -> None:
    """Each charge that was taken gets its outcome, also one that waits for a lock; later ones are refused."""
    replica = Replica(pool, size_max=2)
    transaction = owner.transaction()
    await transaction.start()
    await billing_service.charge.lock_account(owner, "bob")
    tasks = [replica.begin(key) for key in range(1, 8)]
    tasks += [replica.begin(key, account="bob") for key in (8, 9)]
    await waits_for_a_lock(owner)
    draining = asyncio.create_task(replica.group.drain())
    await asyncio.gather(*tasks[:7])
    assert not draining.done()
    await transaction.rollback()
    await draining
    assert all(task.done() for task in tasks)
    assert statuses([await task for task in tasks]) == [201] * 9
    with pytest.raises(QueueFull):
        await replica.charge(10)
    assert await moved(owner) == 90


@pytest.mark.parametrize("form", ["in batches"], indirect=True)
async def test_a_charge_after_the_end(settings: Settings) -> None:
    """A service that has ended its last batch says so to a late request: nothing was begun, whereas `unavailable` leaves it open."""
    app = billing_service.app.create(settings)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://billing") as client:
        async with app.router.lifespan_context(app):
            pass
        response = await client.post(
            "/charges",
            json={"order_id": str(UUID(int=1)), "account": "alice", "amount_cents": 1},
            headers={"Idempotency-Key": '"1"', "Authorization": "Bearer token-of-order_service"},
        )
    assert response.status_code == 503
    assert response.json()["type"].endswith("/problems/overloaded")
    assert response.json()["detail"] == "This process is stopping."


async def test_a_defect_is_met_alone(replica: Replica, owner: Owner) -> None:
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
        replica.charge(1),
        replica.charge(2),
        replica.charge(2),
        replica.charge(3),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes[1:3]] == [asyncpg.DivisionByZeroError] * 2
    assert statuses([outcomes[0], outcomes[3]]) == [201, 201]
    assert await moved(owner) == 20


async def test_two_replicas_and_one_hot_account(
    database: Any, pool: BoundedPool, owner: Owner
) -> None:
    """The same keys in opposite orders at both, over two accounts: no deadlock, no 409, every cent once."""
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    before = await owner.fetchval(deadlocks)
    async with opened(database.billing) as other:
        replicas = (Replica(pool, size_max=20), Replica(other, size_max=20))
        keys_up = list(range(1, 101))
        outcomes = await asyncio.gather(
            *(
                replica.charge(key, 1 + key % 3, ("alice", "bob")[key % 2])
                for replica, order in zip(replicas, (keys_up, keys_up[::-1]), strict=True)
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
    assert await owner.fetchval(deadlocks) == before


async def test_two_replicas_of_which_one_charges_alone(
    database: Any, pool: BoundedPool, owner: Owner
) -> None:
    """Batches of one and single charges of the other on one account: each balance of the ledger follows from the one before."""
    async with (
        opened(database.billing, lock_timeout_s=15) as patient,
        opened(database.billing, lock_timeout_s=15) as other,
    ):
        replica = Replica(patient, size_max=5, wait_s=15)

        async def alone(key: int) -> ChargeOutcome:
            charge = Charge(order_id=UUID(int=key), account="alice", amount_cents=1 + key % 3)
            return await billing_service.charge.charge(
                other, "curl", key, charge, lambda *_: "", lambda: True
            )

        async def one_by_one(first: int) -> list[ChargeOutcome]:
            return [await alone(key) for key in range(first, first + 15)]

        batches = [replica.charge(key, 1 + key % 3) for key in range(1, 61)]
        outcomes, *singles = await asyncio.gather(
            asyncio.gather(*batches), *(one_by_one(first) for first in (1, 101, 201, 301))
        )
    assert set(statuses(outcomes)) == {201}
    assert {status for single in singles for status in statuses(single)} == {201}
    assert await owner.fetchval("SELECT count(*) FROM billing.ledger") == 120
    await moved(owner)


async def test_a_concurrent_charges_is_halved(pool: BoundedPool, owner: Owner) -> None:
    """A batch leaves half of the waiting charges to the next one; a few charges share one batch."""
    replica = Replica(pool, parted_from=4)
    await asyncio.gather(*(replica.charge(key, account="alice") for key in range(1, 17)))
    # 8 of 16; the other 8 together with the 8 that were answered are 16 again.
    assert replica.batches() == (2, 16)
    await asyncio.gather(*(replica.charge(key, account="alice") for key in range(17, 21)))
    assert replica.batches() == (3, 20)
    assert await moved(owner) == 200
