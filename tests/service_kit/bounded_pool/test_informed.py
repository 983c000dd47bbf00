"""What one connection has learned of Postgres's types is known to the next one."""

from typing import Any

import asyncpg
import pytest

from service_kit.bounded_pool.informed import InformedConnection
from tests.service_kit.bounded_pool.conftest import Open

ARRAYS = "SELECT unnest($1::bigint[]) AS number, unnest($2::text[]) AS word"
VALUES = ([1, 2], ["one", None])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The connections that asked Postgres for types, in a process that knows none yet."""
    asked = []
    ask: Any = asyncpg.Connection._introspect_types  # type: ignore[attr-defined]

    async def noted(connection: Any, *rest: Any) -> Any:
        asked.append(connection)
        return await ask(connection, *rest)

    monkeypatch.setattr(asyncpg.Connection, "_introspect_types", noted)
    monkeypatch.setattr(InformedConnection, "_known", {})
    return asked


async def test_a_type_is_asked_for_once(open_pool: Open, asked: list[Any]) -> None:
    """By the first connection of a pool, and not by the second; each gets the right rows."""
    async with open_pool() as pool, pool.connection() as first, pool.connection() as second:
        for connection in (first, second):
            rows = [tuple(row) for row in await connection.fetch(ARRAYS, *VALUES)]
            assert rows == [(1, "one"), (2, None)]
        # A statement without a name is not disturbed either.
        assert await second.execute(ARRAYS, *VALUES) == "SELECT 2"
    assert len(asked) == 1


async def test_any_other_connection_asks_by_itself(database: Any, asked: list[Any]) -> None:
    """The control: asyncpg still asks where it did, and for each connection."""
    for times in (1, 2):
        connection = await asyncpg.connect(database.billing, connection_class=asyncpg.Connection)
        await connection.fetch(ARRAYS, *VALUES)
        await connection.close()
        assert len(asked) == times


async def test_a_type_of_a_database_is_not_remembered(database: Any, asked: list[Any]) -> None:
    """In another database its object id may be another type's."""
    owner = await asyncpg.connect(database.owner)
    await owner.execute(
        "CREATE TYPE colour AS ENUM ('red'); CREATE TYPE pair AS (one int, two text)"
    )
    await owner.close()
    for times in (1, 2):
        connection = await asyncpg.connect(database.owner, connection_class=InformedConnection)
        row = await connection.fetchrow("SELECT $1::colour[], $2::pair", ["red"], (1, "a"))
        assert tuple(row or ()) == (["red"], (1, "a"))
        await connection.close()
        assert len(asked) == times


async def test_what_could_not_be_learned_is_asked_for_again(
    database: Any, monkeypatch: pytest.MonkeyPatch, asked: list[Any]
) -> None:
    """A question that failed leaves nothing behind."""

    async def fails(*_: object) -> None:
        raise asyncpg.QueryCanceledError("too late")

    connection = await asyncpg.connect(database.owner, connection_class=InformedConnection)
    with monkeypatch.context() as patched, pytest.raises(asyncpg.QueryCanceledError):
        patched.setattr(asyncpg.Connection, "_introspect_types", fails)
        await connection.fetch(ARRAYS, *VALUES)
    assert len(await connection.fetch(ARRAYS, *VALUES)) == 2
    await connection.close()
    assert len(asked) == 1
