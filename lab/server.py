"""An HTTP server inside another program, which alone hears signals.

Guarantee: it serves for the length of a block; at the end it stops listening and finishes what is in flight.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI

# A browser needs no more; each page keeps one connection open.
_CONNECTIONS_MAX = 200
_GRACE_S = 2


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to what stops after the server."""
        yield


@asynccontextmanager
async def served(
    app: FastAPI, listener: socket.socket, close: Callable[[], None] = lambda: None
) -> AsyncIterator[None]:
    """`close` ends what is in flight and would not end by itself."""
    server = _Server(
        uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            server_header=False,
            limit_concurrency=_CONNECTIONS_MAX,
            timeout_graceful_shutdown=_GRACE_S,
            lifespan="off",
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        close()
        server.should_exit = True
        await serving
