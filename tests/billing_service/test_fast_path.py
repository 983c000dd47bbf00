"""A batch in one round trip: it answers as the single transaction does, and holds the same locks while it writes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest

import billing_service.charge
from billing_service import accounts, forgetting, keys
from billing_service.batching import fast_path
from billing_service.batching.fast_path import Bodies, Held, Obstructed, Request
from billing_service.outcomes import (
    AccountUnknown,
    Answer,
    ChargeOutcome,
    KeyForgotten,
    KeyInFlight,
    KeyReused,
    NeverSeen,
    TooLate,
    Voided,
)
from billing_service.process import Billing
from billing_service.settings import Settings
from billing_service.wire import Charge, Charged
from service_kit.bounded_pool import BoundedPool, Connection, DatabaseTrouble, LockWaitTooLong
from tests.billing_service.replica import (
    OPENING_CENTS,
    Owner,
    Replica,
    decline,
    inserting_keys_pauses,
    moved,
    opened,
    stand_still,
    statuses,
    waits_for_a_lock,
)
from tests.evidence import seen

BODIES = Bodies.of(decline)


def asked(
    key: int,
    cents: int = 10,
    account: str = "alice",
    client: str = "order_service",
    here: bool = True,
) -> Request:
    """One charge on its way."""
    charge = Charge(order_id=UUID(int=key), account=account, amount_cents=cents)
    return Request(client, key, charge, billing_service.charge.fingerprint(charge), lambda: here)


async def charge_all(
    pool: BoundedPool, requests: list[Request], wait_for: Held | None = None
) -> list[ChargeOutcome | Held]:
    return await fast_path.charge_all(pool, lambda: requests, BODIES, wait_for)


async def test_a_new_key(pool: BoundedPool, owner: Owner) -> None:
    """Charged, declined, without an account, or too late: as in the order of arrival; only the first two spend the key."""
    outcomes = await charge_all(
        pool,
        [
            asked(1, 6_000),
            asked(2, 10, "bob"),
            asked(3, 5_000),
            asked(4, 10, "unknown"),
            asked(5, 4_000),
            asked(6, 7_000, "bob", here=False),
            asked(7, 9_990, "bob"),
        ],
    )
    assert statuses(outcomes) == [201, 201, 402, 0, 201, 0, 201]
    assert outcomes[2] == Answer(402, '"5000 of 4000"')
    assert (outcomes[3], outcomes[5]) == (AccountUnknown(), TooLate())
    for key in (4, 6):
        assert await keys.state(pool, "order_service", key) == NeverSeen()
    assert await keys.state(pool, "order_service", 3) == Answer(402, '"5000 of 4000"', True)
    assert await moved(owner) == 20_000


async def test_all_the_money_of_an_account(pool: BoundedPool, owner: Owner) -> None:
    """To the last cent, and no further."""
    outcomes = await charge_all(
        pool, [asked(1, OPENING_CENTS + 1), asked(2, OPENING_CENTS - 1), asked(3, 1), asked(4, 1)]
    )
    assert statuses(outcomes) == [402, 201, 201, 402]
    assert await moved(owner) == OPENING_CENTS
    assert await owner.fetch(
        "SELECT billing.left_after(left_cents, 7, 7) FROM unnest(ARRAY[NULL, 8, 7, 6]) AS left_cents"
    ) == [(0,), (1,), (0,), (6,)]


async def test_the_order_of_arrival_within_a_batch(pool: BoundedPool) -> None:
    """Each account's money leaves it in this order, however the charges of several accounts are mixed."""
    batch = [asked(key, key, ("alice", "bob")[key % 2]) for key in range(1, 100)]
    left = dict.fromkeys(("alice", "bob"), OPENING_CENTS)
    for request, outcome in zip(batch, await charge_all(pool, batch), strict=True):
        charge = request.charge
        assert isinstance(outcome, Answer)
        if outcome.status == 201:
            left[charge.account] -= charge.amount_cents
            told = Charged.model_validate_json(outcome.body).balance_cents
            assert told == left[charge.account]
    assert min(left.values()) < OPENING_CENTS


async def test_what_is_known_is_answered(pool: BoundedPool, owner: Owner) -> None:
    """A replay, another payload, a voided key, a forgotten one: no second round trip."""
    await charge_all(pool, [asked(7), asked(8)])
    await keys.void(pool, "order_service", 9)
    await forgetting.forget(pool, "order_service", 5)
    replay, reused, voided, forgotten = await charge_all(
        pool, [asked(7), asked(8, 11), asked(9), asked(4)]
    )
    assert isinstance(replay, Answer)
    assert replay.replayed
    assert reused == KeyReused()
    assert voided == Voided()
    assert forgotten == KeyForgotten(5)
    assert await moved(owner) == 20


def test_a_number_that_is_no_placeholder() -> None:
    """It stays as it is: the address of a problem may hold any."""
    numbers = " ".join(map(str, range(1000)))
    assert Bodies.of(lambda *_: numbers).declined == numbers


@pytest.mark.parametrize("form", ["in batches"], indirect=True)
@pytest.mark.parametrize("public_url", ["", "https://billing.example/100%25/%s/%1$s"])
async def test_an_answer_is_what_a_single_charge_gets(
    pool: BoundedPool, owner: Owner, settings: Settings, public_url: str
) -> None:
    """To the byte, charged and declined, also for the longest name and the highest key, and it is what is stored."""
    billing = Billing(settings.model_copy(update={"public_url": public_url}))
    bodies = Bodies.of(billing.decline_body)
    account = "A" + "z._-" * 15 + "999"
    await accounts.open_account(pool, account, OPENING_CENTS)
    top = 999_999_999_999_999
    requests = [asked(top, 7, account), asked(top - 1, 10**12, account)]
    charged, declined = await fast_path.charge_all(pool, lambda: requests, bodies)
    row = await owner.fetchrow("SELECT * FROM billing.ledger")
    left_cents = OPENING_CENTS - 7
    assert (row["order_id"], row["balance_cents"]) == (UUID(int=top), left_cents)
    body = billing_service.charge.charged_body(requests[0].charge, row["charge_id"], left_cents)
    assert charged == Answer(201, body)
    assert Charged.model_validate_json(body).charge_id == row["charge_id"]
    assert declined == Answer(402, billing.decline_body(requests[1].charge, left_cents))
    for request, outcome in zip(requests, (charged, declined), strict=True):
        stored = await owner.fetchrow(
            "SELECT * FROM billing.processed_keys WHERE sequence_key = $1", request.sequence_key
        )
        assert isinstance(outcome, Answer)
        assert stored["fingerprint"] == request.digest
        assert (stored["status"], stored["body"]) == (outcome.status, outcome.body)


async def test_what_is_held_elsewhere(pool: BoundedPool, owner: Owner) -> None:
    """A key, a client, an account: named without waiting, and nothing of theirs is executed; the others are charged."""
    async with owner.transaction():
        await billing_service.charge.insert_key(owner, "order_service", 1, b"")
        await forgetting.lock_client_exclusively(owner, "curl")
        await billing_service.charge.lock_account(owner, "bob")
        outcomes = await charge_all(
            pool, [asked(1), asked(2, client="curl"), asked(3, 10, "bob"), asked(4)]
        )
        await owner.execute("DELETE FROM billing.processed_keys WHERE sequence_key = 1")
    assert outcomes[:3] == [
        Held("key", "order_service"),
        Held("client", "curl"),
        Held("account", "bob"),
    ]
    assert statuses(outcomes[3:]) == [201]
    assert await moved(owner) == 10
    again = await charge_all(pool, [asked(1), asked(2, client="curl"), asked(3, 10, "bob")])
    assert statuses(again) == [201] * 3


async def test_an_account_that_is_only_known(pool: BoundedPool, owner: Owner) -> None:
    """A batch locks the accounts that it withdraws from and no others: a replay holds up no charge."""
    await charge_all(pool, [asked(1)])
    async with pool.transaction() as connection:
        batch = [asked(1), asked(2, account="bob")]
        rows = await fast_path.charge_batch(connection, batch, BODIES)
        assert [row["verdict"] for row in rows] == ["known", "charged"]
        free = "SELECT account FROM billing.accounts FOR NO KEY UPDATE SKIP LOCKED"
        assert "alice" in [row["account"] for row in await owner.fetch(free)]
        assert "bob" not in [row["account"] for row in await owner.fetch(free)]


@pytest.mark.parametrize("held", [Held("account", "alice"), Held("client", "order_service")])
async def test_a_batch_that_waits_for_a_lock(pool: BoundedPool, owner: Owner, held: Held) -> None:
    """It is filled when the lock is granted, and reads marks and balances after that. A lock that stays held fills none."""

    async def hold() -> None:
        await owner.execute("BEGIN")
        if held.lock == "account":
            await billing_service.charge.lock_account(owner, "alice")
            await billing_service.charge.withdraw(owner, "alice", 9_000)
            await billing_service.charge.insert_withdrawal(
                owner, "curl", 1, asked(1, 9_000).charge, 1_000
            )
        else:
            await forgetting.lock_client_exclusively(owner, "order_service")
            await forgetting.insert_client(owner, "order_service")
            await forgetting.advance_mark(owner, "order_service", 2)

    requests: list[Request] = []
    await hold()
    with pytest.raises(LockWaitTooLong):
        await fast_path.charge_all(pool, lambda: pytest.fail("filled"), BODIES, held)
    waiting = asyncio.create_task(charge_all(pool, requests, held))
    await waits_for_a_lock(owner)
    requests += [asked(1, 1_001), asked(2, 1_000)]
    await owner.execute("COMMIT")
    outcomes = await waiting
    if held.lock == "account":
        assert statuses(outcomes) == [402, 201]
        assert await moved(owner) == OPENING_CENTS
    else:
        assert outcomes[0] == KeyForgotten(2)
        assert statuses(outcomes[1:]) == [201]


async def test_a_key_that_is_inserted_unannounced(pool: BoundedPool, owner: Owner) -> None:
    """The batch does not wait for it, and nothing of the batch is executed: each one is asked again alone."""
    async with owner.transaction():
        await owner.execute(
            "INSERT INTO billing.processed_keys (client, sequence_key, fingerprint) VALUES ('order_service', 2, '')"
        )
        with pytest.raises(Obstructed):
            await charge_all(pool, [asked(1), asked(2)])
        await owner.execute("DELETE FROM billing.processed_keys")
    assert await moved(owner) == 0


@pytest.mark.parametrize("committed", [True, False])
async def test_an_ambiguous_commit(
    replica: Replica, owner: Owner, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    """Every caller learns that the outcome is unknown; the same keys then move the money once."""
    charge_batch = fast_path.charge_batch

    async def lost(connection: Connection, *arguments: Any) -> list[Any]:
        if not committed:
            await connection.execute("BEGIN")
        await charge_batch(connection, *arguments)
        await owner.execute("SELECT pg_terminate_backend($1, 10000)", connection.get_server_pid())
        return await connection.fetch("SELECT 1")

    with monkeypatch.context() as patch:
        patch.setattr(fast_path, "charge_batch", lost)
        outcomes = await asyncio.gather(
            *(replica.charge(key) for key in range(1, 6)), return_exceptions=True
        )
    assert [type(outcome) for outcome in outcomes] == [DatabaseTrouble] * 5
    assert await moved(owner) == (50 if committed else 0)
    again = await asyncio.gather(*(replica.charge(key) for key in range(1, 6)))
    assert [isinstance(each, Answer) and each.replayed for each in again] == [committed] * 5
    assert await moved(owner) == 50


@asynccontextmanager
async def charges_that_have_read(
    replica: Replica, owner: Owner
) -> AsyncIterator[list["asyncio.Task[ChargeOutcome]"]]:
    """Keys 1 and 2 stand before the first row that they write, and go on after the block; no other session stops there."""
    async with inserting_keys_pauses(owner):
        late = [replica.begin(1), replica.begin(2)]
        await stand_still(owner)
        yield late
    await asyncio.wait(late)


async def test_the_race_with_the_collector(replica: Replica, database: Any, owner: Owner) -> None:
    """The collector waits for charges that have read the old mark, and a twin waits for its key."""
    async with opened(database.billing, "another replica", lock_timeout_s=10) as other:
        async with charges_that_have_read(replica, owner) as late:
            twin = Replica(other, wait_s=10).begin(1)
            collecting = asyncio.create_task(forgetting.forget(other, "order_service", 3))
            waiting = "SELECT count(*) >= 2 FROM pg_locks WHERE NOT granted AND classid IS DISTINCT FROM 471149"
            await seen(lambda: owner.fetchval(waiting), "the twin and the collector wait")
            assert not twin.done()
            assert not collecting.done()
        assert statuses([await task for task in late]) == [201, 201]
        assert await collecting == 2
        assert isinstance(await twin, Answer | KeyForgotten)
    assert await moved(owner) == 20
    assert await replica.charge(1) == KeyForgotten(3)


@pytest.mark.parametrize("locked", [True, False])
async def test_the_race_without_the_locks(
    replica: Replica, database: Any, owner: Owner, locked: bool
) -> None:
    """The negative control: take the function's locks out, and what another replica has charged and forgotten is charged again."""
    if not locked:
        body = await owner.fetchval("SELECT pg_get_functiondef('billing.charge_batch'::regproc)")
        open_to_all = body.replace(
            "WHEN NOT pg_try_advisory_xact_lock", "WHEN false AND pg_try_advisory_xact_lock"
        )
        assert open_to_all.count("WHEN false") == 2
        await owner.execute(open_to_all)
    async with opened(database.billing, "another replica") as other:
        async with charges_that_have_read(replica, owner) as late:
            if locked:
                outcome = await billing_service.charge.charge(
                    other, "order_service", 1, asked(1).charge, decline, lambda: True
                )
                assert outcome == KeyInFlight()
            else:
                for key in (1, 2):
                    charge = asked(key, account="bob").charge
                    outcome = await billing_service.charge.charge(
                        other, "order_service", key, charge, decline, lambda: True
                    )
                    assert isinstance(outcome, Answer)
                await forgetting.forget(other, "order_service", 3)
        assert statuses([await task for task in late]) == [201, 201]
    assert await moved(owner) == (20 if locked else 40)


async def test_a_mark_that_moves_before_the_lock_is_granted(
    pool: BoundedPool, owner: Owner
) -> None:
    """The function reads marks and keys after its locks: a key that is forgotten until then is not charged again."""
    await charge_all(pool, [asked(1)])
    # The function finds this lock first; it stands still, then takes the real one.
    await owner.execute(
        """
        CREATE FUNCTION billing.pg_try_advisory_xact_lock_shared(integer, integer) RETURNS boolean
        LANGUAGE plpgsql SET lock_timeout = 0 AS $$
        BEGIN
          PERFORM pg_catalog.pg_advisory_xact_lock_shared(471149, 0);
          RETURN pg_catalog.pg_try_advisory_xact_lock_shared($1, $2);
        END $$;
        ALTER FUNCTION billing.charge_batch SET search_path = billing, pg_catalog;
        SELECT pg_advisory_lock(471149, 0);
        """
    )
    late = asyncio.create_task(charge_all(pool, [asked(1), asked(2)]))
    await stand_still(owner)
    assert await forgetting.forget(pool, "order_service", 2) == 1
    await owner.execute("SELECT pg_advisory_unlock(471149, 0)")
    forgotten, charged = await late
    assert forgotten == KeyForgotten(2)
    assert statuses([charged]) == [201]
    assert await moved(owner) == 20


async def test_the_index_decides(replica: Replica, owner: Owner) -> None:
    """A key that is inserted unannounced after it was looked at: all is rolled back, and each one is asked again alone."""
    async with charges_that_have_read(replica, owner) as late:
        await owner.execute(
            """
            INSERT INTO billing.processed_keys (client, sequence_key, fingerprint, status, body)
            VALUES ('order_service', 2, $1, 402, 'first')
            """,
            asked(2).digest,
        )
    assert [await task for task in late][1] == Answer(402, "first", replayed=True)
    assert statuses([await task for task in late]) == [201, 402]
    assert await moved(owner) == 10
