"""The schema: migrated once, twice, by two runs at once, and back again; and which role may read what."""

import asyncio
import json
import os
import sys
from typing import Any

import asyncpg
import pytest

from stack.schema import PROJECT, migrate
from tests.migrations.alembic_command import PASSWORDS, alembic


async def schema_of(url: str) -> list[tuple[Any, ...]]:
    """All tables, columns, constraints and indexes, with their transaction ids: a rewritten row would show."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            """
            SELECT n.nspname, c.relname, c.relkind::text, c.xmin::text
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname IN ('orders', 'billing', 'notifications')
            UNION ALL
            SELECT 'version', version_num, '', xmin::text FROM alembic_version
            ORDER BY 1, 2
            """
        )
        return [tuple(row) for row in rows]
    finally:
        await connection.close()


async def test_a_second_run_changes_nothing(empty: str) -> None:
    """Not one row of the catalogue is written again."""
    await migrate(empty, PASSWORDS)
    first = await schema_of(empty)
    await migrate(empty, PASSWORDS)
    assert await schema_of(empty) == first
    assert any(row[1] == "processed_keys" for row in first)


async def test_two_runs_at_the_same_moment(empty: str) -> None:
    """One waits for the other; both succeed."""
    await asyncio.gather(*(migrate(empty, PASSWORDS) for _ in range(3)))
    assert any(row[1] == "processed_keys" for row in await schema_of(empty))


async def test_down_and_up_again(empty: str) -> None:
    """Downgrade takes everything away, and what comes after it is whole again."""
    await migrate(empty, PASSWORDS)
    code, output = await alembic(empty, "downgrade", "base")
    assert code == 0, output
    assert await schema_of(empty) == []
    await migrate(empty, PASSWORDS)
    assert any(row[1] == "processed_keys" for row in await schema_of(empty))


async def test_a_missing_setting_is_one_sentence(empty: str) -> None:
    """Exit code 2 and the name of the variable, without a traceback."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "alembic",
        "upgrade",
        "head",
        cwd=PROJECT,
        env={**os.environ, "MIGRATIONS_DATABASE_URL": empty},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, error = await process.communicate()
    assert process.returncode == 2
    assert b"MIGRATIONS_ORDER_PASSWORD: this setting is missing" in error
    assert b"Traceback" not in error


@pytest.mark.parametrize(
    ("role", "table"),
    [
        (role, table)
        for role, own in (
            ("order", "orders."),
            ("billing", "billing."),
            ("notification", "notifications."),
        )
        for table in (
            "orders.orders",
            "orders.attempts",
            "orders.sequence_counter",
            "billing.accounts",
            "billing.clients",
            "billing.ledger",
            "billing.processed_keys",
            "notifications.arrivals",
        )
        if not table.startswith(own)
    ],
)
async def test_a_role_cannot_touch_anothers_table(database: Any, role: str, table: str) -> None:
    """Permission denied by Postgres itself, for reading and for writing."""
    connection = await asyncpg.connect(getattr(database, role))
    try:
        for statement in (f"SELECT 1 FROM {table}", f"DELETE FROM {table}"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("role", "table"),
    [
        ("order", "orders.orders"),
        ("billing", "billing.processed_keys"),
        ("notification", "notifications.arrivals"),
    ],
)
async def test_a_role_can_read_its_own_table(database: Any, role: str, table: str) -> None:
    """The counterpart: the refusals above are not those of a role that may do nothing at all."""
    connection = await asyncpg.connect(getattr(database, role))
    assert await connection.fetch(f"SELECT 1 FROM {table}") == []
    await connection.close()


async def test_every_constraint_is_named_and_commented(database: Any) -> None:
    """A constraint without a comment is an undocumented promise. NOT NULL needs no comment."""
    connection = await asyncpg.connect(database.owner)
    rows = await connection.fetch(
        """
        SELECT c.conname, obj_description(c.oid, 'pg_constraint') AS comment
        FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace
        WHERE n.nspname IN ('orders', 'billing', 'notifications') AND c.contype <> 'n'
        """
    )
    await connection.close()
    assert len(rows) > 30
    assert [row["conname"] for row in rows if not row["comment"]] == []


async def test_durability_is_as_it_comes(database: Any) -> None:
    """Tests that prove durability must not have switched it off."""
    connection = await asyncpg.connect(database.owner)
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        assert await connection.fetchval(f"SHOW {setting}") == "on"
    await connection.close()


async def test_an_older_release_finds_its_function_again(empty: str) -> None:
    """0007 only changes what a charge in one round trip is answered; going back gives the former answers."""
    await migrate(empty, PASSWORDS)
    owner = await asyncpg.connect(empty)
    await owner.execute("INSERT INTO billing.accounts VALUES ('alice', 100, 100)")
    charge = """
        SELECT verdict, body
        FROM billing.charge_plain(ARRAY['curl'], ARRAY[$1::bigint], ARRAY[''::bytea], ARRAY['alice'], ARRAY[10::bigint],
                                  ARRAY['00000000-0000-4000-8000-000000000001'::uuid])
        """
    named = ["charge_id", "order_id", "account", "amount_cents", "balance_cents"]
    members = {}
    for key, revision in enumerate(("head", "0006", "head"), 1):
        code, output = await alembic(empty, "downgrade" if key == 2 else "upgrade", revision)
        assert code == 0, output
        row: Any = await owner.fetchrow(charge, key)
        assert row["verdict"] == "charged"
        members[key] = list(json.loads(row["body"]))
    await owner.close()
    assert members == {1: named, 2: [name for name in named if name != "order_id"], 3: named}
