"""The audit finds what is wrong with the money, each kind of it, and nothing on a clean stack."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from chaos.audit import audit
from chaos.verdict import Verdict


@pytest.fixture
async def books(database: Any) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """One account, one billed order with its withdrawal and its notification: clean books."""
    connection = await asyncpg.connect(database.owner)
    await connection.execute("INSERT INTO billing.accounts VALUES ('alice', 1000, 900)")
    await connection.execute("UPDATE orders.sequence_counter SET last_key = 1")
    await order(connection, 1)
    await withdrawal(connection, 1)
    await notification(connection, 1)
    yield connection
    await connection.close()


async def order(
    connection: Any, number: int, *, status: str = "billed", delivery: str = "exactly_once"
) -> None:
    await connection.execute(
        """
        INSERT INTO orders.orders (order_id, customer, item, amount_cents, delivery, sequence_key, status, answer,
                                   fingerprint, lease_owner, lease_until, created_at, settled_at)
        VALUES ($1, 'alice', 'book', 100, $3, $2::int, $4::text, '{}', '', gen_random_uuid(), now(),
                now() - interval '1 hour', CASE WHEN $4::text <> 'pending' THEN now() END)
        """,
        UUID(int=number),
        number,
        delivery,
        status,
    )


async def withdrawal(connection: Any, number: int, *, amount_cents: int = 100) -> None:
    await connection.execute(
        """
        INSERT INTO billing.ledger (client, sequence_key, order_id, account, amount_cents, balance_cents)
        VALUES ('order_service', $2, $1, 'alice', $3, 0)
        """,
        UUID(int=number),
        number,
        amount_cents,
    )


async def notification(connection: Any, number: int) -> None:
    await connection.execute(
        """
        INSERT INTO notifications.arrivals (notification_id, client, order_id, customer, text)
        VALUES (gen_random_uuid(), 'order_service', $1, 'alice', 'x')
        """,
        UUID(int=number),
    )


async def kinds(database: Any) -> set[str]:
    return {finding.kind for finding in (await audit(database.owner)).findings}


async def test_clean_books(database: Any, books: Any) -> None:
    """Nothing is found where everything agrees."""
    found = await audit(database.owner)
    assert found.findings == []
    assert found.verdict is Verdict.PASS
    assert (found.orders, found.withdrawals, found.pending) == (1, 1, 0)


async def test_a_double_withdrawal(database: Any, books: Any) -> None:
    """The same order twice in the ledger."""
    await withdrawal(books, 1)
    await books.execute("UPDATE billing.accounts SET balance_cents = 800")
    assert await kinds(database) == {"double"}


async def test_the_harm_of_at_least_once(database: Any, books: Any) -> None:
    """A double withdrawal of that delivery is what it is there for: counted, and no finding."""
    await books.execute("UPDATE orders.sequence_counter SET last_key = 2")
    await order(books, 2, delivery="at_least_once")
    await withdrawal(books, 2)
    await withdrawal(books, 2)
    await books.execute("UPDATE billing.accounts SET balance_cents = 700")
    found = await audit(database.owner)
    assert (found.findings, found.harm) == ([], 1)


async def test_a_lost_withdrawal(database: Any, books: Any) -> None:
    """The order says billed, the ledger says nothing."""
    await books.execute("DELETE FROM billing.ledger")
    await books.execute("UPDATE billing.accounts SET balance_cents = 1000")
    assert await kinds(database) == {"lost"}


async def test_a_stuck_order(database: Any, books: Any) -> None:
    """Pending for an hour."""
    await books.execute("UPDATE orders.sequence_counter SET last_key = 2")
    await order(books, 2, status="pending")
    assert await kinds(database) == {"stuck"}


@pytest.mark.parametrize("status", ["declined", "failed", "cancelled"])
async def test_money_for_an_order_that_was_not_billed(
    database: Any, books: Any, status: str
) -> None:
    """The order ended without a charge, and yet there is one."""
    await books.execute("UPDATE orders.orders SET status = $1", status)
    assert await kinds(database) == {"unexplained"}


async def test_money_for_no_order(database: Any, books: Any) -> None:
    """The ledger has an entry that no order knows."""
    await withdrawal(books, 9)
    await books.execute("UPDATE billing.accounts SET balance_cents = 800")
    assert await kinds(database) == {"unexplained"}


async def test_a_wrong_amount(database: Any, books: Any) -> None:
    """Another amount than was ordered."""
    await books.execute("UPDATE billing.ledger SET amount_cents = 50")
    await books.execute("UPDATE billing.accounts SET balance_cents = 950")
    assert await kinds(database) == {"wrong amount"}


async def test_money_that_vanished(database: Any, books: Any) -> None:
    """The balance is lower than the ledger explains."""
    await books.execute("UPDATE billing.accounts SET balance_cents = 899")
    assert await kinds(database) == {"balance"}


async def test_a_gap_in_the_keys(database: Any, books: Any) -> None:
    """A key was handed out and nobody has it."""
    await books.execute("UPDATE orders.sequence_counter SET last_key = 2")
    assert await kinds(database) == {"key gap"}


async def test_two_notifications(database: Any, books: Any) -> None:
    """At most once is broken."""
    await notification(books, 1)
    assert await kinds(database) == {"notified twice"}


async def test_a_withdrawal_of_another_client_covers_no_order(database: Any, books: Any) -> None:
    """The order's own withdrawal is lost; that somebody else charged under the order's id hides nothing."""
    await books.execute("UPDATE billing.ledger SET client = 'curl'")
    assert await kinds(database) == {"lost"}
