"""The standby of the embedded Postgres: it follows, it takes over, and what cannot be done is one sentence."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from stack import ports
from stack.__main__ import main
from stack.database import HOPS, REPLICATION, DatabaseServers
from stack.embedded import Stack
from stack.environ import of_child
from stack.processes import StackError
from stack.programs import run_to_end
from stack.schema import PROJECT
from stack.toxics import Toxiproxy

DATABASE = "kept"


@pytest.fixture
async def servers(admin: Toxiproxy, tmp_path: Path) -> AsyncIterator[DatabaseServers]:
    """A primary with a table, and its hops."""
    (tmp_path / "logs").mkdir()
    made = DatabaseServers(tmp_path, lambda: ports.choose("", None), lambda: None)
    await made.start()
    await made.primary.create_database(DATABASE)
    await made.open_hops(admin)
    await execute(made, "CREATE TABLE kept (x integer)")
    yield made
    await made.stop()


async def execute(servers: DatabaseServers, statement: str) -> None:
    connection = await asyncpg.connect(servers.owner_url(DATABASE))
    await connection.execute(statement)
    await connection.close()


async def rows(url: str) -> list[int]:
    connection = await asyncpg.connect(url)
    try:
        return [row["x"] for row in await connection.fetch("SELECT x FROM kept ORDER BY x")]
    finally:
        await connection.close()


async def test_there_and_back(servers: DatabaseServers) -> None:
    """Each promotion keeps what was committed; the hops keep their addresses; the next start finds the newest data."""
    await servers.join()
    first, hops = servers.primary, dict(servers.proxies)
    assert set(hops) == {*HOPS, *(f"{hop}-standby" for hop in HOPS), REPLICATION}
    await execute(servers, "INSERT INTO kept VALUES (1)")
    with pytest.raises(StackError, match="the primary still runs"):
        await servers.promote()
    await servers.end_primary()
    assert first.child.return_code == -signal.SIGKILL
    await servers.promote()
    await execute(servers, "INSERT INTO kept VALUES (2)")
    await servers.join()
    await execute(servers, "INSERT INTO kept VALUES (3)")
    assert {name: hops[name] for name in servers.proxies if name != REPLICATION} == {
        name: listen for name, listen in servers.proxies.items() if name != REPLICATION
    }
    await servers.end_primary()
    await servers.promote()
    assert servers.primary.folder == first.folder
    assert await rows(servers.owner_url(DATABASE)) == [1, 2, 3]


async def test_the_next_start_finds_the_promoted_server(
    servers: DatabaseServers, tmp_path: Path
) -> None:
    """Its data are the newest, and without a standby nothing waits for one."""
    await servers.join()
    await servers.end_primary()
    await servers.promote()
    await execute(servers, "INSERT INTO kept VALUES (7)")
    await servers.join()
    await servers.stop()
    again = DatabaseServers(tmp_path, lambda: ports.choose("", None), lambda: None)
    await again.start()
    try:
        async with asyncio.timeout(30):
            await execute(again, "INSERT INTO kept VALUES (8)")
        assert await rows(again.owner_url(DATABASE)) == [7, 8]
    finally:
        await again.stop()


async def test_commits_wait_for_the_standby(servers: DatabaseServers, admin: Toxiproxy) -> None:
    """As long as it is cut off; they end when it follows again."""
    await servers.join()
    await admin.disable(REPLICATION)
    writing = asyncio.create_task(execute(servers, "INSERT INTO kept VALUES (1)"))
    watcher = await asyncpg.connect(servers.primary.url(DATABASE))
    async with asyncio.timeout(30):
        while not await watcher.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        ):
            pass
    assert await rows(servers.primary.url(DATABASE)) == []
    await servers.follow_again()
    await writing
    assert await rows(servers.primary.url(DATABASE)) == [1]
    await watcher.close()


async def test_a_standby_that_cannot_be_made(servers: DatabaseServers, tmp_path: Path) -> None:
    """One sentence; the primary goes on and waits for no standby."""
    (tmp_path / "postgres-standby").write_text(
        "a file where the folder should be", encoding="utf-8"
    )
    with pytest.raises(StackError, match="^the standby could not be made: .*"):
        await servers.join()
    await execute(servers, "INSERT INTO kept VALUES (1)")
    assert servers.standby is None


async def test_a_standby_that_cannot_be_copied(servers: DatabaseServers, admin: Toxiproxy) -> None:
    """The way to the primary is closed, or its disk is full: one sentence with the reason of pg_basebackup."""
    hop = await admin.create("elsewhere", "127.0.0.1:9")
    servers.primary.port, port = int(hop.listen.rpartition(":")[2]), servers.primary.port
    try:
        with pytest.raises(StackError, match="^the standby could not be made: pg_basebackup: "):
            await servers.join()
    finally:
        servers.primary.port = port
    await execute(servers, "INSERT INTO kept VALUES (1)")


async def test_a_promotion_that_fails(servers: DatabaseServers) -> None:
    """The standby is gone as well: one sentence."""
    await servers.join()
    assert servers.standby is not None
    await servers.standby.child.end(signal.SIGKILL)
    await servers.end_primary()
    with pytest.raises(StackError, match="^the standby was not promoted: "):
        await servers.promote()


@pytest.mark.chaos
async def test_a_running_stack_fails_over(tmp_path: Path) -> None:
    """`promote` returns when stack.json names the new primary, and a second one has nothing to promote."""
    async with Stack(tmp_path, usual_ports=False, with_standby=True, forked=True) as stack:
        serving = asyncio.create_task(stack.serve_until_stopped())
        first = stack.postgres.folder
        argv = [sys.executable, "-m", "stack", "promote", "--run-dir", str(tmp_path)]
        ended = await run_to_end(argv, of_child(), PROJECT)
        assert ended.return_code == 0, ended.output
        assert stack.postgres.folder != first
        assert ended.output == f"The primary of Postgres is now {stack.postgres.folder}.\n"
        await stack.all_ready()
        ended = await run_to_end(argv, of_child(), PROJECT)
        assert ended.return_code == 2
        assert "the stack has no standby to promote" in ended.output
        serving.cancel()


def test_nothing_to_promote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and one sentence."""
    assert main(["promote", "--run-dir", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"stack: no stack runs in {tmp_path}.\n"


@pytest.mark.parametrize("words", [["--standby", "2"], ["--standby", "yes"]])
def test_a_standby_is_0_or_1(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and one sentence, before anything is started."""
    with pytest.raises(SystemExit) as ended:
        main(["up", *words])
    assert ended.value.code == 2
    assert "STANDBY is 1 or 0" in capsys.readouterr().err


async def test_a_restart_of_toxiproxy_after_the_rejoin() -> None:
    """The new primary's hops are kept for it: without that it would bring the dead server's back."""
    done: list[str] = []

    async def join() -> None:
        done.append("joined")

    async def keep() -> None:
        done.append("kept")

    stack: Any = object.__new__(Stack)
    stack._servers = SimpleNamespace(
        database=SimpleNamespace(join=join), toxiproxy=SimpleNamespace(keep_proxies=keep)
    )
    stack._write_description = lambda: done.append("described")
    await Stack.rejoin(stack)
    assert done == ["joined", "kept", "described"]


async def test_the_primary_is_stopped_first(servers: DatabaseServers) -> None:
    """It flushes its log to the standby; without that it would wait for it with its last commits."""
    await servers.join()
    done: list[str] = []
    for name in ("primary", "standby"):
        _note_its_end(getattr(servers, name), name, done)
    await servers.stop()
    assert done == ["primary", "standby"]


def _note_its_end(server: Any, name: str, done: list[str]) -> None:
    stop = server.stop

    async def noted() -> None:
        done.append(name)
        await stop()

    server.stop = noted
