"""Servers within the process of the tests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from tests.service_kit.http_guard.connection import next_turn

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[int]:
    """Serves each connection of a free port of 127.0.0.1, the port, until the block ends."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        # asyncio leaves a connection open that is accepted and has not begun when its server closes: it begins first.
        asyncio.get_running_loop().remove_reader(server.sockets[0].fileno())
        await next_turn()
        server.close()
