"""Charges in one round trip: what they hold while they are written, and that nothing else is touched."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest

from billing_service import keys, ledger, plain, set_statements
from billing_service.batch import ClientBusy, KeyBusy, Request
from billing_service.keys import Answer, KeyForgotten, Voided
from billing_service.ledger import ChargeOutcome, KeyReused
from billing_service.wire import Charge, Charged
from bounded_pool import BoundedPool, Connection, DatabaseTrouble
from tests.billing_service.desk import OPENING_CENTS, Desk, Owner, decline, moved, opened, statuses


def asked(
    key: int,
    cents: int = 10,
    account: str = "alice",
    client: str = "order_service",
    here: bool = True,
) -> Request:
    """One charge on its way."""
    charge = Charge(order_id=UUID(int=key), account=account, amount_cents=cents)
    return Request(client, key, charge, ledger.fingerprint(charge), lambda: here)


async def test_what_is_not_plain_is_left_alone(pool: BoundedPool, owner: Owner) -> None:
    """An account without enough money for all that want it, and one that is not there: nothing of theirs is executed."""
    outcomes = await plain.charge_all(
        pool,
        [
            asked(1, 6_000),
            asked(2, 10, "bob"),
            asked(3, 5_000),
            asked(4, 10, "nobody"),
            asked(5, 20, "bob"),
        ],
    )
    assert [outcome is None for outcome in outcomes] == [True, False, True, True, False]
    assert statuses(outcomes) == [0, 201, 0, 0, 201]
    for key in (1, 3, 4):
        assert await keys.state(pool, "order_service", key) == keys.NeverSeen()
    assert await moved(owner) == 30


async def test_all_the_money_of_an_account_is_plain(pool: BoundedPool, owner: Owner) -> None:
    """To the last cent, and no further."""
    outcomes = await plain.charge_all(pool, [asked(1, OPENING_CENTS - 1), asked(2, 1)])
    assert statuses(outcomes) == [201, 201]
    assert await plain.charge_all(pool, [asked(3, 1)]) == [None]
    assert await moved(owner) == OPENING_CENTS


async def test_what_is_known_is_answered(pool: BoundedPool, owner: Owner) -> None:
    """A replay, another payload, a voided key, a forgotten one: no second round trip."""
    await plain.charge_all(pool, [asked(7), asked(8)])
    await keys.void(pool, "order_service", 9)
    await keys.forget(pool, "order_service", 5)
    replay, reused, voided, forgotten = await plain.charge_all(
        pool, [asked(7), asked(8, 11), asked(9), asked(4)]
    )
    assert isinstance(replay, Answer)
    assert replay.replayed
    assert reused == KeyReused()
    assert voided == Voided()
    assert forgotten == KeyForgotten(5)
    assert await moved(owner) == 20


async def test_an_answer_is_what_one_charge_gets(pool: BoundedPool, owner: Owner) -> None:
    """The body is the documented one to the byte, also for the longest name and the highest key, and it is what is stored."""
    account = "A" + "z._-" * 15 + "999"
    await ledger.open_account(pool, account, OPENING_CENTS)
    key = 999_999_999_999_999
    (outcome,) = await plain.charge_all(pool, [asked(key, 7, account)])
    assert isinstance(outcome, Answer)
    row = await owner.fetchrow("SELECT * FROM billing.ledger")
    charged = Charged(
        charge_id=row["charge_id"],
        order_id=UUID(int=key),
        account=account,
        amount_cents=7,
        balance_cents=OPENING_CENTS - 7,
    )
    assert outcome == Answer(201, charged.model_dump_json())
    assert (row["order_id"], row["balance_cents"]) == (UUID(int=key), OPENING_CENTS - 7)
    stored = await owner.fetchrow("SELECT * FROM billing.processed_keys")
    assert stored["fingerprint"] == asked(key, 7, account).digest
    assert stored["body"] == outcome.body


async def test_twins_and_who_has_gone_are_not_plain(pool: BoundedPool, owner: Owner) -> None:
    """Nobody is, when one of them is in the batch: who came later must not take the money of who came before."""
    assert await plain.charge_all(pool, [asked(1), asked(1), asked(2)]) == [None] * 3
    assert await plain.charge_all(pool, [asked(1, here=False), asked(2)]) == [None] * 2
    assert await moved(owner) == 0


async def test_what_is_held_elsewhere(pool: BoundedPool, owner: Owner) -> None:
    """A key, a client, an account: named or left alone without waiting; the neighbours are charged."""
    async with owner.transaction():
        await keys.insert_key(owner, "order_service", 1, b"")
        await keys.lock_client_exclusively(owner, "curl")
        await owner.execute("SELECT 1 FROM billing.accounts WHERE account = 'bob' FOR UPDATE")
        outcomes = await plain.charge_all(
            pool, [asked(1), asked(2, client="curl"), asked(3, 10, "bob"), asked(4)]
        )
    assert outcomes[:3] == [KeyBusy("order_service", 1), ClientBusy("curl"), None]
    assert statuses(outcomes[3:]) == [201]
    assert await moved(owner) == 10


@pytest.mark.parametrize("committed", [True, False])
async def test_an_ambiguous_commit(
    desk: Desk, owner: Owner, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    """All learn that it could not be found out; the same keys then move the money once."""
    charge_plain = set_statements.charge_plain

    async def lost(connection: Connection, *arguments: Any) -> list[Any]:
        if not committed:
            await connection.execute("BEGIN")
        await charge_plain(connection, *arguments)
        await owner.execute("SELECT pg_terminate_backend($1, 10000)", connection.get_server_pid())
        return await connection.fetch("SELECT 1")

    with monkeypatch.context() as patch:
        patch.setattr(set_statements, "charge_plain", lost)
        outcomes = await asyncio.gather(
            *(desk.charge(key) for key in range(1, 6)), return_exceptions=True
        )
    assert [type(outcome) for outcome in outcomes] == [DatabaseTrouble] * 5
    assert await moved(owner) == (50 if committed else 0)
    again = await asyncio.gather(*(desk.charge(key) for key in range(1, 6)))
    assert [isinstance(each, Answer) and each.replayed for each in again] == [committed] * 5
    assert await moved(owner) == 50


@asynccontextmanager
async def charges_that_have_read(
    desk: Desk, owner: Owner
) -> AsyncIterator[list["asyncio.Task[ChargeOutcome]"]]:
    """Keys 1 and 2 stand before the first row that they write, and go on after the block; no other session stops there."""
    await owner.execute(
        """
        CREATE FUNCTION billing.stand() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS
        $$ BEGIN PERFORM pg_advisory_xact_lock(471149, 0); RETURN NEW; END $$
        """
    )
    await owner.execute(
        """
        CREATE TRIGGER stand BEFORE INSERT ON billing.processed_keys FOR EACH ROW
        WHEN (current_setting('application_name') = 'group commit under test')
        EXECUTE FUNCTION billing.stand()
        """
    )
    await owner.execute("SELECT pg_advisory_lock(471149, 0)")
    late = [desk.begin(1), desk.begin(2)]
    standing = "SELECT count(*) FROM pg_locks WHERE classid = 471149 AND NOT granted"
    async with asyncio.timeout(10):
        while not await owner.fetchval(standing):
            pass
    yield late
    await owner.execute("SELECT pg_advisory_unlock_all()")
    await asyncio.wait(late)


async def test_the_race_with_the_collector(desk: Desk, database: Any, owner: Owner) -> None:
    """The collector waits for charges that have read the old mark, and a twin waits for its key."""
    async with opened(database.billing, "another replica") as other:
        async with charges_that_have_read(desk, owner) as late:
            twin = Desk(other).begin(1)
            collecting = asyncio.create_task(keys.forget(other, "order_service", 3))
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND classid IS DISTINCT FROM 471149"
            async with asyncio.timeout(10):
                while await owner.fetchval(waiting) < 2:
                    pass
            assert not twin.done()
            assert not collecting.done()
        assert statuses([await task for task in late]) == [201, 201]
        assert await collecting == 2
        assert isinstance(await twin, Answer | KeyForgotten)
    assert await moved(owner) == 20
    assert await desk.charge(1) == KeyForgotten(3)


@pytest.mark.parametrize("locked", [True, False])
async def test_the_race_without_the_locks(
    desk: Desk, database: Any, owner: Owner, locked: bool
) -> None:
    """The negative control: take the function's locks out, and what another replica has charged and forgotten is charged again."""
    if not locked:
        body = await owner.fetchval("SELECT pg_get_functiondef('billing.charge_plain'::regproc)")
        open_to_all = body.replace(
            "WHEN NOT pg_try_advisory_xact_lock", "WHEN false AND pg_try_advisory_xact_lock"
        )
        assert open_to_all.count("WHEN false") == 2
        await owner.execute(open_to_all)
    async with opened(database.billing, "another replica") as other:
        async with charges_that_have_read(desk, owner) as late:
            if locked:
                async with asyncio.timeout(10):
                    assert (
                        await ledger.charge(
                            other, "order_service", 1, asked(1).charge, decline, lambda: True
                        )
                        == keys.KeyInFlight()
                    )
            else:
                for key in (1, 2):
                    charge = asked(key, account="bob")
                    outcome = await ledger.charge(
                        other, "order_service", key, charge.charge, decline, lambda: True
                    )
                    assert isinstance(outcome, Answer)
                await keys.forget(other, "order_service", 3)
        assert statuses([await task for task in late]) == [201, 201]
    assert await moved(owner) == (20 if locked else 40)


async def test_the_index_decides(desk: Desk, owner: Owner) -> None:
    """A key that is inserted unannounced after it was looked at: all is rolled back, and each one is asked again alone."""
    async with charges_that_have_read(desk, owner) as late:
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
