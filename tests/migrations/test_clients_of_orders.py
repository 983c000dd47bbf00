"""Migration 0009 on a database with orders: the upgrade loses nothing, the downgrade shows no order to another client."""

import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest

from stack.postgres import PostgresCluster
from stack.schema import migrate
from tests.migrations.alembic_command import PASSWORDS, alembic

BEFORE = "0008"
INSERT = """
    INSERT INTO orders.orders (order_id, customer, item, amount_cents, delivery, sequence_key, shopper_key, fingerprint,
                               lease_owner, lease_until)
    VALUES (gen_random_uuid(), 'alice', 'book', 5, 'exactly_once', $1, $2, '', gen_random_uuid(), 'infinity')
"""


@pytest.fixture
async def older(cluster: PostgresCluster) -> AsyncIterator[str]:
    """A database before the migration, with one order."""
    name = f"older_{uuid.uuid4().hex}"
    await cluster.create_database(name)
    url = cluster.url(name)
    code, output = await alembic(url, "upgrade", BEFORE)
    assert code == 0, output
    connection = await asyncpg.connect(url)
    await connection.execute(INSERT, 1, "a7f3")
    await connection.close()
    yield url
    await cluster.drop_database(name)


async def test_orders_that_are_there(older: str) -> None:
    """They belong to the anonymous client, and so does what an older order_service writes; their keys stay unique."""
    await migrate(older, PASSWORDS)
    connection = await asyncpg.connect(older)
    try:
        await connection.execute(INSERT, 2, "b7f3")
        clients = await connection.fetch("SELECT client FROM orders.orders")
        assert [row["client"] for row in clients] == ["", ""]
        with pytest.raises(asyncpg.UniqueViolationError) as refused:
            await connection.execute(INSERT, 3, "a7f3")
        assert refused.value.constraint_name == "orders_shopper_key_once"
        await connection.execute("UPDATE orders.orders SET client = 'shop' WHERE sequence_key = 1")
        await connection.execute(INSERT, 3, "a7f3")
    finally:
        await connection.close()


async def test_back_with_anonymous_orders(older: str) -> None:
    """The schema is what it was, and so is the order."""
    await migrate(older, PASSWORDS)
    code, output = await alembic(older, "downgrade", BEFORE)
    assert code == 0, output
    connection = await asyncpg.connect(older)
    try:
        assert await connection.fetchval("SELECT shopper_key FROM orders.orders") == "a7f3"
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute(INSERT, 2, "a7f3")
        index = "SELECT count(*) FROM pg_indexes WHERE indexname = 'orders_by_age'"
        assert await connection.fetchval(index) == 1
    finally:
        await connection.close()


async def test_back_with_orders_of_clients(older: str) -> None:
    """Refused with what to do, and nothing is changed: an older order_service would show them to every caller."""
    await migrate(older, PASSWORDS)
    connection = await asyncpg.connect(older)
    try:
        newest = await connection.fetchval("SELECT version_num FROM alembic_version")
        await connection.execute("UPDATE orders.orders SET client = 'shop'")
        code, output = await alembic(older, "downgrade", BEFORE)
        assert code != 0
        assert "there are orders of clients" in output
        assert await connection.fetchval("SELECT client FROM orders.orders") == "shop"
        assert await connection.fetchval("SELECT version_num FROM alembic_version") == newest
    finally:
        await connection.close()
