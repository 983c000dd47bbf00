"""A role without its database: it has no session, and gets none.

Guarantee: a session that was beginning when the role was shut out is ended, too. It has passed the check of the limit, and names its
application only later; a single look for sessions would miss it, and its owner would go on as if nothing had happened.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg

_PAUSE_S = 0.02
_END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1"


@asynccontextmanager
async def shut_out(url: str, role: str) -> AsyncIterator[None]:
    """Inside the block the role cannot connect to any database of the server. `url` is that of the owner."""
    owner = await asyncpg.connect(url)
    await owner.execute(f"ALTER ROLE {role} CONNECTION LIMIT 0")
    try:
        await owner.execute(_END_SESSIONS, role)
        over = asyncio.Event()
        ending = asyncio.create_task(_end_sessions_until(over, owner, role))
        try:
            yield
        finally:
            over.set()
            await ending
    finally:
        await owner.execute(f"ALTER ROLE {role} CONNECTION LIMIT -1")
        await owner.close()


async def _end_sessions_until(
    over: asyncio.Event, owner: "asyncpg.Connection[asyncpg.Record]", role: str
) -> None:
    while not over.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(_PAUSE_S):
                await over.wait()
        await owner.execute(_END_SESSIONS, role)
