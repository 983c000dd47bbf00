"""The embedded servers: a port that is taken at the last moment, another server at the same port, a crash."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
import pytest

from stack import ports
from stack import toxiproxy as toxiproxy_module
from stack.postgres import PostgresCluster
from stack.processes import StackError
from stack.toxics import LimitData, Toxiproxy, ToxiproxyError
from stack.toxiproxy import ToxiproxyServer
from stack.waiting import until
from tests.evidence import BOUND_S


@contextmanager
def taken() -> Iterator[int]:
    """A port at which another program listens."""
    with ports.listen("", None) as listener:
        yield ports.port_of(listener)


@asynccontextmanager
async def toxiproxy(binary: Path, directory: Path, *chosen: int) -> AsyncIterator[ToxiproxyServer]:
    """A server that tries these ports first, then free ones."""
    directory.mkdir()
    offered = iter(chosen)
    server = ToxiproxyServer(
        binary, directory / "toxiproxy.log", lambda: next(offered, 0) or ports.choose("", None)
    )
    await server.start()
    yield server
    await server.stop()


async def test_postgres_finds_another_port(tmp_path: Path) -> None:
    """Another program took the port between its choice and its use."""
    with taken() as port:
        offered = iter((port,))
        cluster = PostgresCluster(
            tmp_path / "data",
            tmp_path / "postgres.log",
            lambda: next(offered, 0) or ports.choose("", None),
        )
        await cluster.start()
        assert cluster.port != port
        connection = await asyncpg.connect(cluster.url("postgres"))
        await connection.close()
        await cluster.stop()


async def test_postgres_gives_up_in_one_sentence(tmp_path: Path) -> None:
    """No port can be had: the start fails with the end of the log, and no process is left."""
    with taken() as port:
        cluster = PostgresCluster(tmp_path / "data", tmp_path / "postgres.log", lambda: port)
        with pytest.raises(StackError, match="could not bind"):
            await cluster.start()
        assert not cluster.child.running


async def test_another_toxiproxy_is_not_taken_for_ours(
    toxiproxy_binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers at the port and has the right version; ours finds another port, without waiting for its own answer in vain."""
    monkeypatch.setattr(toxiproxy_module, "_START_TIMEOUT_S", 10 * BOUND_S)
    async with toxiproxy(toxiproxy_binary, tmp_path / "theirs") as theirs:
        port = int(theirs.url.rpartition(":")[2])
        async with (
            asyncio.timeout(BOUND_S),
            toxiproxy(toxiproxy_binary, tmp_path / "ours", port) as ours,
        ):
            assert ours.url != theirs.url
            await ours.admin.create("billing", "127.0.0.1:9")
            assert await theirs.admin.proxies() == {}


async def test_proxies_come_back_after_a_crash(toxiproxy_binary: Path, tmp_path: Path) -> None:
    """At the same addresses, and without their toxics: what was armed does not count as armed any more."""
    async with toxiproxy(toxiproxy_binary, tmp_path / "server") as server:
        before = await server.admin.create("billing", "127.0.0.1:9")
        await server.keep_proxies()
        await server.admin.arm("billing", LimitData(bytes=0))
        await server.child.crash()
        await server.child.running_after(1)
        again = Toxiproxy(server.url)

        async def back() -> bool:
            try:
                return (await again.proxies()).get("billing") == before
            except ToxiproxyError:
                return False

        assert await until(back, 20, "the proxy is back")
        assert await again.toxics("billing") == []
