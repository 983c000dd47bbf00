"""Which connections are used again, which are thrown away, and which are kept for what."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest

from service_kit.bounded_pool import (
    BoundedPool,
    Connection,
    DatabaseTrouble,
    LockWaitTooLong,
    ReadsFull,
    translated,
)
from stack.postgres import PostgresCluster
from tests.evidence import seen
from tests.service_kit.bounded_pool.conftest import APPLICATION, Open

LOG_CANCELS = "canceling statement due to user request"


def log_of(cluster: PostgresCluster) -> str:
    return cluster.child.log.read_text(encoding="utf-8", errors="replace")


async def backend_pid(pool: BoundedPool) -> int:
    async with pool.connection() as connection:
        return int(await connection.fetchval("SELECT pg_backend_pid()"))


async def write(connection: Connection) -> None:
    await connection.execute("INSERT INTO billing.clients (client) VALUES ('c')")


async def met_read_only(connection: Connection) -> None:
    """As after a failover: the session stays and its server only reads."""
    await connection.execute(
        "SELECT set_config('transaction_read_only', 'on', false), set_config('default_transaction_read_only', 'on', false)"
    )
    await write(connection)


async def met_an_internal_error(connection: Connection) -> None:
    await connection.execute("DO $$ BEGIN RAISE EXCEPTION 'broken' USING ERRCODE = 'XX001'; END $$")


async def met_a_shutdown(connection: Connection) -> None:
    await connection.execute("DO $$ BEGIN RAISE EXCEPTION 'stop' USING ERRCODE = '57P01'; END $$")


async def met_a_connection_error(connection: Connection) -> None:
    await connection.execute("DO $$ BEGIN RAISE EXCEPTION 'lost' USING ERRCODE = '08006'; END $$")


async def met_an_io_error(connection: Connection) -> None:
    await connection.execute("DO $$ BEGIN RAISE EXCEPTION 'disk' USING ERRCODE = '58030'; END $$")


async def met_a_missing_prepared_statement(connection: Connection) -> None:
    await connection.execute("EXECUTE missing_statement")


async def misused_the_client(_: Connection) -> None:
    raise asyncpg.InterfaceError("cannot perform operation: another operation is in progress")


async def confused_the_client(_: Connection) -> None:
    raise asyncpg.InternalClientError("got result for unknown protocol state 3")


async def met_read_only_and_translated_it(connection: Connection) -> None:
    """As where an error is caught inside its transaction."""
    with translated():
        await met_read_only(connection)


ENDS = [
    met_read_only,
    met_an_internal_error,
    met_a_shutdown,
    met_a_connection_error,
    met_an_io_error,
    met_a_missing_prepared_statement,
    misused_the_client,
    confused_the_client,
    met_read_only_and_translated_it,
]


@pytest.mark.parametrize("way", ["connection", "transaction"])
@pytest.mark.parametrize("met", ENDS, ids=lambda met: met.__name__)
async def test_a_session_that_is_over(
    open_pool: Open, way: str, met: Callable[[Connection], Awaitable[None]]
) -> None:
    """Its connection is closed and never used again; the next use has another one and can write."""
    async with open_pool(size_max=1) as pool:
        before = await backend_pid(pool)
        with pytest.raises(DatabaseTrouble):
            async with getattr(pool, way)() as connection:
                await met(connection)
        assert await backend_pid(pool) != before
        async with pool.connection() as connection:
            await write(connection)


async def violated(connection: Connection) -> None:
    await connection.execute(
        "INSERT INTO billing.clients (client, first_incomplete) VALUES ('c', 0)"
    )


async def timed_out_on_the_server(connection: Connection) -> None:
    await connection.execute("DO $$ BEGIN RAISE EXCEPTION 'slow' USING ERRCODE = '57014'; END $$")


async def failed_of_its_own(_: Connection) -> None:
    raise KeyError("a defect")


@pytest.mark.parametrize("way", ["connection", "transaction"])
@pytest.mark.parametrize(
    "met", [violated, timed_out_on_the_server, failed_of_its_own], ids=lambda met: met.__name__
)
async def test_a_session_that_goes_on(
    open_pool: Open, way: str, met: Callable[[Connection], Awaitable[None]]
) -> None:
    """The counterpart: an error of a statement costs no connection, and its transaction is rolled back."""
    async with open_pool(size_max=1) as pool:
        before = await backend_pid(pool)
        with pytest.raises((asyncpg.CheckViolationError, DatabaseTrouble, KeyError)):
            async with getattr(pool, way)() as connection:
                if way == "transaction":
                    await write(connection)
                await met(connection)
        assert await backend_pid(pool) == before
        async with pool.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM billing.clients") == 0


@pytest.mark.parametrize("way", ["connection", "transaction"])
async def test_a_deadline_closes_the_connection_and_cancels_nothing(
    open_pool: Open, owner: Any, cluster: PostgresCluster, way: str
) -> None:
    """The socket is closed. A cancel request could end a COMMIT's wait for its standby; the server finds out by itself."""
    cancels = log_of(cluster).count(LOG_CANCELS)
    async with open_pool(size_max=1, deadline_s=0.5) as pool:
        before = await backend_pid(pool)
        with pytest.raises(DatabaseTrouble, match="TimeoutError"):
            async with getattr(pool, way)() as connection:
                await connection.execute("SET statement_timeout = 0")
                await connection.execute("SET client_connection_check_interval = 10")
                await connection.execute("SELECT pg_sleep(60)")
        assert await backend_pid(pool) != before
        ended = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)"
        await seen(lambda: owner.fetchval(ended, before), "the session ends")
    log = log_of(cluster)
    assert "connection to client lost" in log
    assert log.count(LOG_CANCELS) == cancels


@pytest.mark.parametrize("way", ["connection", "transaction"])
async def test_a_caller_that_gives_up(open_pool: Open, cluster: PostgresCluster, way: str) -> None:
    """The same: the statement may still be answered, and nothing later may find that answer in the buffer."""
    cancels = log_of(cluster).count(LOG_CANCELS)
    async with open_pool(size_max=1) as pool:
        before = await backend_pid(pool)
        begun = asyncio.Event()

        async def use() -> None:
            async with getattr(pool, way)() as connection:
                begun.set()
                await connection.execute(
                    "SET client_connection_check_interval = 10; SELECT pg_sleep(60)"
                )

        using = asyncio.create_task(use())
        await begun.wait()
        await asyncio.wait((using,), timeout=0.05)
        using.cancel()
        await asyncio.wait((using,))
        assert using.cancelled()
        assert await backend_pid(pool) != before
    assert log_of(cluster).count(LOG_CANCELS) == cancels


async def test_a_lock_that_is_not_free(open_pool: Open, owner: Any) -> None:
    """Definitely not executed, and the session goes on."""
    async with open_pool(size_max=1, lock_timeout_s=0.05) as pool, owner.transaction():
        before = await backend_pid(pool)
        await owner.execute("LOCK TABLE billing.clients")
        with pytest.raises(LockWaitTooLong):
            async with pool.transaction() as connection:
                await write(connection)
        assert await backend_pid(pool) == before


async def test_opening_needs_no_database(open_pool: Open) -> None:
    """A service starts before its database does."""
    async with open_pool("postgresql://nobody@127.0.0.1:1/none") as pool:
        with pytest.raises(DatabaseTrouble):
            async with pool.connection():
                pass


async def test_a_password_beside_the_url(open_pool: Open, database: Any) -> None:
    """It takes the place of the one in the URL."""
    async with open_pool(database.billing.replace(":b@", ":wrong@"), password="b") as pool:
        assert await backend_pid(pool)


async def test_reads_leave_connections_to_writes(open_pool: Open) -> None:
    """Reads hold their third and no more, however many come; every other connection is there for writes."""
    async with open_pool(size_max=6) as pool, AsyncExitStack() as held:
        for _ in range(2):
            await held.enter_async_context(pool.reads.connection())
        more = [
            asyncio.create_task(held.enter_async_context(pool.reads.connection())) for _ in range(4)
        ]
        writes = AsyncExitStack()
        for _ in range(4):
            await writes.enter_async_context(pool.transaction())
        # All six are in use and the third read still waits.
        assert not any(read.done() for read in more)
        await writes.aclose()
        for read in more:
            read.cancel()


async def test_more_reads_than_may_wait(open_pool: Open) -> None:
    """Those in the queue are served in time; one more is told at once."""
    async with open_pool(size_max=3) as pool:
        served = 0

        async def read() -> None:
            nonlocal served
            async with pool.reads.connection() as connection:
                served += await connection.fetchval("SELECT 1")

        async with pool.reads.connection():
            waiting = [asyncio.create_task(read()) for _ in range(32)]
            await asyncio.wait(waiting, timeout=0.001)
            with pytest.raises(ReadsFull):
                await read()
        await asyncio.gather(*waiting)
        assert served == 32
        await read()


async def test_a_read_that_waits_in_vain(open_pool: Open, owner: Any) -> None:
    """The deadline covers the wait in the queue, and the place of a read that failed is free again."""
    async with open_pool(size_max=3, deadline_s=0.5) as pool:
        async with owner.transaction():
            await owner.execute("LOCK TABLE billing.clients")
            reads = [asyncio.create_task(_read_clients(pool)) for _ in range(3)]
            await asyncio.wait(reads)
            assert [type(read.exception()) for read in reads] == [DatabaseTrouble] * 3
        assert await _read_clients(pool) == 0


async def _read_clients(pool: BoundedPool) -> int:
    async with pool.reads.transaction() as connection:
        count: int = await connection.fetchval("SELECT count(*) FROM billing.clients")
        return count


async def test_the_application_is_named(open_pool: Open, owner: Any) -> None:
    """An administrator sees whose sessions they are."""
    async with open_pool() as pool:
        pid = await backend_pid(pool)
        name = await owner.fetchval(
            "SELECT application_name FROM pg_stat_activity WHERE pid = $1", pid
        )
    assert name == APPLICATION


async def test_a_call_that_finds_no_connection_ends_at_its_deadline(database: Any) -> None:
    """The wait for a connection is a part of it: with all in use, a write is told so and waits no longer."""
    pool = BoundedPool(
        database.billing,
        application="pool under test",
        size_max=1,
        deadline_s=0.3,
        lock_timeout_s=20.0,
        idle_in_transaction_timeout_s=20.0,
    )
    await pool.open()
    # In use by something that has no deadline.
    raw: Any = pool._pool
    held = await raw.acquire(timeout=20)
    async with asyncio.timeout(20):
        with pytest.raises(DatabaseTrouble):
            async with pool.connection():
                raise AssertionError("there is no connection")
    await raw.release(held)
    await pool.close()


async def test_each_wait_for_a_connection_is_observed(open_pool: Open) -> None:
    """In seconds, once for each use: an operator sees that a pool is too small."""
    waits: list[float] = []
    async with open_pool(observe_wait=waits.append) as pool:
        for _ in range(3):
            await backend_pid(pool)
    assert len(waits) == 3
    assert all(0 <= wait_s < 10 for wait_s in waits)
