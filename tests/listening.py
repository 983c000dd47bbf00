"""Servers within the process of the tests, and a wire to a server that can be cut."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

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


@asynccontextmanager
async def wire(url: str) -> AsyncIterator[tuple[str, Callable[[], None]]]:
    """Another URL of the same server, and how to cut what is connected: it stays open, and carries nothing any more, not even an end."""
    port = urlsplit(url).port
    cuts = 0
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        of_server, to_server = await asyncio.open_connection("127.0.0.1", port)
        writers.extend((writer, to_server))
        cuts_before = cuts

        async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError):
                while data := await source.read(65_536):
                    if cuts == cuts_before:
                        target.write(data)
            if cuts == cuts_before:
                target.close()

        await asyncio.gather(carry(reader, to_server), carry(of_server, writer))

    def cut() -> None:
        nonlocal cuts
        cuts += 1

    async with listening(serve) as at:
        try:
            yield url.replace(f":{port}/", f":{at}/"), cut
        finally:
            for each in writers:
                each.close()
