"""A standby that never confirms: Postgres waits for one of a name that no server has.

Guarantee: afterwards nothing waits any more. Tests of one process share a cluster and run one after the other.
"""

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
