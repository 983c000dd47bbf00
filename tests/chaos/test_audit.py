"""The audit finds what is wrong with the money, each kind of it, and nothing on a clean stack."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from chaos.promises import audit as audit_module
from chaos.promises.audit import audit
from chaos.promises.verdict import Verdict


@pytest.fixture
async def database_owner(database: Any) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """One account, one billed order with its withdrawal and its notification: all of them agree."""
    connection = await asyncpg.connect(database.owner)
    await connection.execute("INSERT INTO billing.accounts VALUES ('alice', 1000, 1000)")
    await connection.execute("UPDATE orders.sequence_counter SET last_key = 1")
    charge_id = await withdrawal(connection, 1)
    await order(connection, 1, charge_id=charge_id)
    await notification(connection, 1)
    yield connection
    await connection.close()


async def order(
    connection: Any,
    number: int,
    *,
    status: str = "billed",
    delivery: str = "exactly_once",
    charge_id: UUID | None = None,
) -> None:
    await connection.execute(
        """
        INSERT INTO orders.orders (order_id, customer, item, amount_cents, delivery, sequence_key, status, answer,
                                   fingerprint, lease_owner, lease_until, created_at, settled_at)
        VALUES ($1, 'alice', 'book', 100, $3, $2::int, $4::text, $5::jsonb, '', gen_random_uuid(), now(),
                now() - interval '1 hour', CASE WHEN $4::text <> 'pending' THEN now() END)
        """,
        UUID(int=number),
        number,
        delivery,
        status,
        json.dumps({"charge_id": str(charge_id)}),
    )


async def withdrawal(
    connection: Any,
    number: int,
    *,
    amount_cents: int = 100,
    client: str = "order_service",
    key: int | None = None,
) -> UUID:
    """Moves the money as billing does, under the order's own key or another one."""
    charge_id: UUID = await connection.fetchval(
        """
        WITH moved AS (
          UPDATE billing.accounts SET balance_cents = balance_cents - $3 WHERE account = 'alice' RETURNING balance_cents
        )
        INSERT INTO billing.ledger (client, sequence_key, order_id, account, amount_cents, balance_cents)
        SELECT $4, $2, $1, 'alice', $3, balance_cents FROM moved
        RETURNING charge_id
        """,
        UUID(int=number),
        number if key is None else key,
        amount_cents,
        client,
    )
    return charge_id


async def notification(connection: Any, number: int, *, client: str = "order_service") -> None:
    await connection.execute(
        """
        INSERT INTO notifications.arrivals (notification_id, client, order_id, customer, text)
        VALUES (gen_random_uuid(), $2, $1, 'alice', 'x')
        """,
        UUID(int=number),
        client,
    )


async def kinds(database: Any) -> set[str]:
    return {finding.kind for finding in (await audit(database.owner)).findings}


async def test_a_consistent_database(database: Any, database_owner: Any) -> None:
    """Nothing is found where everything agrees."""
    found = await audit(database.owner)
    assert found.findings == []
    assert found.verdict is Verdict.PASS
    assert (found.orders, found.withdrawals, found.pending) == (1, 1, 0)


async def test_one_snapshot(
    database: Any, database_owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is committed between two questions is seen by none of them."""
    ask, asked = audit_module._found, 0

    async def interrupted(*question: Any) -> Any:
        nonlocal asked
        asked += 1
        found = await ask(*question)
        if asked == 1:
            await database_owner.execute("UPDATE orders.sequence_counter SET last_key = 2")
            await order(database_owner, 2, charge_id=await withdrawal(database_owner, 2))
            # A withdrawal of an order that no one has: what is found when it is looked for.
            await withdrawal(database_owner, 3)
        return found

    monkeypatch.setattr(audit_module, "_found", interrupted)
    during = await audit(database.owner)
    assert (during.orders, during.withdrawals, during.findings) == (1, 1, [])
    afterwards = await audit(database.owner)
    assert (afterwards.orders, afterwards.withdrawals) == (2, 3)
    assert {finding.kind for finding in afterwards.findings} >= {"unexplained"}


async def test_a_double_withdrawal(database: Any, database_owner: Any) -> None:
    """The same order twice in the ledger, under one key or under two."""
    await withdrawal(database_owner, 1)
    assert await kinds(database) == {"double", "key twice"}
    await database_owner.execute(
        "UPDATE billing.ledger SET sequence_key = 7 WHERE balance_cents = 800"
    )
    assert await kinds(database) == {"double", "wrong key"}


async def test_the_harm_of_at_least_once(database: Any, database_owner: Any) -> None:
    """A double withdrawal of that delivery is what it is there for: counted, and no finding."""
    await database_owner.execute("UPDATE orders.sequence_counter SET last_key = 2")
    await withdrawal(database_owner, 2, key=3)
    await order(
        database_owner, 2, delivery="at_least_once", charge_id=await withdrawal(database_owner, 2)
    )
    # Named by another client, it is no harm of this one's.
    await withdrawal(database_owner, 2, client="curl")
    found = await audit(database.owner)
    assert (found.findings, found.harm) == ([], 1)


async def test_a_lost_withdrawal(database: Any, database_owner: Any) -> None:
    """The order says billed, the ledger says nothing."""
    await database_owner.execute("DELETE FROM billing.ledger")
    await database_owner.execute("UPDATE billing.accounts SET balance_cents = 1000")
    assert await kinds(database) == {"lost"}


async def test_a_stuck_order(database: Any, database_owner: Any) -> None:
    """Pending for an hour."""
    await database_owner.execute("UPDATE orders.sequence_counter SET last_key = 2")
    await order(database_owner, 2, status="pending")
    assert await kinds(database) == {"stuck"}


@pytest.mark.parametrize("status", ["declined", "failed", "cancelled"])
async def test_money_for_an_order_that_was_not_billed(
    database: Any, database_owner: Any, status: str
) -> None:
    """The order ended without a charge, and yet there is one."""
    await database_owner.execute("UPDATE orders.orders SET status = $1", status)
    assert await kinds(database) == {"unexplained"}


async def test_money_for_no_order(database: Any, database_owner: Any) -> None:
    """The ledger has an entry that no order knows."""
    await withdrawal(database_owner, 9)
    assert await kinds(database) == {"unexplained"}


async def test_a_wrong_amount(database: Any, database_owner: Any) -> None:
    """Another amount than was ordered."""
    await database_owner.execute("UPDATE billing.ledger SET amount_cents = 50, balance_cents = 950")
    await database_owner.execute("UPDATE billing.accounts SET balance_cents = 950")
    assert await kinds(database) == {"wrong amount"}


async def test_money_that_vanished(database: Any, database_owner: Any) -> None:
    """The balance is lower than the ledger explains."""
    await database_owner.execute("UPDATE billing.accounts SET balance_cents = 899")
    assert await kinds(database) == {"balance", "chain"}


async def test_a_gap_in_the_keys(database: Any, database_owner: Any) -> None:
    """A key was assigned, and no order has it."""
    await database_owner.execute("UPDATE orders.sequence_counter SET last_key = 2")
    assert await kinds(database) == {"key gap"}


async def test_two_notifications(database: Any, database_owner: Any) -> None:
    """At most once is broken."""
    await notification(database_owner, 1)
    assert await kinds(database) == {"notified twice"}


async def test_a_withdrawal_of_another_client_covers_no_order(
    database: Any, database_owner: Any
) -> None:
    """The order's own withdrawal is lost; a charge by another client under the order's id does not hide that."""
    await database_owner.execute("UPDATE billing.ledger SET client = 'curl'")
    assert await kinds(database) == {"lost"}


async def test_another_client_names_an_order(database: Any, database_owner: Any) -> None:
    """Ids of orders are public: whatever another client charges for one, under whichever key, is no withdrawal of the order."""
    await withdrawal(database_owner, 1, amount_cents=1, client="curl", key=500)
    await withdrawal(database_owner, 1, amount_cents=100, client="curl")
    found = await audit(database.owner)
    assert found.findings == []
    assert (found.withdrawals, found.harm) == (1, 0)


async def test_a_notification_of_another_client(database: Any, database_owner: Any) -> None:
    """It is no second one of the order service."""
    await notification(database_owner, 1, client="curl")
    assert await kinds(database) == set()


async def test_the_key_of_another_order(database: Any, database_owner: Any) -> None:
    """The order was withdrawn once and in full, under a key that is not its own."""
    await database_owner.execute("UPDATE billing.ledger SET sequence_key = 7")
    assert await kinds(database) == {"wrong key"}


@pytest.mark.parametrize("answer", ['{"charge_id": "another"}', '{"created": true}', "[]"])
async def test_the_answer_of_another_charge(
    database: Any, database_owner: Any, answer: str
) -> None:
    """Billed with an answer that does not name the order's own withdrawal."""
    await database_owner.execute("UPDATE orders.orders SET answer = $1::jsonb", answer)
    assert await kinds(database) == {"wrong answer"}


async def test_a_key_that_was_executed_twice_for_another_client(
    database: Any, database_owner: Any
) -> None:
    """There is no order to compare it with, and it is found all the same."""
    await withdrawal(database_owner, 50, client="curl")
    await withdrawal(database_owner, 51, client="curl", key=50)
    assert await kinds(database) == {"key twice"}


async def test_two_replicas_left_the_same_balance(database: Any, database_owner: Any) -> None:
    """The sums agree, but one charge did not see the other: its caller was told a balance that never was."""
    await withdrawal(database_owner, 50, client="curl")
    await withdrawal(database_owner, 51, client="curl")
    assert await kinds(database) == set()
    await database_owner.execute(
        "UPDATE billing.ledger SET balance_cents = 800 WHERE balance_cents = 700"
    )
    (finding,) = (await audit(database.owner)).findings
    assert (finding.kind, finding.subject) == ("chain", "alice")
    assert "takes 100 cents from 800 and leaves 800" in finding.detail


@pytest.mark.parametrize(
    ("first", "second"), [(950, 900), (900, 750), (1000, 800)], ids=["between", "below", "above"]
)
async def test_a_balance_that_follows_from_none(
    database: Any, database_owner: Any, first: int, second: int
) -> None:
    """Two withdrawals of 100 from 1000, and one of the balances is of no order in which they can have come."""
    await withdrawal(database_owner, 50, client="curl")
    await database_owner.execute(
        "UPDATE billing.ledger SET balance_cents = CASE client WHEN 'curl' THEN $2::int ELSE $1::int END",
        first,
        second,
    )
    assert await kinds(database) == {"chain"}


async def test_charges_that_commit_out_of_order(database: Any, database_owner: Any) -> None:
    """Neither ids nor times order a chain: a charge that began earlier may have found the lower balance."""
    await withdrawal(database_owner, 50, client="curl", amount_cents=7)
    await database_owner.execute(
        "UPDATE billing.ledger SET charge_id = uuidv7(interval '-1 day'), created_at = '2020-01-01' WHERE client = 'curl'"
    )
    assert await kinds(database) == set()
