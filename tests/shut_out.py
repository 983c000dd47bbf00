"""A role without its database: it has no session, and gets none.

Guarantee: a session that was beginning when the role was shut out is ended, too. It has passed the check of the limit, and names its
application only later; a single look for sessions would miss it, and its owner would go on as if nothing had happened.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

_PAUSE_S = 0.02


@asynccontextmanager
async def shut_out(url: str, role: str) -> AsyncIterator[None]:
    """Inside the block the role cannot connect to any database of the server. `url` is that of the owner."""
    owner = await asyncpg.connect(url)
    await owner.execute(f"ALTER ROLE {role} CONNECTION LIMIT 0")
    try:
        await _end_sessions(owner, role)
        ending = asyncio.create_task(_keep_ending_sessions(owner, role))
        try:
            yield
        finally:
            ending.cancel()
            await asyncio.gather(ending, return_exceptions=True)
    finally:
        await owner.close()
        # A statement of the task may have been cut off with its session.
        owner = await asyncpg.connect(url)
        await owner.execute(f"ALTER ROLE {role} CONNECTION LIMIT -1")
        await owner.close()


async def _keep_ending_sessions(owner: "asyncpg.Connection[asyncpg.Record]", role: str) -> None:
    while True:
        await asyncio.sleep(_PAUSE_S)
        await _end_sessions(owner, role)


async def _end_sessions(owner: "asyncpg.Connection[asyncpg.Record]", role: str) -> None:
    await owner.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", role
    )
