"""A server of the tests leaves no connection behind, whenever it ends."""

import asyncio
import gc
import socket
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from tests.listening import Serve, listening
from tests.service_kit.http_guard.connection import next_turn

Listening = Callable[[Serve], AbstractAsyncContextManager[int]]


@asynccontextmanager
async def closing_at_once(serve: Serve) -> AsyncIterator[int]:
    """The same server, as asyncio closes it."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def left_behind(listening: Listening) -> list[str]:
    """What the garbage collector finds after connections that came one, two or three turns of the loop before the end."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for turns in range(4):
            async with listening(serve) as port:
                with socket.create_connection(("127.0.0.1", port)):
                    for _ in range(turns):
                        await next_turn()
        for _ in range(4):
            await next_turn()
        gc.collect()
    return [str(each.message) for each in found if "unclosed transport" in str(each.message)]


async def test_a_connection_at_the_last_moment() -> None:
    """It begins, and is closed like any other."""
    assert await left_behind(listening) == []


async def test_a_connection_that_is_left_behind_is_noticed() -> None:
    """The negative control."""
    assert len(await left_behind(closing_at_once)) == 1
