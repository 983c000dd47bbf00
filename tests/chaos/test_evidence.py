"""The money of an order is what the order service withdrew."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from chaos.evidence.readings import read_notifications, read_snapshot, read_withdrawals


@pytest.fixture
async def owner(database: Any) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database.owner)
    await connection.execute("INSERT INTO billing.accounts VALUES ('alice', 1000, 1000)")
    yield connection
    await connection.close()


async def charge(owner: Any, client: str, cents: int) -> None:
    await owner.execute(
        """
        WITH moved AS (
          UPDATE billing.accounts SET balance_cents = balance_cents - $2 WHERE account = 'alice' RETURNING balance_cents
        )
        INSERT INTO billing.ledger (client, sequence_key, order_id, account, amount_cents, balance_cents)
        SELECT $1, 1, gen_random_uuid(), 'alice', $2, balance_cents FROM moved
        """,
        client,
        cents,
    )


async def test_a_charge_of_another_client(owner: Any) -> None:
    """It takes money from the same account, and is neither an effect nor a withdrawal of the order."""
    await charge(owner, "order_service", 100)
    await charge(owner, "curl", 100)
    shot = await read_snapshot(owner, "alice", 100, 0)
    assert (shot.effects, shot.commits) == (1.0, 1)
    assert await read_withdrawals(owner, "alice") == [100]
    other = await read_snapshot(owner, "alice", 100, 0, "curl")
    assert (other.effects, other.commits) == (1.0, 1)


async def test_money_that_no_client_explains(owner: Any) -> None:
    """It counts as an effect: the balance is asked, and the ledger only says what was another client's."""
    await owner.execute("UPDATE billing.accounts SET balance_cents = 900")
    shot = await read_snapshot(owner, "alice", 100, 0)
    assert (shot.effects, shot.commits) == (1.0, 0)


async def test_notifications_of_another_client(owner: Any) -> None:
    """The customer was told by the order service once: what another client says is no message of the order."""
    for client in ("order_service", "curl"):
        await owner.execute(
            """
            INSERT INTO notifications.arrivals (notification_id, client, order_id, customer, text)
            VALUES (gen_random_uuid(), $1, gen_random_uuid(), 'alice', 'x')
            """,
            client,
        )
    assert await read_notifications(owner, "alice") == 1
