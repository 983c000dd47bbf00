"""What the schema refuses, whatever a service does: for each constraint a row that breaks it, and the row beside it that is right."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

Row = dict[str, str]
ID = "'00000000-0000-4000-8000-000000000001'"
OTHER = "'00000000-0000-4000-8000-000000000002'"

# A row of each table that is accepted, as SQL: column and value.
ROWS: dict[str, Row] = {
    "billing.clients": {"client": "'c'", "first_incomplete": "1"},
    "billing.accounts": {
        "account": "'alice'",
        "opening_balance_cents": "100",
        "balance_cents": "90",
    },
    "billing.processed_keys": {
        "client": "'c'",
        "sequence_key": "1",
        "fingerprint": "'\\x00'",
        "status": "201",
        "body": "'{}'",
    },
    "billing.ledger": {
        "charge_id": ID,
        "client": "'c'",
        "sequence_key": "1",
        "order_id": ID,
        "account": "'alice'",
        "amount_cents": "10",
        "balance_cents": "90",
        "created_at": "now()",
    },
    "orders.orders": {
        "order_id": ID,
        "client": "''",
        "customer": "'alice'",
        "shopper_key": "'k'",
        "fingerprint": "'\\x00'",
        "item": "'book'",
        "amount_cents": "10",
        "delivery": "'exactly_once'",
        "sequence_key": "1",
        "attempts": "1",
        "status": "'pending'",
        "answer": "NULL",
        "notification": "NULL",
        "settled_at": "NULL",
        "created_at": "now()",
        "lease_owner": ID,
        "lease_until": "now()",
    },
    "orders.attempts": {
        "order_id": ID,
        "attempt": "1",
        "sequence_key": "1",
        "retry": "false",
        "outcome": "'acknowledged'",
        "caller_saw": "'HTTP 201'",
        "seconds": "0.1",
    },
    "notifications.arrivals": {
        "notification_id": ID,
        "order_id": ID,
        "customer": "'alice'",
        "text": "'billed'",
        "client": "'order_service'",
        "arrived_at": "now()",
    },
}
# The migrations have written its one row.
COUNTER = "orders.sequence_counter"
# What must be there for a row of a table.
NEEDED = {
    "billing.ledger": ("billing.accounts",),
    "orders.attempts": ("orders.orders",),
}
SETTLED = {"answer": "'{}'", "settled_at": "now()"}


@pytest.fixture
async def owner(database: Any) -> AsyncIterator[Any]:
    """A connection that may do everything."""
    connection = await asyncpg.connect(database.owner)
    yield connection
    await connection.close()


async def insert(connection: Any, table: str, **changes: str) -> None:
    """The table's right row with other values in it, as SQL."""
    row = {**ROWS[table], **changes}
    await connection.execute(
        f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(row.values())})"
    )


async def prepare(connection: Any, table: str) -> None:
    for needed in NEEDED.get(table, ()):
        await insert(connection, needed)


@pytest.mark.parametrize("table", ROWS)
async def test_a_right_row(owner: Any, table: str) -> None:
    """The counterpart: it is accepted, so the refusals below are not those of something else."""
    await prepare(owner, table)
    await insert(owner, table)


@pytest.mark.parametrize(
    "table, constraint, changes",
    [
        ("billing.clients", "clients_first_incomplete_positive", {"first_incomplete": "0"}),
        ("billing.accounts", "accounts_no_overdraft", {"balance_cents": "-1"}),
        ("billing.accounts", "accounts_money_is_not_made", {"balance_cents": "101"}),
        ("billing.processed_keys", "processed_keys_positive", {"sequence_key": "0"}),
        ("billing.processed_keys", "processed_keys_answer_is_final", {"status": "503"}),
        ("billing.processed_keys", "processed_keys_answer_is_whole", {"body": "NULL"}),
        ("billing.processed_keys", "processed_keys_answer_is_whole", {"status": "NULL"}),
        ("billing.ledger", "ledger_amount_positive", {"amount_cents": "0"}),
        ("billing.ledger", "ledger_no_overdraft", {"balance_cents": "-1"}),
        ("billing.ledger", "ledger_of_an_account", {"account": "'bob'"}),
        ("orders.orders", "orders_amount_positive", {"amount_cents": "0"}),
        ("orders.orders", "orders_attempts_positive", {"attempts": "0"}),
        ("orders.orders", "orders_sequence_key_positive", {"sequence_key": "0"}),
        ("orders.orders", "orders_delivery_known", {"delivery": "'twice'"}),
        (
            "orders.orders",
            "orders_at_most_once_tries_once",
            {"delivery": "'at_most_once'", "attempts": "2"},
        ),
        ("orders.orders", "orders_status_known", {"status": "'paid'", **SETTLED}),
        ("orders.orders", "orders_settled_has_a_time", {"settled_at": "now()"}),
        (
            "orders.orders",
            "orders_settled_has_a_time",
            {"status": "'billed'", **SETTLED, "settled_at": "NULL"},
        ),
        (
            "orders.orders",
            "orders_settled_has_an_answer",
            {"status": "'billed'", "settled_at": "now()"},
        ),
        (
            "orders.orders",
            "orders_notified_after_settling",
            {"notification": "'attempted'"},
        ),
        (
            "orders.orders",
            "orders_notified_after_settling",
            {"status": "'failed'", **SETTLED, "notification": "'attempted'"},
        ),
        (
            "orders.orders",
            "orders_notification_known",
            {"status": "'billed'", **SETTLED, "notification": "'lost'"},
        ),
        (
            "orders.orders",
            "orders_unknown_for_a_reason",
            {"status": "'unknown'", "settled_at": "now()"},
        ),
        ("orders.attempts", "attempts_positive", {"attempt": "0"}),
        ("orders.attempts", "attempts_first_is_no_retry", {"retry": "true"}),
        ("orders.attempts", "attempts_outcome_known", {"outcome": "'maybe'"}),
        ("orders.attempts", "attempts_of_an_order", {"order_id": OTHER}),
    ],
)
async def test_a_wrong_row(owner: Any, table: str, constraint: str, changes: Row) -> None:
    """Postgres refuses it, by the constraint that is there for it."""
    await prepare(owner, table)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refused:
        await insert(owner, table, **changes)
    assert refused.value.constraint_name == constraint


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(
            {"status": "'unknown'", "settled_at": "now()", "delivery": "'at_most_once'"},
            id="unknown without an answer, at most once",
        ),
        pytest.param({"status": "'unknown'", **SETTLED}, id="unknown with the reason"),
        pytest.param(
            {"status": "'declined'", **SETTLED, "notification": "'unknown'"},
            id="declined, notified",
        ),
        pytest.param({"status": "'cancelled'", **SETTLED}, id="cancelled"),
    ],
)
async def test_ways_in_which_an_order_ends(owner: Any, changes: Row) -> None:
    """They are accepted."""
    await insert(owner, "orders.orders", **changes)


@pytest.mark.parametrize("status", [201, 402, 410])
async def test_final_answers(owner: Any, status: int) -> None:
    """Charged, declined and voided are stored."""
    await insert(owner, "billing.processed_keys", status=str(status))


@pytest.mark.parametrize(
    "table, constraint, changes",
    [
        ("billing.clients", "clients_pkey", {"first_incomplete": "2"}),
        ("billing.accounts", "accounts_pkey", {"balance_cents": "80"}),
        ("billing.processed_keys", "processed_keys_pkey", {"status": "402"}),
        ("billing.ledger", "ledger_pkey", {"sequence_key": "2"}),
        ("orders.orders", "orders_pkey", {"sequence_key": "2", "shopper_key": "'l'"}),
        ("orders.orders", "orders_sequence_key_once", {"order_id": OTHER, "shopper_key": "'l'"}),
        ("orders.orders", "orders_shopper_key_once", {"order_id": OTHER, "sequence_key": "2"}),
        ("orders.attempts", "attempts_pkey", {"outcome": "'unknown'"}),
    ],
)
async def test_a_second_row(owner: Any, table: str, constraint: str, changes: Row) -> None:
    """What is unique cannot be there twice."""
    await prepare(owner, table)
    await insert(owner, table)
    with pytest.raises(asyncpg.UniqueViolationError) as refused:
        await insert(owner, table, **changes)
    assert refused.value.constraint_name == constraint


@pytest.mark.parametrize("changes", [{"sequence_key": "2"}, {"client": "'d'"}])
async def test_another_key(owner: Any, changes: Row) -> None:
    """The next key of a client, and the same key of another one, are keys of their own."""
    await insert(owner, "billing.processed_keys")
    await insert(owner, "billing.processed_keys", **changes)


@pytest.mark.parametrize("changes", [{"client": "'d'"}, {"customer": "'bob'"}])
async def test_the_same_key_of_another_customer(owner: Any, changes: Row) -> None:
    """It is another order: customers and clients choose their keys without each other."""
    await insert(owner, "orders.orders")
    await insert(owner, "orders.orders", order_id=OTHER, sequence_key="2", **changes)


@pytest.mark.parametrize(
    "table, column",
    [
        (table, column)
        for table, row in ROWS.items()
        for column in row
        if (table, column)
        not in {
            # NULL while a charge is under way.
            ("billing.processed_keys", "status"),
            ("billing.processed_keys", "body"),
            # An order without the customer's key, one that is pending, and one without a notification.
            ("orders.orders", "shopper_key"),
            ("orders.orders", "answer"),
            ("orders.orders", "notification"),
            ("orders.orders", "settled_at"),
        }
    ],
)
async def test_a_column_that_is_always_there(owner: Any, table: str, column: str) -> None:
    """NULL is refused."""
    await prepare(owner, table)
    with pytest.raises(asyncpg.NotNullViolationError) as refused:
        await insert(owner, table, **{column: "NULL"})
    assert refused.value.column_name == column


@pytest.mark.parametrize(
    "statement, constraint",
    [
        (f"UPDATE {COUNTER} SET last_key = -1", "sequence_counter_not_negative"),
        (
            f"INSERT INTO {COUNTER} (only_row, last_key) VALUES (false, 0)",
            "sequence_counter_one_row",
        ),
        (f"INSERT INTO {COUNTER} (last_key) VALUES (0)", "sequence_counter_pkey"),
    ],
)
async def test_the_counter_of_sequence_keys(owner: Any, statement: str, constraint: str) -> None:
    """There is one, and it counts upwards from 0."""
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refused:
        await owner.execute(statement)
    assert refused.value.constraint_name == constraint


async def test_the_counter_is_never_without_a_number(owner: Any) -> None:
    """NULL is refused."""
    with pytest.raises(asyncpg.NotNullViolationError):
        await owner.execute(f"UPDATE {COUNTER} SET last_key = NULL")


async def test_two_arrivals_of_one_notification(owner: Any) -> None:
    """Both are kept, each under a number of its own: a second one would be seen."""
    await insert(owner, "notifications.arrivals")
    await insert(owner, "notifications.arrivals")
    numbers = await owner.fetch("SELECT arrival_id FROM notifications.arrivals")
    assert len({row["arrival_id"] for row in numbers}) == 2
    with pytest.raises(asyncpg.UniqueViolationError):
        await owner.execute(
            """
            INSERT INTO notifications.arrivals OVERRIDING SYSTEM VALUE
            SELECT * FROM notifications.arrivals LIMIT 1
            """
        )


@pytest.mark.parametrize(
    "table, column, value",
    [
        ("billing.clients", "first_incomplete", "1"),
        ("billing.ledger", "created_at", "now()"),
        ("notifications.arrivals", "arrived_at", "now()"),
        ("orders.orders", "attempts", "1"),
        ("orders.orders", "client", "''"),
        ("orders.orders", "created_at", "now()"),
        ("orders.orders", "status", "'pending'"),
    ],
)
async def test_what_a_row_gets_by_itself(owner: Any, table: str, column: str, value: str) -> None:
    """A statement that does not name the column, as those of an older release, writes this."""
    await prepare(owner, table)
    row = {name: text for name, text in ROWS[table].items() if name != column}
    # now() is the beginning of the transaction.
    async with owner.transaction():
        assert await owner.fetchval(
            f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(row.values())}) RETURNING {column} = {value}"
        )
