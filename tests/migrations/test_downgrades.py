"""Migrations and downgrades on databases with data, by owners that are not superusers."""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from stack import ports
from stack.postgres import PostgresCluster
from stack.schema import PROJECT
from tests.migrations.alembic_command import alembic

# A schema of this revision is what databases have that were made before roles were narrowed.
BEFORE_ROLES_WERE_NARROWED = "0006"
STRANGE_PASSWORD = "a/b@c?d#e:f%2Fg[h"
DATA = """
    INSERT INTO billing.clients (client, first_incomplete) VALUES ('c', 10);
    INSERT INTO billing.accounts (account, opening_balance_cents, balance_cents) VALUES ('alice', 100, 90);
    INSERT INTO billing.processed_keys (client, sequence_key, fingerprint, status, body)
    VALUES ('c', 11, '\\x00', 201, '{}'), ('c', 12, '', 410, '');
    INSERT INTO billing.ledger (client, sequence_key, order_id, account, amount_cents, balance_cents)
    VALUES ('c', 11, gen_random_uuid(), 'alice', 10, 90);
    UPDATE orders.sequence_counter SET last_key = 2;
    INSERT INTO orders.orders (order_id, customer, item, amount_cents, delivery, sequence_key, fingerprint, lease_owner,
                               lease_until, status, answer, settled_at)
    VALUES (gen_random_uuid(), 'alice', 'book', 10, 'exactly_once', 1, '\\x00', gen_random_uuid(), now(),
            'cancelled', '{}', now()),
           (gen_random_uuid(), 'alice', 'book', 10, 'exactly_once', 2, '\\x00', gen_random_uuid(), now(),
            'pending', NULL, NULL);
"""
TABLES = (
    "billing.clients",
    "billing.accounts",
    "billing.processed_keys",
    "billing.ledger",
    "orders.sequence_counter",
    "orders.orders",
)


@pytest.fixture
async def managed_cluster(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[PostgresCluster]:
    """A cluster without the roles of the services, so that the owner of a database makes them."""
    directory: Path = tmp_path_factory.mktemp("managed")
    cluster = PostgresCluster(
        directory / "data", directory / "postgres.log", lambda: ports.choose("", None)
    )
    await cluster.start()
    yield cluster
    await cluster.stop()


async def managed_database(cluster: PostgresCluster) -> str:
    """A database whose owner may make roles and is no superuser, as at most providers."""
    name = f"managed_{uuid.uuid4().hex}"
    superuser = await asyncpg.connect(cluster.url("postgres"))
    await superuser.execute(f"CREATE ROLE {name} LOGIN CREATEROLE CREATEDB PASSWORD 'm'")
    await superuser.execute(f"CREATE DATABASE {name} OWNER {name}")
    await superuser.close()
    return cluster.url(name, name, "m")


async def rows(url: str) -> dict[str, list[Any]]:
    connection = await asyncpg.connect(url)
    try:
        return {
            table: await connection.fetch(f"SELECT * FROM {table} ORDER BY 1, 2")
            for table in TABLES
        }
    finally:
        await connection.close()


def _columns_of(before: dict[str, list[Any]], found: tuple[str, list[Any]]) -> list[dict[str, Any]]:
    """The rows of a table, with the columns that it had before."""
    table, now = found
    names = list(before[table][0].keys()) if before[table] else []
    return [{name: row[name] for name in names} for row in now]


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def test_an_owner_who_is_no_superuser_goes_up_and_down(
    managed_cluster: PostgresCluster,
) -> None:
    """All of it works; what this owner cannot take away from the roles is said; nothing is left at the end."""
    url = await managed_database(managed_cluster)
    code, output = await alembic(url, "upgrade", "head")
    assert code == 0, output
    assert "WARNING: notification_service may take advisory locks" in output
    assert "WARNING: order_service may connect to the database postgres" in output
    assert "temporary tables" not in output
    assert "no limit of connections" not in output
    code, output = await alembic(url, "downgrade", "base")
    assert (code, "Traceback" in output) == (0, False), output
    superuser = await asyncpg.connect(managed_cluster.url("postgres"))
    assert await superuser.fetch("SELECT FROM pg_roles WHERE rolname LIKE '%\\_service'") == []
    await superuser.close()


async def test_what_a_superuser_has_to_execute_once(managed_cluster: PostgresCluster) -> None:
    """The statements of docs/running.md close what was open: the next run has nothing to say, and still works."""
    url = await managed_database(managed_cluster)
    code, output = await alembic(url, "upgrade", "head")
    assert code == 0, output
    page = (PROJECT / "docs" / "running.md").read_text(encoding="utf-8")
    (statements,) = re.findall(r"```sql\n(DO \$\$ DECLARE each.*?)```", page, re.DOTALL)
    name = url.rpartition("/")[2]
    await execute(managed_cluster.url(name), statements)
    try:
        code, output = await alembic(url, "upgrade", "head")
        assert (code, "WARNING" in output) == (0, False), output
        code, output = await alembic(url, "downgrade", "base")
        assert (code, "Traceback" in output) == (0, False), output
    finally:
        await execute(
            managed_cluster.url("postgres"),
            "GRANT CONNECT, TEMPORARY ON DATABASE postgres, template1 TO PUBLIC",
        )


async def test_roles_that_another_database_needs(managed_cluster: PostgresCluster) -> None:
    """They stay, and the owner is no member of them afterwards."""
    url = await managed_database(managed_cluster)
    parts = url.rpartition("/")
    other = f"{parts[2]}_other"
    await execute(url, f"CREATE DATABASE {other}")
    for database in (url, f"{parts[0]}/{other}"):
        code, output = await alembic(database, "upgrade", "head")
        assert code == 0, output
    code, output = await alembic(url, "downgrade", "base")
    assert (code, "Traceback" in output) == (0, False), output
    connection = await asyncpg.connect(url)
    usable = await connection.fetchval("SELECT pg_has_role('billing_service', 'USAGE')")
    await connection.close()
    assert usable is False
    code, output = await alembic(f"{parts[0]}/{other}", "downgrade", "base")
    assert (code, "Traceback" in output) == (0, False), output


async def test_roles_that_belong_to_another_owner(cluster: PostgresCluster, template: str) -> None:
    """Going back is refused with one sentence, and nothing of it is done."""
    assert template, "the roles of the services were made by the cluster's superuser"
    url = await managed_database(cluster)
    code, output = await alembic(url, "upgrade", "head")
    assert code == 0, output
    code, output = await alembic(url, "downgrade", "base")
    assert code == 2, output
    assert "Traceback" not in output
    assert "permission denied to drop objects. Nothing was changed." in output
    assert (await rows(url))["orders.sequence_counter"]


async def test_data_survive_the_way_up_and_back(empty: str) -> None:
    """Roles are narrowed on a database in use: every row is as before, above and below."""
    await alembic(empty, "upgrade", BEFORE_ROLES_WERE_NARROWED)
    await execute(empty, DATA)
    before = await rows(empty)
    for direction, revision in (("upgrade", "head"), ("downgrade", BEFORE_ROLES_WERE_NARROWED)):
        code, output = await alembic(empty, direction, revision)
        assert code == 0, output
        # A later column exists only above; its values for older rows are not needed below.
        assert [_columns_of(before, found) for found in (await rows(empty)).items()] == [
            [dict(row) for row in rows] for rows in before.values()
        ]
    # What was taken away is given back: the services of before need it.
    connection = await asyncpg.connect(empty)
    for privilege, held in {
        "has_function_privilege('order_service', 'pg_advisory_lock(bigint)', 'EXECUTE')": True,
        "has_function_privilege('billing_service', 'pg_try_advisory_xact_lock(bigint)', 'EXECUTE')": True,
        "has_table_privilege('billing_service', 'billing.processed_keys', 'UPDATE')": True,
        "has_table_privilege('order_service', 'orders.orders', 'UPDATE')": True,
        "has_table_privilege('billing_service', 'billing.ledger', 'UPDATE')": False,
    }.items():
        assert await connection.fetchval(f"SELECT {privilege}") is held, privilege
    await connection.close()


@pytest.mark.parametrize("revision", ["0003", "base"])
async def test_voided_keys_keep_a_database_from_going_back(empty: str, revision: str) -> None:
    """An older billing does not know a tombstone and would execute its key: one sentence, and every tombstone stays."""
    await alembic(empty, "upgrade", "head")
    await execute(empty, DATA)
    before = await rows(empty)
    code, output = await alembic(empty, "downgrade", revision)
    assert code == 2
    assert output.strip().splitlines()[-1] == (
        "migrations: there are voided keys; let their clients settle them before the downgrade. Nothing was changed."
    )
    assert "Traceback" not in output
    assert await rows(empty) == before
    await execute(empty, "DELETE FROM billing.processed_keys WHERE status = 410")
    code, output = await alembic(empty, "downgrade", revision)
    assert code == 0, output


async def test_endings_that_an_older_release_does_not_know(empty: str) -> None:
    """An order that was cancelled, or given up because billing had forgotten its key, has failed; all others end as before."""
    await alembic(empty, "upgrade", "head")
    connection = await asyncpg.connect(empty)
    try:
        for key, (delivery, status, answer) in enumerate(
            (
                ("exactly_once", "cancelled", "{}"),
                ("exactly_once", "unknown", "{}"),
                ("at_least_once", "unknown", "{}"),
                ("at_most_once", "unknown", None),
                ("exactly_once", "billed", "{}"),
            ),
            start=1,
        ):
            await connection.execute(
                """
                INSERT INTO orders.orders (order_id, customer, item, amount_cents, delivery, sequence_key, fingerprint,
                                           lease_owner, lease_until, status, answer, settled_at)
                VALUES (gen_random_uuid(), 'alice', 'book', 10, $1, $2, '', gen_random_uuid(), now(), $3, $4, now())
                """,
                delivery,
                key,
                status,
                answer,
            )
        code, output = await alembic(empty, "downgrade", "0003")
        assert code == 0, output
        found = await connection.fetch("SELECT status FROM orders.orders ORDER BY sequence_key")
        assert [row["status"] for row in found] == ["failed"] * 3 + ["unknown", "billed"]
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda url: url.replace("127.0.0.1:", "127.0.0.1:1"), "this is not a host and port"),
        (lambda url: url.rpartition("@")[0] + "@127.0.0.1:1/x", "the database cannot be reached"),
        (lambda url: url.rpartition("/")[0] + "/nosuch", 'database "nosuch" does not exist'),
        (lambda url: url.replace("owner:", "owner:x", 1), "password authentication failed"),
        (
            lambda url: f"postgresql://owner:a/b@{url.rpartition('@')[2]}",
            "put it into the variable that ends in DATABASE_PASSWORD",
        ),
        (lambda _: "mysql://owner@127.0.0.1/x", "must be postgresql://user@host:port/database"),
    ],
)
async def test_a_database_that_cannot_be_used(empty: str, change: Any, sentence: str) -> None:
    """One sentence that names the cause, exit code 2, and no traceback."""
    code, output = await alembic(change(empty), "upgrade", "head")
    assert code == 2, output
    assert sentence in output
    assert "Traceback" not in output


async def test_another_migration_that_does_not_end(empty: str) -> None:
    """It is waited for, and not for ever: one sentence, and nothing was changed."""
    source = (PROJECT / "migrations" / "env.py").read_text(encoding="utf-8")
    (lock,) = re.findall(r"^MIGRATION_LOCK = (\w+)$", source, re.MULTILINE)
    stuck = await asyncpg.connect(empty)
    try:
        await stuck.execute("SELECT pg_advisory_lock($1)", int(lock, 16))
        async with asyncio.timeout(60):
            code, output = await alembic(empty, "upgrade", "head")
        assert code == 2, output
        assert "lock timeout. Nothing was changed." in output
        assert "Traceback" not in output
    finally:
        await stuck.close()


async def test_a_password_that_no_url_can_hold(cluster: PostgresCluster) -> None:
    """It is given beside the URL."""
    url = await managed_database(cluster)
    name = url.rpartition("/")[2]
    await execute(url, f"ALTER ROLE {name} PASSWORD '{STRANGE_PASSWORD}'")
    code, output = await alembic(
        url.replace(":m@", "@"), "current", MIGRATIONS_DATABASE_PASSWORD=STRANGE_PASSWORD
    )
    assert code == 0, output
