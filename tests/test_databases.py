"""A database of tests: the next test finds it as the migrations made it, or finds another one."""

import os
import subprocess
from pathlib import Path

import asyncpg
import pytest

from stack.schema import PROJECT
from tests.commands import PYTEST
from tests.databases import Databases


async def left_behind(databases: Databases, statement: str) -> tuple[bool, str]:
    """One test leaves something; whether the next one has the same database, and its URL."""
    name = await databases.take()
    owner = await asyncpg.connect(databases.urls(name).owner)
    await owner.execute(statement.replace("THE_DATABASE", name))
    await owner.close()
    await databases.give_back(name)
    following = await databases.take()
    await databases.give_back(following)
    return following == name, databases.urls(following).owner


async def rows_of(url: str) -> dict[str, str | None]:
    """What each table holds."""
    owner = await asyncpg.connect(url)
    tables = await owner.fetch(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('orders', 'billing', 'notifications')"
    )
    rows = {
        row[0]: await owner.fetchval(f"SELECT json_agg(t)::text FROM {row[0]} t") for row in tables
    }
    await owner.close()
    return rows


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO billing.accounts VALUES ('alice', 1, 1)",
        "INSERT INTO billing.clients (client) VALUES ('order_service')",
        "UPDATE orders.sequence_counter SET last_key = 7",
        "DELETE FROM orders.sequence_counter",
        "VACUUM ANALYZE",
    ],
)
async def test_rows_are_gone(databases: Databases, template: str, statement: str) -> None:
    """The same database is used again, and every table holds what the migrations have written."""
    same, url = await left_behind(databases, statement)
    assert same
    rows = await rows_of(url)
    assert len(rows) >= 8
    assert rows == await rows_of(url.rpartition("/")[0] + f"/{template}")


async def test_a_number_is_counted_from_1_again(databases: Databases) -> None:
    """Sequences begin as in a new database."""
    numbered = "SELECT nextval('notifications.arrivals_arrival_id_seq')"
    _, url = await left_behind(databases, numbered)
    owner = await asyncpg.connect(url)
    assert await owner.fetchval(numbered) == 1
    await owner.close()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE billing.more (id int)",
        "CREATE TABLE more (id int)",
        "CREATE FUNCTION billing.pause() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA more",
        "CREATE TYPE more AS ENUM ('a')",
        "DROP TRIGGER processed_keys_answer_stays ON billing.processed_keys",
        "ALTER TABLE billing.processed_keys DISABLE TRIGGER ALL",
        "ALTER TABLE billing.accounts ADD CONSTRAINT rich CHECK (balance_cents > 5)",
        "ALTER TABLE orders.orders ALTER item SET DEFAULT 'book'",
        "ALTER TABLE orders.orders ADD more int",
        "ALTER TABLE billing.processed_keys SET UNLOGGED",
        "CREATE INDEX ON orders.orders (amount_cents)",
        "REVOKE SELECT ON billing.accounts FROM billing_service",
        "REVOKE USAGE ON SCHEMA billing FROM billing_service",
        "DROP SCHEMA orders CASCADE",
        "ALTER FUNCTION billing.charge_batch COST 7",
        "ALTER DATABASE THE_DATABASE SET default_transaction_read_only = on",
        "ALTER DATABASE THE_DATABASE CONNECTION LIMIT 3",
        "ALTER ROLE billing_service IN DATABASE THE_DATABASE SET lock_timeout = 1",
        "REVOKE CONNECT ON DATABASE THE_DATABASE FROM PUBLIC",
    ],
)
async def test_a_changed_schema_is_not_used_again(databases: Databases, statement: str) -> None:
    """The next test has another database."""
    same, _ = await left_behind(databases, statement)
    assert not same


async def test_a_session_that_was_left_behind(databases: Databases) -> None:
    """What has it may go on: the next test has another database, and the session ends with the old one."""
    name = await databases.take()
    left = await asyncpg.connect(databases.urls(name).owner)
    transaction = left.transaction()
    await transaction.start()
    await left.execute("LOCK TABLE billing.accounts")
    await databases.give_back(name)
    assert await databases.take() != name
    await databases.close()
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await left.execute("SELECT 1")
    left.terminate()


async def test_a_test_that_failed(databases: Databases) -> None:
    """What it has started may write to the database later: the next test has another one."""
    name = await databases.take()
    await databases.give_back(name, spoilt=True)
    assert await databases.take() != name


FAILING = """
taken = []

async def test_that_fails(database):
    taken.append(database.owner)
    assert False

async def test_that_passes(database):
    assert database.owner not in taken
    taken.append(database.owner)

async def test_after_it(database):
    assert database.owner == taken[-1]
"""


def test_the_fixture_knows_whether_its_test_has_passed(pytester_folder: Path) -> None:
    """A failed test's database is not given to the next test, and a passed test's is."""
    ended = subprocess.run(
        [
            *PYTEST,
            "-q",
            "-p",
            "tests.conftest",
            "-c",
            str(pytester_folder / "pytest.ini"),
            str(pytester_folder),
        ],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 failed, 2 passed" in ended.stdout, ended.stdout


@pytest.fixture
def pytester_folder(tmp_path: Path) -> Path:
    """Three tests of their own, of which the first fails."""
    (tmp_path / "test_three.py").write_text(FAILING, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = session\n"
        "asyncio_default_test_loop_scope = session\nmarkers =\n  chaos\n  slow\n  mutants\n  timeout\n",
        encoding="utf-8",
    )
    return tmp_path
