"""Each role reaches its own schema, and there no further than its work."""

import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from stack.postgres import PostgresCluster
from stack.schema import migrate
from tests.migrations.alembic_command import PASSWORDS, alembic

ROLES = ("order", "billing", "notification")
DENIED = asyncpg.InsufficientPrivilegeError


def as_role(url: str, role: str, database: str = "") -> str:
    """The URL of a database for one of the services' roles."""
    parts = urlsplit(url)
    where = parts.netloc.rpartition("@")[2]
    path = f"/{database}" if database else parts.path
    return urlunsplit(parts._replace(netloc=f"{role}_service:{PASSWORDS[role]}@{where}", path=path))


@pytest.fixture(scope="module")
async def migrated(cluster: PostgresCluster) -> AsyncIterator[str]:
    """A database that was migrated itself: what belongs to a database or to a role is not copied from a template."""
    name = f"roles_{uuid.uuid4().hex}"
    await cluster.create_database(name)
    await migrate(cluster.url(name), PASSWORDS)
    yield cluster.url(name)
    await cluster.drop_database(name)


@asynccontextmanager
async def undone(url: str) -> AsyncIterator[Any]:
    """A connection in a transaction that is rolled back, so that tests share a database."""
    connection = await asyncpg.connect(url)
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()
    await connection.close()


@pytest.fixture
async def owner(migrated: str) -> AsyncIterator[Any]:
    async with undone(migrated) as connection:
        yield connection


@pytest.fixture
async def sessions(migrated: str) -> AsyncIterator[dict[str, Any]]:
    """A connection of each role."""
    async with AsyncExitStack() as stack:
        yield {
            role: await stack.enter_async_context(undone(as_role(migrated, role))) for role in ROLES
        }


@pytest.mark.parametrize("role", ["order", "notification"])
@pytest.mark.parametrize(
    "call",
    [
        "pg_advisory_lock(1, 1)",
        "pg_advisory_xact_lock(1, 1)",
        "pg_try_advisory_xact_lock(1)",
        "pg_advisory_lock_shared(1)",
        "pg_try_advisory_lock(1, 1)",
    ],
)
async def test_only_billing_takes_advisory_locks(
    sessions: dict[str, Any], role: str, call: str
) -> None:
    """They belong to the database: any other role could hold the lock of a client and stop all its charges."""
    with pytest.raises(DENIED):
        await sessions[role].execute(f"SELECT {call}")


async def test_billing_takes_locks_that_end_with_their_transaction(
    sessions: dict[str, Any],
) -> None:
    """The counterpart; and no lock that would outlive its transaction in a pooled session."""
    for call in (
        "pg_advisory_xact_lock(1, 1)",
        "pg_advisory_xact_lock_shared(1, 1)",
        "pg_try_advisory_xact_lock_shared(1, 1)",
        "pg_try_advisory_xact_lock(1)",
        "pg_advisory_xact_lock(1)",
    ):
        await sessions["billing"].execute(f"SELECT {call}")
    with pytest.raises(DENIED):
        await sessions["billing"].execute("SELECT pg_advisory_lock(1, 1)")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TEMPORARY TABLE mine (x integer)",
        "CREATE TABLE public.mine (x integer)",
        "CREATE SCHEMA mine",
        "SELECT lo_create(0)",
        "SELECT lo_creat(-1)",
        "SELECT lo_from_bytea(0, 'mine')",
        "SELECT pg_logical_emit_message(false, 'mine', 'mine')",
    ],
)
async def test_nothing_of_its_own_is_created(
    sessions: dict[str, Any], role: str, statement: str
) -> None:
    """A compromised role cannot fill the disk outside its tables, nor shadow a function of another role."""
    with pytest.raises(DENIED):
        await sessions[role].execute(statement)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("database", ["postgres", "template1"])
async def test_another_database_of_the_cluster(migrated: str, role: str, database: str) -> None:
    """The connection is refused."""
    with pytest.raises(DENIED, match="CONNECT"):
        await asyncpg.connect(as_role(migrated, role, database))


async def test_a_role_that_opens_connections_until_it_is_stopped(migrated: str, owner: Any) -> None:
    """The limit ends it, and the two other roles still have all that three replicas need."""
    taken = []
    with pytest.raises(asyncpg.TooManyConnectionsError, match="notification_service"):
        while True:
            taken.append(await asyncpg.connect(as_role(migrated, "notification")))
    for connection in taken:
        connection.terminate()
    assert 3 * (5 + 1) <= len(taken) <= 20
    limits = {
        row["rolname"]: row["rolconnlimit"]
        for row in await owner.fetch(
            "SELECT rolname, rolconnlimit FROM pg_roles WHERE rolname ~ '^(order|billing|notification)_service$'"
        )
    }
    assert limits["order_service"] >= 3 * (10 + 1)
    assert limits["billing_service"] >= 3 * (10 + 1) + 1
    usable = await owner.fetchval(
        "SELECT current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer"
    )
    assert sum(limits.values()) < usable


async def test_limits_are_a_setting_of_the_migrations(empty: str) -> None:
    """A cluster with more replicas gives more when it is migrated."""
    code, output = await alembic(
        empty, "upgrade", "head", MIGRATIONS_NOTIFICATION_CONNECTIONS_MAX="7"
    )
    assert code == 0, output
    connection = await asyncpg.connect(empty)
    try:
        limit = await connection.fetchval(
            "SELECT rolconnlimit FROM pg_roles WHERE rolname = 'notification_service'"
        )
    finally:
        await connection.execute("ALTER ROLE notification_service CONNECTION LIMIT 20")
        await connection.close()
    assert limit == 7


async def test_more_connections_than_the_server_has(empty: str) -> None:
    """Sessions that wait for a standby stay: each service keeps its own connections, or the run says that it does not."""
    code, output = await alembic(
        empty, "upgrade", "head", MIGRATIONS_NOTIFICATION_CONNECTIONS_MAX="50"
    )
    connection = await asyncpg.connect(empty)
    await connection.execute("ALTER ROLE notification_service CONNECTION LIMIT 20")
    await connection.close()
    assert code == 0, output
    assert "one service can take those of another" in output


MONEY = (
    "INSERT INTO billing.clients (client, first_incomplete) VALUES ('c', 10)",
    "INSERT INTO billing.accounts (account, opening_balance_cents, balance_cents) VALUES ('alice', 100, 90)",
    """
    INSERT INTO billing.ledger (client, sequence_key, order_id, account, amount_cents, balance_cents)
    VALUES ('c', 1, gen_random_uuid(), 'alice', 10, 90)
    """,
    """
    INSERT INTO billing.processed_keys (client, sequence_key, fingerprint, status, body)
    VALUES ('c', 11, '\\x00', 201, '{}')
    """,
)


@pytest.fixture
async def money(sessions: dict[str, Any]) -> Any:
    """Billing's own session, after a charge."""
    for statement in MONEY:
        await sessions["billing"].execute(statement)
    return sessions["billing"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing.ledger SET amount_cents = 1",
        "UPDATE billing.ledger SET order_id = gen_random_uuid()",
        "DELETE FROM billing.ledger",
        "TRUNCATE billing.ledger",
        "UPDATE billing.accounts SET opening_balance_cents = 1000",
        "UPDATE billing.accounts SET account = 'bob'",
        "DELETE FROM billing.accounts",
        "TRUNCATE billing.accounts CASCADE",
        "UPDATE billing.clients SET first_incomplete = 9",
        "UPDATE billing.clients SET client = 'd'",
        "INSERT INTO billing.clients VALUES ('c', 1) ON CONFLICT (client) DO UPDATE SET first_incomplete = 1",
        "DELETE FROM billing.clients",
        "TRUNCATE billing.clients",
        "UPDATE billing.processed_keys SET sequence_key = 12",
        "UPDATE billing.processed_keys SET fingerprint = '\\x01'",
        "UPDATE billing.processed_keys SET body = '{\"other\": 1}'",
        "UPDATE billing.processed_keys SET status = 402",
        "TRUNCATE billing.processed_keys",
        "DROP TRIGGER clients_mark_only_rises ON billing.clients",
        "ALTER TABLE billing.clients DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
    ],
)
async def test_billing_cannot_rewrite_what_it_has_done(money: Any, statement: str) -> None:
    """The ledger only grows, marks only rise, an account stays as it was opened, an answer stays as it was given."""
    with pytest.raises(DENIED):
        await money.execute(statement)


async def test_billing_does_its_work(money: Any) -> None:
    """The counterpart: what a charge, a void and the collector write."""
    await money.execute("UPDATE billing.accounts SET balance_cents = 80")
    await money.execute("UPDATE billing.clients SET first_incomplete = 11")
    await money.execute(
        "INSERT INTO billing.processed_keys (client, sequence_key, fingerprint) VALUES ('c', 12, '')"
    )
    await money.execute(
        "UPDATE billing.processed_keys SET status = 201, body = '{}' WHERE sequence_key = 12"
    )
    assert await money.execute("DELETE FROM billing.processed_keys") == "DELETE 2"


async def test_the_owner_moves_a_mark_back(owner: Any) -> None:
    """A mark that a client declared by mistake is repaired by a person."""
    await owner.execute("INSERT INTO billing.clients (client, first_incomplete) VALUES ('c', 10)")
    assert await owner.execute("UPDATE billing.clients SET first_incomplete = 2") == "UPDATE 1"


async def test_the_owner_moves_the_counter_back(owner: Any) -> None:
    """After a key was handed out by mistake and never sent, likewise."""
    await owner.execute("UPDATE orders.sequence_counter SET last_key = 10")
    assert await owner.execute("UPDATE orders.sequence_counter SET last_key = 2") == "UPDATE 1"


@pytest.fixture
async def ordered(sessions: dict[str, Any]) -> Any:
    """order_service's own session, after an order was billed."""
    session = sessions["order"]
    await session.execute("UPDATE orders.sequence_counter SET last_key = 5")
    await session.execute(
        """
        INSERT INTO orders.orders
          (order_id, customer, item, amount_cents, delivery, sequence_key, fingerprint, lease_owner, lease_until)
        VALUES ($1, 'alice', 'book', 10, 'exactly_once', 5, '\\x00', $1, now())
        """,
        uuid.uuid4(),
    )
    await session.execute(
        "UPDATE orders.orders SET status = 'billed', answer = '{}', notification = 'attempted', settled_at = now()"
    )
    return session


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE orders.orders SET amount_cents = 1",
        "UPDATE orders.orders SET customer = 'bob'",
        "UPDATE orders.orders SET shopper_key = 'k'",
        "UPDATE orders.orders SET fingerprint = '\\x01'",
        "UPDATE orders.orders SET status = 'failed'",
        "UPDATE orders.orders SET status = 'pending', settled_at = NULL, notification = NULL",
        "UPDATE orders.orders SET answer = '{\"other\": 1}'",
        "UPDATE orders.orders SET sequence_key = 6",
        "DELETE FROM orders.orders",
        "TRUNCATE orders.orders CASCADE",
        "UPDATE orders.sequence_counter SET last_key = 4",
        "UPDATE orders.sequence_counter SET only_row = true",
        "INSERT INTO orders.sequence_counter (only_row, last_key) VALUES (true, 1)",
        "DELETE FROM orders.sequence_counter",
        "UPDATE orders.attempts SET outcome = 'refused'",
        "DELETE FROM orders.attempts",
    ],
)
async def test_order_service_cannot_rewrite_what_was_settled(ordered: Any, statement: str) -> None:
    """An order keeps what was ordered and how it ended; a sequence key is never handed out twice."""
    with pytest.raises(DENIED):
        await ordered.execute(statement)


async def test_order_service_does_its_work(ordered: Any) -> None:
    """The counterpart: the notification's fate, and the next key."""
    assert (
        await ordered.execute("UPDATE orders.orders SET notification = 'acknowledged'")
        == "UPDATE 1"
    )
    await ordered.execute("UPDATE orders.sequence_counter SET last_key = 6")
    # Of a pending order, each attempt.
    assert await ordered.execute("UPDATE orders.orders SET attempts = attempts") == "UPDATE 1"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE notifications.arrivals SET text = ''",
        "DELETE FROM notifications.arrivals",
        "TRUNCATE notifications.arrivals",
    ],
)
async def test_arrivals_stay(sessions: dict[str, Any], statement: str) -> None:
    """A second arrival cannot be hidden."""
    with pytest.raises(DENIED):
        await sessions["notification"].execute(statement)


async def test_every_trigger_is_commented(owner: Any) -> None:
    """As constraints are: the promise that it keeps."""
    rows = await owner.fetch(
        """
        SELECT tgname, obj_description(t.oid, 'pg_trigger') AS comment
        FROM pg_trigger t
        JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('orders', 'billing', 'notifications') AND NOT tgisinternal
        """
    )
    assert rows
    assert [row["tgname"] for row in rows if not row["comment"]] == []
