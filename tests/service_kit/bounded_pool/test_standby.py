"""Commits that wait for a synchronous standby: which ends of the wait are believed, and what the service says meanwhile."""

import asyncio
from typing import Any

import asyncpg
import pytest

from service_kit.bounded_pool import BoundedPool, Connection, DatabaseTrouble
from service_kit.bounded_pool.readiness import STANDBY_SILENT
from stack.postgres import PostgresCluster
from stack.waiting import until
from tests.listening import wire
from tests.service_kit.bounded_pool.conftest import Open
from tests.silent_standby import silent_standby, until_one_waits, waiting

ROWS = "SELECT count(*) FROM billing.clients"


async def write(connection: Connection) -> None:
    await connection.execute(
        "INSERT INTO billing.clients (client) VALUES (gen_random_uuid()::text)"
    )


async def seal(connection: Connection) -> None:
    await connection.execute("SELECT billing.sealed()")


async def nothing(_: Connection) -> None:
    """The service can write."""


async def read(pool: BoundedPool) -> None:
    async with pool.connection() as connection:
        await connection.execute("SELECT 1")


async def written(pool: BoundedPool, way: str) -> None:
    async with getattr(pool, way)() as connection:
        await write(connection)


@pytest.mark.parametrize("way", ["connection", "transaction"])
async def test_a_deadline_leaves_the_wait_alone(
    open_pool: Open, owner: Any, cluster: PostgresCluster, way: str
) -> None:
    """The session still waits and its row stays invisible: a cancel request would have ended the wait and shown the row."""
    async with open_pool(size_max=1, deadline_s=2) as pool, silent_standby(cluster) as watcher:
        # A connection that is there already: the deadline passes in the commit, on a busy machine too.
        await read(pool)
        with pytest.raises(DatabaseTrouble, match="TimeoutError"):
            await written(pool, way)
        # Where a cancel is sent, releasing the connection waits until the server has taken it.
        assert len(await waiting(watcher)) == 1
        assert await owner.fetchval(ROWS) == 0
    assert await owner.fetchval(ROWS) == 1


@pytest.mark.parametrize("way", ["connection", "transaction"])
async def test_a_caller_that_gives_up_leaves_the_wait_alone(
    open_pool: Open, owner: Any, cluster: PostgresCluster, way: str
) -> None:
    """The same, when a task is cancelled."""
    async with silent_standby(cluster) as watcher, open_pool(size_max=1) as pool:
        writing = asyncio.create_task(written(pool, way))
        await until_one_waits(watcher)
        writing.cancel()
        await asyncio.wait((writing,))
        assert len(await waiting(watcher)) == 1
        assert await owner.fetchval(ROWS) == 0


@pytest.mark.parametrize("way", ["connection", "transaction"])
@pytest.mark.parametrize("level", ["notice", "error"])
async def test_a_wait_that_was_cancelled_is_unknown(
    open_pool: Open, owner: Any, cluster: PostgresCluster, way: str, level: str
) -> None:
    """The commit succeeds with a warning, whatever messages the role asks for by default: the row is on this server only."""
    await owner.execute(f"ALTER ROLE billing_service SET client_min_messages = {level}")
    try:
        async with silent_standby(cluster) as watcher, open_pool(size_max=1) as pool:
            writing = asyncio.create_task(written(pool, way))
            for pid in await until_one_waits(watcher):
                await watcher.execute("SELECT pg_cancel_backend($1)", pid)
            with pytest.raises(DatabaseTrouble, match="the server warned"):
                await writing
            assert await owner.fetchval(ROWS) == 1
    finally:
        await owner.execute("ALTER ROLE billing_service RESET client_min_messages")


async def test_only_warnings_count(open_pool: Open) -> None:
    """By their severity: a notice, or an informational message, says nothing of the commit."""
    async with open_pool() as pool:
        for level in ("NOTICE", "INFO", "LOG"):
            async with pool.connection() as connection:
                await connection.execute(f"DO $$ BEGIN RAISE {level} 'by the way'; END $$")
        with pytest.raises(DatabaseTrouble, match="the server warned"):
            async with pool.connection() as connection:
                await connection.execute(
                    "DO $$ BEGIN RAISE WARNING 'anything' USING ERRCODE = '57P01'; END $$"
                )


async def test_a_connection_is_used_again_after_a_warning(open_pool: Open) -> None:
    """What one use of a connection heard says nothing of the next."""
    async with open_pool(size_max=1) as pool:
        with pytest.raises(DatabaseTrouble):
            async with pool.connection() as connection:
                await connection.execute("DO $$ BEGIN RAISE WARNING 'once'; END $$")
        async with pool.connection() as connection:
            assert await connection.fetchval("SELECT 1") == 1


async def test_readiness_names_the_standby(open_pool: Open, cluster: PostgresCluster) -> None:
    """However often it is asked, one session waits; when the standby confirms, all is well without a restart."""
    async with open_pool(size_max=1) as pool:
        assert await pool.missing(nothing, seal) is None
        async with silent_standby(cluster) as watcher:
            said = [await pool.missing(nothing, seal) for _ in range(5)]
            # A busy machine may take longer for a connection; that is said, and no second session waits.
            assert said[0] == STANDBY_SILENT
            assert set(said) <= {STANDBY_SILENT, "no answer within 2 s"}
            assert len(await waiting(watcher)) == 1

        async def well() -> bool:
            return await pool.missing(nothing, seal) is None

        assert await until(well, 30, "the service is ready")


async def test_readiness_when_the_role_has_no_connection_left(
    open_pool: Open, owner: Any, cluster: PostgresCluster
) -> None:
    """Commits that wait for the standby hold all of them: that is what is wrong, and other roles go on."""
    await owner.execute("ALTER ROLE billing_service CONNECTION LIMIT 3")
    try:
        async with silent_standby(cluster) as watcher, open_pool(deadline_s=2) as pool:
            assert await pool.missing(nothing, seal) == STANDBY_SILENT
            async with asyncio.timeout(60):
                while len(await waiting(watcher)) < 3:
                    with pytest.raises(DatabaseTrouble):
                        await written(pool, "connection")
            with pytest.raises(DatabaseTrouble, match="too many connections"):
                await written(pool, "connection")
            assert await pool.missing(nothing, seal) == STANDBY_SILENT
            assert await owner.fetchval("SELECT 1") == 1
    finally:
        await owner.execute("ALTER ROLE billing_service CONNECTION LIMIT 37")


async def test_the_confirmation_came_from_a_server_that_is_gone(
    open_pool: Open, owner: Any, cluster: PostgresCluster
) -> None:
    """The session that waited is not there any more: another connection confirms."""
    async with open_pool(size_max=1) as pool, silent_standby(cluster) as watcher:
        assert await pool.missing(nothing, seal) == STANDBY_SILENT
        (first,) = await waiting(watcher)
        await watcher.execute("SELECT pg_terminate_backend($1)", first)
        await until(lambda: _gone(watcher, first), 30, "the session is gone")
        assert await pool.missing(nothing, seal) == STANDBY_SILENT
        (second,) = await waiting(watcher)
        assert second != first


async def test_the_primary_is_gone_without_a_word(
    open_pool: Open, database: Any, cluster: PostgresCluster
) -> None:
    """The session that waited is not there any more, though the connection to it is; that another one waits is no news of it."""
    other = await asyncpg.connect(database.billing)
    async with silent_standby(cluster) as watcher, wire(database.billing) as (url, cut):
        writing = asyncio.create_task(write(other))
        await until_one_waits(watcher)
        async with open_pool(url, size_max=1) as pool:
            assert await pool.missing(nothing, seal) == STANDBY_SILENT
            before = await waiting(watcher)
            (first,) = {*before} - {other.get_server_pid()}
            cut()
            await watcher.execute("SELECT pg_terminate_backend($1)", first)
            await until(lambda: _gone(watcher, first), 30, "the session is gone")

            async def another_waits() -> bool:
                await pool.missing(nothing, seal)
                return bool({*await waiting(watcher)} - {*before})

            await until(another_waits, 30, "another session waits")
    await writing
    await other.close()


async def test_a_confirmation_that_is_lost_on_the_way(
    open_pool: Open, database: Any, cluster: PostgresCluster
) -> None:
    """The session does not wait any more: another connection confirms, and all is well."""
    async with wire(database.billing) as (url, cut), open_pool(url, size_max=1) as pool:
        async with silent_standby(cluster):
            assert await pool.missing(nothing, seal) == STANDBY_SILENT
            cut()

        async def well() -> bool:
            return await pool.missing(nothing, seal) is None

        assert await until(well, 30, "the service is ready")


async def test_a_confirmation_that_is_under_way_ends_with_the_pool(
    open_pool: Open, cluster: PostgresCluster
) -> None:
    """A process that stops waits for no standby, and keeps no session that does."""
    async with silent_standby(cluster):
        async with open_pool(size_max=1) as pool:
            assert await pool.missing(nothing, seal) == STANDBY_SILENT
            assert pool._readiness._unconfirmed is not None
            connection, _, task = pool._readiness._unconfirmed
        async with asyncio.timeout(30):
            await asyncio.wait((task,))
        assert connection.is_closed()
        assert pool._readiness._unconfirmed is None


async def test_without_a_standby_nothing_is_written(database: Any) -> None:
    """The seal gives the transaction no id, so its commit writes and waits for nothing."""
    for role, schema in (
        ("billing", "billing"),
        ("order", "orders"),
        ("notification", "notifications"),
    ):
        connection = await asyncpg.connect(getattr(database, role))
        async with connection.transaction():
            assert await connection.fetchval(f"SELECT {schema}.sealed()") is True
            assert await connection.fetchval("SELECT pg_current_xact_id_if_assigned()") is None
        await connection.close()


async def test_a_server_that_only_reads_seals_nothing(database: Any) -> None:
    """Neither one in recovery nor one that was told to only read: another server may be the primary by now."""
    connection = await asyncpg.connect(database.billing)
    await connection.execute("SET default_transaction_read_only = on")
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await connection.execute("SELECT billing.sealed()")
    await connection.close()


async def _gone(watcher: Any, pid: int) -> bool:
    return pid not in await waiting(watcher)
