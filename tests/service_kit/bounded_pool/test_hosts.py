"""Several servers in one URL: a silent one holds nothing up, and the one that can write is found."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from service_kit.bounded_pool import DatabaseTrouble, SessionRefused
from service_kit.bounded_pool.hosts import each_of
from tests.listening import listening
from tests.service_kit.bounded_pool.conftest import Open


@pytest.mark.parametrize(
    ("url", "urls"),
    [
        ("postgresql://u:p@a:1/d", ["postgresql://u:p@a:1/d"]),
        ("postgresql://u@a:1,b:2/d?x=1", ["postgresql://u@a:1/d?x=1", "postgresql://u@b:2/d?x=1"]),
        ("postgresql://a,[::1]:2/d", ["postgresql://a/d", "postgresql://[::1]:2/d"]),
        ("postgresql:///d?host=/socket", ["postgresql:///d?host=/socket"]),
    ],
)
def test_each_host_has_its_url(url: str, urls: list[str]) -> None:
    """All else of the URL stays."""
    assert each_of(url) == urls


@pytest.fixture
async def silent() -> AsyncIterator[tuple[str, list[int]]]:
    """A server that accepts connections and says nothing, as one that is suspended; and its connections, counted."""
    accepted: list[int] = []

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(1)
        await reader.read()
        await reader.read()
        writer.close()

    async with listening(say_nothing) as port:
        yield f"127.0.0.1:{port}", accepted


def with_first(url: str, host: str) -> str:
    account, _, rest = url.rpartition("@")
    return f"{account}@{host},{rest}"


async def test_a_silent_server_comes_first(
    open_pool: Open, database: Any, silent: tuple[str, list[int]]
) -> None:
    """It takes its share of the time, once: the next connection goes to the server that was found."""
    host, accepted = silent
    async with open_pool(with_first(database.billing, host), deadline_s=6) as pool:
        async with pool.connection() as one, pool.connection() as other:
            assert await one.fetchval("SELECT 1") == await other.fetchval("SELECT 1") == 1
        assert len(accepted) == 1


async def test_a_server_that_only_reads_comes_first(
    open_pool: Open, database: Any, owner: Any
) -> None:
    """The most telling error counts: that the server only reads, and not that another one is away."""
    await owner.execute(
        f'ALTER DATABASE "{database.billing.rpartition("/")[2]}" SET default_transaction_read_only = on'
    )
    try:
        url = with_first(database.billing, "127.0.0.1:9")
        async with open_pool(url) as pool:
            with pytest.raises(SessionRefused, match="only read"):
                async with pool.connection():
                    pass
    finally:
        connection = await asyncpg.connect(database.owner)
        await connection.execute("SET default_transaction_read_only = off")
        await connection.execute(
            f'ALTER DATABASE "{database.billing.rpartition("/")[2]}" RESET default_transaction_read_only'
        )
        await connection.close()


async def test_a_server_that_can_write_comes_last(
    open_pool: Open, database: Any, owner: Any, silent: tuple[str, list[int]]
) -> None:
    """After one that only reads and one that says nothing."""
    await owner.execute("CREATE ROLE only_reads LOGIN PASSWORD 'o' IN ROLE billing_service")
    await owner.execute("ALTER ROLE only_reads SET default_transaction_read_only = on")
    try:
        async with open_pool(with_first(database.billing, silent[0]), deadline_s=6) as pool:
            hosts = vars(pool)["_hosts"]
            reads = database.billing.replace("billing_service:b@", "only_reads:o@")
            hosts._urls.insert(0, reads)
            async with pool.connection() as connection:
                assert await connection.fetchval("SELECT current_user") == "billing_service"
            assert vars(hosts)["_urls"][0] == database.billing
    finally:
        await owner.execute("DROP ROLE only_reads")


async def test_no_server_is_there(open_pool: Open) -> None:
    """One of the connection errors is told."""
    async with open_pool("postgresql://u:p@127.0.0.1:9,127.0.0.1:7/d") as pool:
        with pytest.raises(DatabaseTrouble):
            async with pool.connection():
                pass
