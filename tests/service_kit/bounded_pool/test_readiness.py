"""Whether a service can write is asked over a connection of its own, promptly and under any load."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from service_kit.bounded_pool import Connection, ReadsFull
from tests.evidence import BOUND_S, seen
from tests.listening import listening
from tests.service_kit.bounded_pool.conftest import APPLICATION, Open


async def prove(connection: Connection) -> None:
    await connection.execute("INSERT INTO billing.clients (client) SELECT 'c' WHERE false")


async def nothing(_: Connection) -> None:
    """A service without a schema."""


SESSIONS = """
    SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database()
"""
TERMINATE = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = $1 AND datname = current_database()
"""


async def test_all_connections_are_in_use(open_pool: Open) -> None:
    """Neither reads nor writes can take the one that readiness has."""
    async with open_pool(size_max=3) as pool, AsyncExitStack() as held:
        await held.enter_async_context(pool.reads.connection())
        for _ in range(2):
            await held.enter_async_context(pool.connection())
        waiting = [
            asyncio.create_task(held.enter_async_context(pool.reads.connection()))
            for _ in range(32)
        ]
        await asyncio.wait(waiting, timeout=0.001)
        with pytest.raises(ReadsFull):
            await held.enter_async_context(pool.reads.connection())
        assert await pool.missing(prove) is None
        for each in waiting:
            each.cancel()
        await asyncio.wait(waiting)


async def test_many_questions_at_once(open_pool: Open, owner: Any) -> None:
    """They share one answer: many probes cost the database no more than one."""
    asked = 0

    async def counted(_: Connection) -> None:
        nonlocal asked
        asked += 1

    async with open_pool() as pool:
        answers = await asyncio.gather(*(pool.missing(counted) for _ in range(50)))
        assert (answers, asked) == ([None] * 50, 1)
        assert await owner.fetchval(SESSIONS, APPLICATION) == 1
        await pool.missing(counted)
        assert asked == 2


async def test_a_prober_that_leaves(open_pool: Open) -> None:
    """The others get their answer."""
    async with open_pool() as pool:
        first, second = (asyncio.create_task(pool.missing(nothing)) for _ in range(2))
        await asyncio.wait((first, second), timeout=0)
        first.cancel()
        assert await second is None


async def test_its_session_was_ended(open_pool: Open, owner: Any) -> None:
    """A connection that was kept for long says nothing of the server: a new one decides, within the same question."""
    async with open_pool() as pool:
        assert await pool.missing(prove) is None
        await owner.execute(TERMINATE.replace("$1", f"'{APPLICATION}'"))
        assert await pool.missing(prove) is None


async def test_a_database_that_only_reads(open_pool: Open, owner: Any, database: Any) -> None:
    """Not ready, with the reason; and ready again without a restart."""
    name = database.owner.rpartition("/")[2]
    async with open_pool() as pool:
        await owner.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        missing = await pool.missing(prove)
        assert missing is not None
        assert "can only read" in missing
        await owner.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        assert await pool.missing(prove) is None


async def test_a_role_that_may_not_write(open_pool: Open, owner: Any) -> None:
    """The reason is Postgres's own."""
    async with open_pool() as pool:
        await owner.execute("REVOKE INSERT ON billing.clients FROM billing_service")
        missing = await pool.missing(prove)
        assert missing is not None
        assert "permission denied for table clients" in missing


async def test_a_schema_that_is_not_there_yet(open_pool: Open, owner: Any) -> None:
    """Migrations come first; until then the service is not ready and says why."""
    async with open_pool() as pool:
        await owner.execute("ALTER TABLE billing.clients RENAME TO earlier")
        missing = await pool.missing(prove)
        assert missing is not None
        assert 'relation "billing.clients" does not exist' in missing


async def test_a_table_that_is_locked(open_pool: Open, owner: Any) -> None:
    """The lock timeout ends the question."""
    async with open_pool(lock_timeout_s=0.1) as pool, owner.transaction():
        assert await pool.missing(prove) is None
        await owner.execute("LOCK TABLE billing.clients")
        missing = await pool.missing(prove)
        assert missing is not None
        assert "lock timeout" in missing


async def test_a_database_that_is_gone(open_pool: Open) -> None:
    """Refused connections are told at once."""
    async with open_pool("postgresql://owner@127.0.0.1:1/none") as pool:
        missing = await pool.missing(nothing)
        assert missing is not None
        assert "refused" in missing.lower() or "connect" in missing.lower()


async def test_a_database_that_is_silent(open_pool: Open) -> None:
    """The question ends at its deadline, and the next one is asked anew."""
    accepted = []

    async def saynothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)

    async with (
        listening(saynothing) as port,
        open_pool(f"postgresql://owner@127.0.0.1:{port}/none", deadline_s=0.2) as pool,
    ):
        for questions in (1, 2):
            assert await pool.missing(nothing) == "no answer within 0.2 s"
            assert len(accepted) >= questions
        for writer in accepted:
            writer.close()


async def test_its_connection_ends_with_the_pool(open_pool: Open, owner: Any) -> None:
    """Nothing is left behind."""
    async with open_pool() as pool:
        assert await pool.missing(nothing) is None
        assert await owner.fetchval(SESSIONS, APPLICATION) == 1

    async def none() -> bool:
        return not await owner.fetchval(SESSIONS, APPLICATION)

    await seen(none, "its session ends")


async def test_a_pool_that_is_closed_while_it_is_asked(open_pool: Open) -> None:
    """The question ends with the pool: its prober learns of it, and nothing waits for an answer any more."""
    asked = asyncio.Event()

    async def unanswered(_: Any) -> None:
        asked.set()
        await asyncio.Event().wait()

    async with open_pool(deadline_s=BOUND_S) as pool:
        prober = asyncio.create_task(pool.missing(unanswered))
        await asked.wait()
    async with asyncio.timeout(BOUND_S / 2):
        await asyncio.wait((prober,))
    assert prober.cancelled()


async def test_its_settings_are_those_of_the_pool(open_pool: Open) -> None:
    """What it says of a session holds for the sessions of the pool."""
    read: list[str] = []

    async def settings(connection: Connection) -> None:
        read.append(await connection.fetchval("SELECT current_setting('lock_timeout')"))

    async with open_pool(lock_timeout_s=3) as pool:
        await pool.missing(settings)
    assert read == ["3s"]


async def test_a_defect_is_no_outage(open_pool: Open) -> None:
    """Hiding it as 'not ready' would take the service away for a mistake in its code."""

    async def broken(_: Connection) -> None:
        raise KeyError("a defect")

    async with open_pool() as pool:
        with pytest.raises(KeyError):
            await pool.missing(broken)
        assert await pool.missing(prove) is None


async def test_a_confirmation_with_a_warning(open_pool: Open) -> None:
    """It confirms nothing: the server warns when a commit may not be replicated. The next one without a warning does."""

    async def warned(connection: Any) -> None:
        await connection.execute("DO $$ BEGIN RAISE WARNING 'it may not be replicated'; END $$")

    async with open_pool() as pool:
        missing = await pool.missing(nothing, warned)
        assert missing is not None
        assert "it may not be replicated" in missing
        assert await pool.missing(nothing, nothing) is None


async def test_a_confirmation_leaves_its_connection_as_it_was(open_pool: Open) -> None:
    """Each one listens for warnings alone, however many there were before on the connection that is kept."""
    listeners: list[int] = []

    async def counted(connection: Any) -> None:
        listeners.append(len(connection._log_listeners))

    async with open_pool() as pool:
        for _ in range(3):
            assert await pool.missing(nothing, counted) is None
    assert listeners == [1, 1, 1]
