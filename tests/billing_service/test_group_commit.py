"""Charges that wait together are committed together, and none of them is any other's business."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

import billing_service.app
from billing_service import keys, ledger
from billing_service.collector import Collector
from billing_service.group_commit import QueueFull
from billing_service.keys import Answer, KeyForgotten, KeyInFlight, Voided
from billing_service.ledger import AccountUnknown, KeyReused, TooLate
from billing_service.settings import Settings
from billing_service.wire import Charge
from bounded_pool import BoundedPool, LockWaitTooLong
from tests.billing_service.desk import (
    LOCK_TIMEOUT_S,
    OPENING_CENTS,
    Desk,
    Owner,
    moved,
    opened,
    sample,
    statuses,
    waits_for_a_lock,
)

# All of it holds both for what is charged in one round trip and for what is looked at more closely.
pytestmark = [
    pytest.mark.usefixtures("way"),
    pytest.mark.parametrize("way", ["plain", "at length"], indirect=True),
]


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


async def test_nobody_waits_when_nothing_is_under_way(pool: BoundedPool) -> None:
    """A charge that finds the queue empty begins at once, alone, by the single path."""
    desk = Desk(pool, size_min=2)
    assert statuses([await desk.charge(1), await desk.charge(2)]) == [201, 201]
    assert desk.batches() == (0, 0)


async def test_a_batch_is_bounded(pool: BoundedPool, owner: Owner) -> None:
    """What does not fit into one batch goes into the next one."""
    desk = Desk(pool, size_max=8)
    outcomes = await asyncio.gather(*(desk.charge(key) for key in range(1, 21)))
    assert statuses(outcomes) == [201] * 20
    assert desk.batches() == (3, 20)
    assert await moved(owner) == 200


async def test_an_overdraft_is_judged_in_the_order_of_arrival(desk: Desk, owner: Owner) -> None:
    """Each one sees what those before it in the batch have left; a decline takes nothing from those behind."""
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
    assert await moved(owner) == 20_000
    again = await asyncio.gather(desk.charge(2, 5_000), desk.charge(4, 1))
    assert statuses(again) == [402, 402]


async def test_bad_neighbours(desk: Desk, pool: BoundedPool, owner: Owner) -> None:
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
    assert desk.batches() == (before[0] + 1, before[1] + 9)
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


async def test_duplicates_in_one_batch(desk: Desk, owner: Owner) -> None:
    """The first one is executed, the others are replays of it; another payload is refused; the money moves once."""
    outcomes = await asyncio.gather(
        desk.charge(1, 10), desk.charge(1, 10), desk.charge(1, 11), desk.charge(1, 10)
    )
    assert desk.batches() == (1, 4)
    first, second, other, third = outcomes
    assert isinstance(first, Answer)
    assert not first.replayed
    assert second == third == Answer(first.status, first.body, replayed=True)
    assert other == KeyReused()
    assert await moved(owner) == 10


async def test_a_duplicate_of_one_that_spent_nothing(desk: Desk, owner: Owner) -> None:
    """A refusal that spends no key leaves it to the next one in the same batch."""
    outcomes = await asyncio.gather(
        desk.charge(1, 10, "nobody"),
        desk.charge(1, 10, awaited=lambda: False),
        desk.charge(1, 10, "bob"),
    )
    assert list(outcomes[:2]) == [AccountUnknown(), TooLate()]
    assert statuses(outcomes[2:]) == [201]
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
    desk: Desk, owner: Owner, hold: Callable[[Owner, int], Awaitable[None]]
) -> None:
    """Its twin waits aside and is told 409; the neighbours are charged meanwhile, also those that come later."""
    transaction = owner.transaction()
    await transaction.start()
    await hold(owner, 3)
    twin = desk.begin(3)
    outcomes = await asyncio.gather(*(desk.charge(key) for key in (1, 2, 4, 5)))
    assert statuses(outcomes) == [201] * 4
    assert statuses([await desk.charge(6)]) == [201]
    assert not twin.done()
    assert await twin == KeyInFlight()
    await transaction.rollback()
    assert statuses([await desk.charge(3)]) == [201]
    assert await moved(owner) == 60


async def test_a_key_that_is_committed_elsewhere_meanwhile(desk: Desk, owner: Owner) -> None:
    """The twin that waited aside is answered what the other transaction has stored."""
    charge = Charge(order_id=UUID(int=3), account="alice", amount_cents=10)
    transaction = owner.transaction()
    await transaction.start()
    await keys.insert_key(owner, "order_service", 3, ledger.fingerprint(charge))
    twins = [desk.begin(3), desk.begin(3)]
    assert statuses([await desk.charge(1)]) == [201]
    await keys.store_answer(owner, "order_service", 3, Answer(402, "no"))
    await transaction.commit()
    assert [await twin for twin in twins] == [Answer(402, "no", replayed=True)] * 2


async def test_an_account_that_is_held_elsewhere(desk: Desk, owner: Owner) -> None:
    """Its charges wait aside and are committed together when it is free; other accounts, replays and refusals go on."""
    await desk.charge(1)
    transaction = owner.transaction()
    await transaction.start()
    await owner.execute("SELECT 1 FROM billing.accounts WHERE account = 'alice' FOR UPDATE")
    held = [desk.begin(key) for key in (2, 3)]
    free = await asyncio.gather(
        desk.charge(4, account="bob"), desk.charge(1), desk.charge(5, 10, "nobody")
    )
    assert statuses(free) == [201, 201, 0]
    held += [desk.begin(key) for key in (6, 6, 7)]
    assert statuses([await desk.charge(8, account="bob")]) == [201]
    assert not any(task.done() for task in held)
    await transaction.rollback()
    assert statuses([await task for task in held]) == [201] * 5
    assert desk.aside("account") == 5
    assert await moved(owner) == 70


async def test_an_account_that_stays_held(desk: Desk, owner: Owner) -> None:
    """Definitely not executed after the lock timeout, and the key is not spent: as for a single charge."""
    async with owner.transaction():
        await owner.execute("SELECT 1 FROM billing.accounts WHERE account = 'alice' FOR UPDATE")
        held, free = desk.begin(1), desk.begin(2, account="bob")
        assert statuses([await free]) == [201]
        with pytest.raises(LockWaitTooLong):
            await held
    assert statuses([await desk.charge(1)]) == [201]


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
    assert desk.aside("client") == 2


async def test_a_stuck_charge_and_the_collector(
    desk: Desk, pool: BoundedPool, owner: Owner
) -> None:
    """The collector gives way before a lock timeout is over: charges queue behind it no longer than that."""
    collector = Collector(
        pool,
        pause_s=60,
        sleep=asyncio.sleep,
        forgotten=desk.metrics.keys_forgotten,
        rounds=desk.metrics.collector_rounds,
    )
    collector.announce("order_service", 5)
    transaction = owner.transaction()
    await transaction.start()
    await keys.share_lock_client(owner, "order_service")
    with pytest.raises(LockWaitTooLong):
        async with asyncio.timeout(LOCK_TIMEOUT_S):
            await collector.run_once()
    assert statuses([await desk.charge(4)]) == [201]
    await transaction.rollback()
    assert await collector.run_once() == 1
    assert await desk.charge(4) == KeyForgotten(5)


async def test_a_late_batch_holds_nobody_up(pool: BoundedPool, owner: Owner) -> None:
    """A single charge that waits for its key is overtaken as soon as it is late; its twins take no connection."""
    desk = Desk(pool, size_min=2, patience_s=0.001)
    transaction = owner.transaction()
    await transaction.start()
    await unannounced(owner, 1)
    twins = [desk.begin(1)]
    await waits_for_a_lock(owner)
    twins += [desk.begin(1) for _ in range(20)]
    outcomes = [await desk.charge(key) for key in (2, 3)]
    assert statuses(outcomes) == [201, 201]
    assert pool.in_use == 1
    assert not any(twin.done() for twin in twins)
    await transaction.rollback()
    assert statuses([await twin for twin in twins]) == [201] * 21
    assert await moved(owner) == 30


async def test_a_caller_that_gives_up_while_it_waits(pool: BoundedPool, owner: Owner) -> None:
    """Its charge is dropped before it is begun: the key is not spent. A charge that is begun is finished."""
    desk = Desk(pool, size_max=1)
    transaction = owner.transaction()
    await transaction.start()
    await owner.execute("LOCK TABLE billing.processed_keys IN EXCLUSIVE MODE")
    begun = desk.begin(1)
    await waits_for_a_lock(owner)
    waiting, neighbour = desk.begin(2), desk.begin(3)
    async with asyncio.timeout(10):
        while desk.group.queue_length < 2:
            await owner.fetchval("SELECT 1")
    begun.cancel()
    waiting.cancel()
    await transaction.rollback()
    assert statuses([await neighbour]) == [201]
    await desk.group.drain()
    states = [await keys.state(pool, "order_service", key) for key in (1, 2)]
    assert isinstance(states[0], Answer)
    assert states[1] == keys.NeverSeen()
    assert await moved(owner) == 20


async def test_the_queue_is_bounded(pool: BoundedPool, owner: Owner) -> None:
    """What does not fit is refused at once and nothing of it is begun."""
    desk = Desk(pool, queue_max=3)
    tasks = [desk.begin(key) for key in range(1, 6)]
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Answer] * 3 + [QueueFull] * 2
    assert sample(desk.metrics.registry, "billing_charges_shed_total") == 2
    assert await moved(owner) == 30


async def test_a_full_queue_over_http(
    settings: Settings, serve: Callable[[FastAPI], Any], owner: Owner
) -> None:
    """503 with Retry-After and a page of its own; the same key works later."""
    narrow = settings.model_copy(update={"queue_max": 1, "batch_size_max": 1})
    async with serve(billing_service.app.create(narrow)) as client:
        client.headers["Authorization"] = "Bearer token-of-order_service"
        await client.put("/accounts/alice", json={"opening_balance_cents": 100})

        async def send(key: int) -> httpx.Response:
            body = {"order_id": f"{key:032x}", "account": "alice", "amount_cents": 1}
            response: httpx.Response = await client.post(
                "/charges", json=body, headers={"Idempotency-Key": f'"{key}"'}
            )
            return response

        responses = await asyncio.gather(*map(send, range(1, 31)))
        shed = [key for key, response in enumerate(responses, 1) if response.status_code == 503]
        assert {response.status_code for response in responses} == {201, 503}
        for key in shed:
            assert responses[key - 1].json()["type"].endswith("/problems/overloaded")
            assert int(responses[key - 1].headers["Retry-After"]) >= 1
        assert (await client.get("/problems/overloaded")).status_code == 200
        assert f"billing_charges_shed_total {len(shed)}.0" in (await client.get("/metrics")).text
        assert (await send(shed[0])).status_code == 201
    assert await moved(owner) == 31 - len(shed)


async def test_shutting_down_drains(pool: BoundedPool, owner: Owner) -> None:
    """Whoever was taken gets an outcome; whoever comes later is refused."""
    desk = Desk(pool, size_max=2)
    tasks = [desk.begin(key) for key in range(1, 8)]
    async with asyncio.timeout(10):
        while not desk.group.queue_length:
            await owner.fetchval("SELECT 1")
    await desk.group.drain()
    assert all(task.done() for task in tasks)
    assert statuses([await task for task in tasks]) == [201] * 7
    with pytest.raises(QueueFull):
        await desk.charge(8)
    assert await moved(owner) == 70


async def test_a_defect_is_met_alone(
    desk: Desk, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that fails for a reason of one member is taken apart: only that one fails."""

    def poisoned(charge: Charge, amount_cents: int) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(desk.group, "_decline_body", poisoned)
    outcomes = await asyncio.gather(
        desk.charge(1),
        desk.charge(2, OPENING_CENTS),
        desk.charge(3),
        return_exceptions=True,
    )
    assert isinstance(outcomes[1], ZeroDivisionError)
    assert statuses([outcomes[0], outcomes[2]]) == [201, 201]
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


async def test_a_crowd_is_halved(pool: BoundedPool, owner: Owner) -> None:
    """A batch leaves half of those who are there to the next one; few go together."""
    desk = Desk(pool, halved_from=4)
    await asyncio.gather(*(desk.charge(key, account="alice") for key in range(1, 17)))
    # 8 of 16; the other 8 together with the 8 that were answered are 16 again.
    assert desk.batches() == (2, 16)
    await asyncio.gather(*(desk.charge(key, account="alice") for key in range(17, 21)))
    assert desk.batches() == (3, 20)
    assert await moved(owner) == 200
