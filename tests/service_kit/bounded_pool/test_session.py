"""What a new connection must be: it can write, it has its settings, and it keeps them, with or without a pooler."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from service_kit.bounded_pool import DatabaseTrouble, SessionRefused, session
from service_kit.bounded_pool.errors import ONLY_READS
from tests import pgbouncer
from tests.service_kit.bounded_pool.conftest import APPLICATION, Open

# As Postgres writes them; bounds of `open_pool`.
SETTINGS = {
    "application_name": APPLICATION,
    "statement_timeout": "9s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "5s",
    "default_transaction_isolation": "read committed",
    "transaction_isolation": "read committed",
    "synchronous_commit": "on",
    "enable_seqscan": "off",
    "plan_cache_mode": "force_generic_plan",
}


async def read_settings(connection: Any) -> dict[str, str]:
    rows = await connection.fetch(
        "SELECT name, current_setting(name) AS setting FROM unnest($1::text[]) AS asked (name)",
        list(SETTINGS),
    )
    return {row["name"]: row["setting"] for row in rows}


@asynccontextmanager
async def default_of(owner: Any, whose: str, name: str, value: str) -> AsyncIterator[None]:
    """A default for new sessions of `whose`: a role, or a database."""
    await owner.execute(f"ALTER {whose} SET {name} = {value}")
    try:
        yield
    finally:
        await owner.execute(f"ALTER {whose} RESET {name}")


async def test_the_settings_hold(open_pool: Open) -> None:
    """In every connection and in every transaction of it."""
    async with open_pool() as pool, AsyncExitStack() as held:
        for _ in range(2):
            connection = await held.enter_async_context(pool.connection())
            for _ in range(2):
                assert await read_settings(connection) == SETTINGS


async def test_a_role_that_changed_its_own_defaults(
    open_pool: Open, database: Any, owner: Any
) -> None:
    """A role may do that, once and for ever; no connection of the pool follows it."""
    role = await asyncpg.connect(database.billing)
    try:
        for name, value in (
            ("synchronous_commit", "off"),
            ("statement_timeout", "0"),
            ("default_transaction_isolation", "'serializable'"),
        ):
            await role.execute(f"ALTER ROLE billing_service SET {name} = {value}")
        async with open_pool() as pool, pool.connection() as connection:
            assert await read_settings(connection) == SETTINGS
    finally:
        await role.execute("ALTER ROLE billing_service RESET ALL")
        await role.close()


async def test_a_database_that_waits_for_more_than_the_disk(
    open_pool: Open, owner: Any, database: Any
) -> None:
    """`remote_apply` is stronger than what the pool asks for, and stays."""
    name = database.owner.rpartition("/")[2]
    async with (
        default_of(owner, f"DATABASE {name}", "synchronous_commit", "remote_apply"),
        open_pool() as pool,
        pool.connection() as connection,
    ):
        assert (await read_settings(connection))["synchronous_commit"] == "remote_apply"


@pytest.mark.parametrize("whose", ["DATABASE", "ROLE"])
async def test_a_new_session_that_can_only_read(
    open_pool: Open, owner: Any, database: Any, whose: str
) -> None:
    """It is refused with a sentence, and the first one after it that can write is taken."""
    name = database.owner.rpartition("/")[2] if whose == "DATABASE" else "billing_service"
    async with open_pool() as pool:
        async with default_of(owner, f"{whose} {name}", "default_transaction_read_only", "on"):
            with pytest.raises(SessionRefused, match="can only read"):
                async with pool.connection():
                    pass
            with pytest.raises(SessionRefused, match="can only read"):
                async with pool.reads.connection():
                    pass
        async with pool.connection() as connection:
            await connection.execute("INSERT INTO billing.clients (client) VALUES ('c')")


async def test_a_session_that_is_not_what_it_was(database: Any) -> None:
    """It is refused, and the sentence says what has changed: a setting, its process, or that it can only read now."""
    connection = await asyncpg.connect(database.billing)
    try:
        prepared = await session.prepare(connection, {"lock_timeout": "5000"})
        await session.verify(connection, prepared)
        for changed, said in (
            ("SET lock_timeout = '4s'", "does not keep lock_timeout between two transactions"),
            ("SET lock_timeout = '5s'; SET default_transaction_read_only = on", ONLY_READS),
        ):
            await connection.execute(changed)
            with pytest.raises(SessionRefused, match=said):
                await session.verify(connection, prepared)
        other = replace(prepared, backend_pid=prepared.backend_pid + 1)
        with pytest.raises(SessionRefused, match="does not keep its process in Postgres between"):
            await session.verify(connection, other)
    finally:
        await connection.close()


async def test_a_pooler_is_looked_for_once(
    open_pool: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first connection of a pool: it costs another one."""
    looked: list[Any] = []
    verify_apart = session.verify_apart

    async def counted(*arguments: Any) -> None:
        looked.append(arguments)
        await verify_apart(*arguments)

    monkeypatch.setattr(session, "verify_apart", counted)
    async with open_pool() as pool, AsyncExitStack() as held:
        for _ in range(2):
            await held.enter_async_context(pool.connection())
    assert len(looked) == 1


@pgbouncer.needed
@pytest.mark.parametrize("ignored", ["", pgbouncer.IGNORING])
async def test_a_pooler_in_session_mode(
    open_pool: Open, database: Any, tmp_path: Path, ignored: str
) -> None:
    """Everything works and every setting holds, whatever startup parameters it refuses or drops."""
    async with pgbouncer.pgbouncer(
        tmp_path, database.owner, ignore_startup_parameters=ignored
    ) as urls:
        for _ in range(2):
            # The second pool gets the server connections of the first one.
            async with open_pool(urls["billing_service"]) as pool, AsyncExitStack() as held:
                for _ in range(2):
                    connection = await held.enter_async_context(pool.connection())
                    assert await read_settings(connection) == SETTINGS
                assert await pool.missing(_nothing) is None


@pgbouncer.needed
@pytest.mark.parametrize("round_robin", ["0", "1"])
@pytest.mark.parametrize("mode", ["transaction", "statement"])
async def test_a_pooler_that_lends_for_a_transaction(
    open_pool: Open, database: Any, tmp_path: Path, mode: str, round_robin: str
) -> None:
    """Refused with a sentence by uses and by readiness, before a statement of a service has run."""
    async with (
        pgbouncer.pgbouncer(
            tmp_path,
            database.owner,
            pool_mode=mode,
            server_round_robin=round_robin,
            ignore_startup_parameters=pgbouncer.IGNORING,
        ) as urls,
        open_pool(urls["billing_service"]) as pool,
    ):
        for _ in range(2):
            with pytest.raises(DatabaseTrouble, match="pool_mode = session"):
                async with pool.connection():
                    pass
            missing = await pool.missing(_nothing)
            assert missing is not None
            assert "pool_mode = session" in missing


async def _nothing(_: Any) -> None:
    """A service without a schema."""
