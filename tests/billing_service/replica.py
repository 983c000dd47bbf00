"""One replica's queue of charges on its own database, with short functions for the tests."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from prometheus_client import CollectorRegistry

from billing_service.batching.group_commit import GroupCommit
from billing_service.metrics import Metrics
from billing_service.outcomes import Answer, ChargeOutcome
from billing_service.wire import Charge
from service_kit.bounded_pool import BoundedPool
from service_kit.group_commit import Bounds
from tests.evidence import seen

OPENING_CENTS = 10_000
# The lock timeout below; a charge that ends while a lock is held has not waited for that lock.
LOCK_TIMEOUT_S = 1.0
APPLICATION = "group commit under test"
Owner = Any


class Replica:
    """One replica's queue, with short functions for its charges."""

    def __init__(self, pool: BoundedPool, **bounds: Any) -> None:
        self.metrics = Metrics()
        usual = {
            "size_max": 100,
            "under_way_max": 3,
            "slow_max": 3,
            "queue_max": 1_000,
            "wait_s": LOCK_TIMEOUT_S,
            "patience_s": 5.0,
            "side_by_side": 2,
            "parted_from": 100,
        }
        self.group = GroupCommit(pool, decline, Bounds(**{**usual, **bounds}), self.metrics)

    async def charge(
        self,
        key: int,
        cents: int = 10,
        account: str = "alice",
        client: str = "order_service",
        awaited: Callable[[], bool] = lambda: True,
    ) -> ChargeOutcome:
        charge = Charge(order_id=UUID(int=key), account=account, amount_cents=cents)
        return await self.group.charge(client, key, charge, awaited)

    def begin(self, *arguments: Any, **more: Any) -> "asyncio.Task[ChargeOutcome]":
        return asyncio.create_task(self.charge(*arguments, **more))

    def batches(self) -> tuple[int, int]:
        """How many batches there were, and the charges in all of them."""
        return (
            int(sample(self.metrics.registry, "billing_batch_size_count")),
            int(sample(self.metrics.registry, "billing_batch_size_sum")),
        )

    def held(self, lock: str) -> int:
        """Charges that left their batch because of such a lock."""
        return int(sample(self.metrics.registry, "billing_charges_held_total", lock=lock))


def decline(charge: Charge, balance_cents: int) -> str:
    return f'"{charge.amount_cents} of {balance_cents}"'


def sample(registry: CollectorRegistry, name: str, **labels: str) -> float:
    value = registry.get_sample_value(name, labels)
    assert value is not None
    return value


def statuses(outcomes: Iterable[object]) -> list[int]:
    return [outcome.status if isinstance(outcome, Answer) else 0 for outcome in outcomes]


@asynccontextmanager
async def opened(
    url: str,
    application: str = APPLICATION,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
    deadline_s: float = 20.0,
) -> AsyncIterator[BoundedPool]:
    pool = BoundedPool(
        url,
        application=application,
        size_max=6,
        deadline_s=deadline_s,
        lock_timeout_s=lock_timeout_s,
        idle_in_transaction_timeout_s=20.0,
    )
    await pool.open()
    yield pool
    await pool.close()


async def moved(owner: Owner) -> int:
    """Cents that left the accounts. The ledger explains each of them, and each of its balances follows from the one before."""
    cents = await owner.fetchval(
        "SELECT sum(opening_balance_cents - balance_cents)::bigint FROM billing.accounts"
    )
    explained = await owner.fetchval(
        "SELECT coalesce(sum(amount_cents), 0)::bigint FROM billing.ledger"
    )
    assert cents == explained
    broken = await owner.fetch(
        """
        SELECT *
        FROM (
          SELECT account, sequence_key, amount_cents, balance_cents,
                 coalesce(
                   lag(ledger.balance_cents) OVER (PARTITION BY account ORDER BY ledger.balance_cents DESC),
                   opening_balance_cents
                 ) AS before_cents
          FROM billing.ledger
          JOIN (SELECT account, opening_balance_cents FROM billing.accounts) AS opened USING (account)
        ) AS chain
        WHERE balance_cents <> before_cents - amount_cents
        """
    )
    assert broken == []
    return int(cents)


async def waits_for_a_lock(owner: Owner, sessions: int = 1) -> None:
    """Evidence that so many sessions stand before a lock."""
    waiting = "SELECT count(*) >= $1 FROM pg_locks WHERE NOT granted"
    await seen(lambda: owner.fetchval(waiting, sessions), f"{sessions} sessions wait for locks")


@asynccontextmanager
async def inserting_keys_pauses(owner: Owner, keys_max: int = 999) -> AsyncIterator[None]:
    """A transaction under test that inserts a key up to `keys_max` stands still until the block ends."""
    await owner.execute(
        """
        CREATE FUNCTION billing.stand() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS
        $$ BEGIN PERFORM pg_advisory_xact_lock_shared(471149, 0); RETURN NEW; END $$
        """
    )
    await owner.execute(
        f"""
        CREATE TRIGGER stand BEFORE INSERT ON billing.processed_keys FOR EACH ROW
        WHEN (NEW.sequence_key <= {keys_max} AND current_setting('application_name') = '{APPLICATION}')
        EXECUTE FUNCTION billing.stand()
        """
    )
    await owner.execute("SELECT pg_advisory_lock(471149, 0)")
    try:
        yield
    finally:
        await owner.execute("SELECT pg_advisory_unlock(471149, 0)")


async def stand_still(owner: Owner, sessions: int = 1) -> None:
    """Evidence that so many sessions stand where `inserting_keys_pauses` pauses them."""
    standing = "SELECT count(*) >= $1 FROM pg_locks WHERE classid = 471149 AND NOT granted"
    await seen(lambda: owner.fetchval(standing, sessions), f"{sessions} sessions stand still")
