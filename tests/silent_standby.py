"""A standby that never confirms: Postgres waits for one of a name that no server has.

Guarantee: afterwards nothing waits any more. Tests of one process share a cluster and run one after the other.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from stack.postgres import PostgresCluster
from stack.waiting import until

_BOUND_S = 30


@asynccontextmanager
async def silent_standby(cluster: PostgresCluster) -> AsyncIterator[Any]:
    """Gives a connection of the owner, whose own commits wait for nothing. Inside, commits of all others wait for ever."""
    owner = await asyncpg.connect(cluster.url("postgres"))
    await owner.execute("SET synchronous_commit = local")
    await _set(owner, cluster, "SET synchronous_standby_names = 'nobody'", "nobody")
    try:
        # Commits begin to wait when the checkpointer has heard of it, and that may be later.
        await until(lambda: _a_commit_waits(owner, cluster), _BOUND_S, "a commit waits")
        yield owner
    finally:
        await _set(owner, cluster, "RESET synchronous_standby_names", "")
        await owner.close()


async def waiting(owner: Any, role: str = "billing_service") -> list[int]:
    """The sessions of a role that wait for the standby."""
    rows = await owner.fetch(
        "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND usename = $1", role
    )
    return [row["pid"] for row in rows]


async def until_one_waits(owner: Any, role: str = "billing_service") -> list[int]:
    """Returns when a session of the role waits."""
    return await until(lambda: waiting(owner, role), _BOUND_S, "a commit waits for the standby")


async def _a_commit_waits(owner: Any, cluster: PostgresCluster) -> bool:
    session = await asyncpg.connect(cluster.url("postgres"))
    pid = session.get_server_pid()
    committing = asyncio.create_task(
        session.execute("SELECT pg_logical_emit_message(true, 'a commit', '')")
    )
    waits = "SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = $1"

    async def decided() -> bool:
        return committing.done() or bool(await owner.fetchval(waits, pid))

    await until(decided, _BOUND_S, "the commit waits or has ended")
    waited = not committing.done()
    # Else it would wait for ever; the wait of a session that is terminated ends at once.
    await owner.execute("SELECT pg_terminate_backend($1)", pid)
    await asyncio.wait((committing,))
    session.terminate()
    if not committing.cancelled():
        committing.exception()
    return waited


async def _set(owner: Any, cluster: PostgresCluster, change: str, expected: str) -> None:
    await owner.execute(f"ALTER SYSTEM {change}")
    await owner.execute("SELECT pg_reload_conf()")

    async def told() -> bool:
        # New sessions have the setting of the postmaster, which hears of it last.
        connection = await asyncpg.connect(cluster.url("postgres"))
        try:
            found: str = await connection.fetchval("SHOW synchronous_standby_names")
            still = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            )
        finally:
            await connection.close()
        return found == expected and (expected != "" or still == 0)

    await until(told, _BOUND_S, "the setting holds")
