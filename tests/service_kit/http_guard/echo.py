"""An application that tells what it was given, and one that takes its time.

Guarantee: what a test sees in an answer is what came through the guard to the application, and nothing else.
"""

import asyncio
import json
import os
import threading
from collections.abc import Awaitable, Callable

from starlette.types import Receive, Scope, Send

from tests.service_kit.http_guard import pace


def create() -> "Echo":
    """The factory for uvicorn."""
    return Echo()


def create_that_computes() -> "Echo":
    """Another factory: an answer takes 1.3 seconds of a usual core, in which the loop does nothing else."""

    async def compute() -> None:
        pace.compute(1.3)

    return Echo(compute)


def create_that_waits() -> "Echo":
    """Another factory: an answer waits for 1.3 seconds, in which the loop does nothing else, either."""

    async def wait() -> None:
        threading.Event().wait(1.3)

    return Echo(wait)


async def _nothing() -> None: ...


class Echo:
    """`/echo` tells of its request, `/wait` and `/readyz` answer after `/go` was asked for, `/large` has a long answer.

    `/early` answers before it has read its body, `/begun` begins its answer before and ends it after `/go` was asked for.
    """

    def __init__(self, before: Callable[[], Awaitable[None]] = _nothing) -> None:
        self.before = before
        self.go = asyncio.Event()
        self.complete = 0
        self.begun = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _lifespan(receive, send)
            return
        await self.before()
        self.begun += 1
        body = b""
        whole = scope["path"] in ("/early", "/begun")
        while not whole:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            whole = not message["more_body"]
        self.complete += 1
        if scope["path"] in ("/wait", "/readyz"):
            await self.go.wait()
        if scope["path"] == "/go":
            self.go.set()
        told = {
            "method": scope["method"],
            "path": scope["path"],
            "query": scope["query_string"].decode(),
            "body": body.decode("latin-1"),
            "headers": [[n.decode("latin-1"), v.decode("latin-1")] for n, v in scope["headers"]],
            "begun": self.begun,
            "complete": self.complete,
            "pid": os.getpid(),
        }
        answer = b"x" * 200_000 if scope["path"] == "/large" else json.dumps(told).encode()
        headers = [(b"content-length", b"%d" % len(answer)), (b"x-answer", scope["path"].encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["path"] == "/begun":
            await send({"type": "http.response.body", "body": answer[:1], "more_body": True})
            await self.go.wait()
            answer = answer[1:]
        await send({"type": "http.response.body", "body": answer})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
