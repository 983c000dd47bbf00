"""Trouble of the database has one name; a wrong statement keeps its own."""

import asyncpg
import pytest

from service_kit.bounded_pool import BoundedPool, DatabaseTrouble, LockWaitTooLong, translated
from service_kit.bounded_pool.errors import ends_session
from stack.postgres import PostgresCluster


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.DiskFullError("could not extend file: No space left on device"),
        asyncpg.OutOfMemoryError("out of memory"),
        asyncpg.TooManyConnectionsError("sorry, too many clients already"),
        asyncpg.AdminShutdownError("terminating connection due to administrator command"),
        asyncpg.CrashShutdownError(
            "terminating connection because of crash of another server process"
        ),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.QueryCanceledError("canceling statement due to statement timeout"),
        asyncpg.IdleInTransactionSessionTimeoutError("terminating connection"),
        asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT in a read-only transaction"),
        asyncpg.InvalidPasswordError("password authentication failed"),
        asyncpg.InvalidCatalogNameError("database does not exist"),
        asyncpg.DeadlockDetectedError("deadlock detected"),
        asyncpg.SerializationError("could not serialize access"),
        asyncpg.PostgresIOError("could not write to file"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.InternalServerError("could not read block"),
        asyncpg.PostgresError("an error without a state"),
        asyncpg.InvalidSQLStatementNameError("prepared statement does not exist"),
        asyncpg.DuplicatePreparedStatementError("prepared statement already exists"),
        asyncpg.InvalidCachedStatementError("cached statement plan is invalid"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("got result for unknown protocol state 3"),
        ConnectionResetError(104, "Connection reset by peer"),
        OSError("Network is unreachable"),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_trouble(error: Exception) -> None:
    """Gone, full, restarting, overloaded or silent: it may have happened, and the cause is kept."""
    with pytest.raises(DatabaseTrouble) as caught, translated():
        raise error
    assert caught.value.__cause__ is error


def test_a_lock_that_is_not_free() -> None:
    """Definitely not executed, so it has a name of its own."""
    with pytest.raises(LockWaitTooLong), translated():
        raise asyncpg.LockNotAvailableError("canceling statement due to lock timeout")


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.PostgresSyntaxError("syntax error"),
        asyncpg.UniqueViolationError("duplicate key"),
        asyncpg.CheckViolationError("violates check constraint"),
        asyncpg.InsufficientPrivilegeError("permission denied"),
        KeyError("a defect"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_defect_stays_a_defect(error: Exception) -> None:
    """Hiding it behind a 503 would make callers repeat it for ever."""
    with pytest.raises(type(error)), translated():
        raise error


@pytest.mark.parametrize("link", ["__cause__", "__context__"])
def test_an_end_of_the_session_behind_another_error(link: str) -> None:
    """It is found by either link alone, also behind an error that is its own context; a defect ends no session."""
    gone, trouble = asyncpg.ConnectionDoesNotExistError("closed"), DatabaseTrouble("no answer")
    assert not ends_session(trouble)
    setattr(trouble, link, gone)
    assert ends_session(trouble)
    around = ValueError("a defect")
    around.__cause__, around.__context__ = trouble, around
    assert ends_session(around)


async def test_a_full_database_is_trouble(cluster: PostgresCluster) -> None:
    """Postgres itself says that there is no room: a real error, translated on its real way."""

    pool = BoundedPool(
        cluster.url("postgres"),
        application="test",
        size_max=1,
        deadline_s=10,
        lock_timeout_s=1,
        idle_in_transaction_timeout_s=1,
    )
    await pool.open()
    with pytest.raises(DatabaseTrouble, match="temporary file size exceeds"):
        async with pool.transaction() as connection:
            await connection.execute("SET LOCAL temp_file_limit = '64kB'")
            await connection.execute("SET LOCAL work_mem = '64kB'")
            await connection.fetchval(
                "SELECT count(*) FROM (SELECT n FROM generate_series(1, 100000) n ORDER BY n DESC) x"
            )
    async with pool.connection() as connection:
        assert await connection.fetchval("SELECT 1") == 1
    await pool.close()


async def test_a_silent_network_ends_at_the_deadline(cluster: PostgresCluster) -> None:
    """The connection is thrown away, and the next one works."""

    pool = BoundedPool(
        cluster.url("postgres"),
        application="test",
        size_max=1,
        deadline_s=0.3,
        lock_timeout_s=10,
        idle_in_transaction_timeout_s=10,
    )
    await pool.open()
    with pytest.raises(DatabaseTrouble):
        async with pool.connection() as connection:
            await connection.execute("SET statement_timeout = 0")
            await connection.execute("SELECT pg_sleep(60)")
    async with pool.connection() as connection:
        assert await connection.fetchval("SELECT 1") == 1
    assert pool.in_use == 0
    await pool.close()


async def test_the_isolation_level_is_the_pools(cluster: PostgresCluster) -> None:
    """Each statement sees what was committed before it, also where the database would have frozen its snapshot."""
    pool = BoundedPool(
        cluster.url("postgres"),
        application="test",
        size_max=1,
        deadline_s=10,
        lock_timeout_s=1,
        idle_in_transaction_timeout_s=1,
    )
    await pool.open()
    owner = await asyncpg.connect(cluster.url("postgres"))
    await owner.execute(
        "ALTER DATABASE postgres SET default_transaction_isolation = 'serializable'"
    )
    try:
        async with pool.transaction() as connection:
            level = await connection.fetchval("SELECT current_setting('transaction_isolation')")
    finally:
        await owner.execute("ALTER DATABASE postgres RESET default_transaction_isolation")
        await owner.close()
        await pool.close()
    assert level == "read committed"
