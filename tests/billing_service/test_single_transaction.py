"""The single transaction: what it reads is later than the locks that it waited for."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

import billing_service.charge
from billing_service import forgetting, keys
from billing_service.outcomes import Answer, ChargeOutcome, ClientHeld, KeyForgotten
from billing_service.wire import Charge
from service_kit.bounded_pool import BoundedPool
from tests.billing_service.replica import (
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


async def charge(
    pool: BoundedPool, key: int, cents: int = 10, client: str = "order_service"
) -> ChargeOutcome:
    request = Charge(order_id=UUID(int=key), account="alice", amount_cents=cents)
    return await billing_service.charge.charge(pool, client, key, request, decline, lambda: True)


async def in_a_batch(pool: BoundedPool, key: int) -> ChargeOutcome:
    return await Replica(pool).charge(key)


async def void(pool: BoundedPool, key: int) -> Any:
    return await keys.void(pool, "order_service", key)


async def state(pool: BoundedPool, key: int) -> Any:
    return await keys.state(pool, "order_service", key)


@pytest.mark.parametrize("ask", [charge, in_a_batch, void, state])
async def test_a_mark_that_moves_while_its_lock_is_waited_for(
    pool: BoundedPool, owner: Owner, ask: Callable[[BoundedPool, int], Awaitable[object]]
) -> None:
    """A key that was charged is forgotten meanwhile: it is not charged again, not voided, and not called never seen."""
    assert statuses([await charge(pool, 1)]) == [201]
    async with owner.transaction():
        await forgetting.lock_client_exclusively(owner, "order_service")
        late = asyncio.ensure_future(ask(pool, 1))
        await waits_for_a_lock(owner)
        await forgetting.insert_client(owner, "order_service")
        await forgetting.advance_mark(owner, "order_service", 2)
        assert await forgetting.delete_forgotten(owner, "order_service", 10) == 1
    assert await late == KeyForgotten(2)
    assert await moved(owner) == 10
    assert await owner.fetchval("SELECT count(*) FROM billing.processed_keys") == 0


@pytest.mark.parametrize("ask", [charge, void])
async def test_the_client_stays_locked_until_the_commit(
    pool: BoundedPool, owner: Owner, ask: Callable[[BoundedPool, int], Awaitable[object]]
) -> None:
    """The collector cannot move the mark while a charge or a void that has read it is under way."""
    async with inserting_keys_pauses(owner):
        late = asyncio.ensure_future(ask(pool, 1))
        await stand_still(owner)
        collecting = asyncio.create_task(forgetting.forget(pool, "order_service", 2))
        await waits_for_a_lock(owner, 2)
        assert not collecting.done()
    await late
    assert await collecting == 1


async def test_a_client_that_stays_locked(pool: BoundedPool, owner: Owner) -> None:
    """The error names the client's lock, and keeps the words of the database for the log."""
    async with owner.transaction():
        await forgetting.lock_client_exclusively(owner, "order_service")
        with pytest.raises(ClientHeld, match="canceling statement due to lock timeout"):
            await charge(pool, 1)


async def test_two_replicas_charge_one_account(
    database: Any, pool: BoundedPool, owner: Owner
) -> None:
    """The second waits for the account that the first has charged: its balance follows from the first one's."""
    async with opened(database.billing, "another replica") as other:
        # Both have claimed their keys; the second one meets the account while the first one holds it.
        await owner.execute(
            """
            CREATE FUNCTION billing.pause() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS
            $$ BEGIN PERFORM pg_advisory_xact_lock_shared(471149, 0); RETURN NEW; END $$;
            CREATE TRIGGER pause AFTER UPDATE ON billing.accounts FOR EACH ROW
            EXECUTE FUNCTION billing.pause();
            SELECT pg_advisory_lock(471149, 0);
            """
        )
        first = asyncio.create_task(charge(pool, 1))
        await stand_still(owner)
        second = asyncio.create_task(charge(other, 2, 20, "curl"))
        await waits_for_a_lock(owner, 2)
        await owner.execute("SELECT pg_advisory_unlock(471149, 0)")
        assert statuses([await first, await second]) == [201, 201]
    assert await moved(owner) == 30


@pytest.mark.parametrize("committed", [True, False])
async def test_an_account_that_another_transaction_has_charged(
    pool: BoundedPool, owner: Owner, committed: bool
) -> None:
    """Declined or charged by the balance that the other transaction has left, not by the one before."""
    transaction = owner.transaction()
    await transaction.start()
    await billing_service.charge.lock_account(owner, "alice")
    await billing_service.charge.withdraw(owner, "alice", 9_995)
    request = Charge(order_id=UUID(int=9), account="alice", amount_cents=9_995)
    await billing_service.charge.insert_withdrawal(owner, "curl", 9, request, 5)
    late = asyncio.create_task(charge(pool, 1))
    await waits_for_a_lock(owner)
    await (transaction.commit() if committed else transaction.rollback())
    outcome = await late
    assert isinstance(outcome, Answer)
    assert outcome.status == (402 if committed else 201)
    await moved(owner)
