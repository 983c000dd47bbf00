"""Servers that several stacks have one after the other: nothing of one stack is left for the next."""

from contextlib import suppress

import asyncpg

from stack.servers import LentServers
from stack.toxics import Latency, ToxiproxyError
from stack.waiting import until

ACCOUNT = "INSERT INTO billing.accounts (account, opening_balance_cents, balance_cents) VALUES ('ada', 1, 1)"


async def databases(servers: LentServers) -> set[str]:
    """The names of all that the cluster has."""
    connection = await asyncpg.connect(servers.postgres.url("postgres"))
    try:
        return {row["datname"] for row in await connection.fetch("SELECT datname FROM pg_database")}
    finally:
        await connection.close()


async def test_a_restart_of_toxiproxy_brings_no_proxy_back(servers: LentServers) -> None:
    """What was kept for a restart is that of the stack that has the servers now."""
    name = await servers.open_database()
    await servers.toxiproxy.admin.create("billing", "127.0.0.1:9")
    await servers.toxiproxy.keep_proxies()
    await servers.close_database(name)
    deaths = len(servers.toxiproxy.child.deaths)
    await servers.toxiproxy.child.crash()
    await servers.toxiproxy.child.running_after(deaths + 1)

    async def proxies() -> bool:
        with suppress(ToxiproxyError):
            return await servers.toxiproxy.admin.proxies() == {}
        return False

    await until(proxies, 30, "Toxiproxy has no proxy")


async def test_a_stack_leaves_nothing_for_the_next_one(servers: LentServers) -> None:
    """Each has a database with the newest schema and no rows, and no proxy of the one before it; the servers run on."""
    before = await databases(servers)
    pids = (servers.postgres.child.pid, servers.toxiproxy.child.pid)
    names = []
    for _ in range(2):
        names.append(await servers.open_database())
        assert await servers.toxiproxy.admin.proxies() == {}
        connection = await asyncpg.connect(servers.postgres.url(names[-1]))
        assert await connection.fetchval("SELECT count(*) FROM billing.accounts") == 0
        await connection.execute(ACCOUNT)
        await servers.toxiproxy.admin.create("billing", "127.0.0.1:9")
        await servers.toxiproxy.admin.arm("billing", Latency(latency_ms=1))
        # The session of a process that did not end does not keep its database.
        await servers.close_database(names[-1])
        connection.terminate()
    assert len(set(names)) == 2
    assert await databases(servers) == before
    assert (servers.postgres.child.pid, servers.toxiproxy.child.pid) == pids
