"""Servers that are lent to one stack after the other: the next stack finds nothing of the one before."""

from pathlib import Path

import asyncpg
import pytest

from stack.embedded import Stack
from stack.servers import LentServers

pytestmark = pytest.mark.chaos


async def databases_of(servers: LentServers) -> set[str]:
    """All databases of the lent Postgres."""
    owner = await asyncpg.connect(servers.postgres.url("postgres"))
    rows = await owner.fetch("SELECT datname FROM pg_database WHERE NOT datistemplate")
    await owner.close()
    return {row[0] for row in rows}


async def test_nothing_is_left_for_the_next_stack(tmp_path: Path, servers: LentServers) -> None:
    """The servers run on; database, proxies and toxics are gone, also those of a Toxiproxy that died meanwhile."""
    before = await databases_of(servers)
    async with Stack(tmp_path / "one", usual_ports=False, servers=servers) as one:
        assert one.postgres is servers.postgres
        assert await databases_of(servers) - before
        owner = await asyncpg.connect(one.databases["owner"])
        await owner.execute("INSERT INTO billing.accounts VALUES ('of the first', 1, 1)")
        await owner.close()
        deaths = len(one.toxiproxy_child.deaths)
        await one.toxiproxy_child.crash()
        await one.toxiproxy_child.running_after(deaths + 1)
        pids = (servers.postgres.child.pid, servers.toxiproxy.child.pid)
    assert await databases_of(servers) == before
    assert await servers.toxiproxy.admin.proxies() == {}
    async with Stack(tmp_path / "two", usual_ports=False, servers=servers) as two:
        assert (servers.postgres.child.pid, servers.toxiproxy.child.pid) == pids
        assert two.proxies.keys() == one.proxies.keys()
        owner = await asyncpg.connect(two.databases["owner"])
        accounts = [row[0] for row in await owner.fetch("SELECT account FROM billing.accounts")]
        await owner.close()
    assert sorted(accounts) == ["alice", "bob", "carol"]
