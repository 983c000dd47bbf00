"""What is announced is compared with the limit, whatever the server before it lets through."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.types import Message, Receive, Scope, Send

from service_kit import problem_details
from service_kit.problem_details import BodyLimit, ProblemCatalogue
from tests.service_kit.http_guard.connection import next_turn


def application() -> FastAPI:
    """Reads its body."""
    app = FastAPI()
    catalogue = problem_details.install(app, ProblemCatalogue.of(()))
    app.add_middleware(BodyLimit, catalogue=lambda: catalogue, limit_bytes=10)

    @app.post("/")
    async def read(request: Request) -> int:
        return len(await request.body())

    return app


@pytest.mark.parametrize(
    ("length", "status"),
    [
        (b"3", 200),
        (b"10", 200),
        (b"0" * 5000 + b"3", 200),
        (b"0" * 5000, 200),
        (b"11", 413),
        (b"9" * 5000, 413),
        (b"0" * 5000 + b"11", 413),
        (b"11 ", 413),
    ],
    ids=lambda value: str(value)[:12],
)
async def test_an_announced_length(length: bytes, status: int) -> None:
    """Thousands of digits are a length like another: above the limit, or zeros and a small one."""
    transport = httpx.ASGITransport(application())
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        response = await client.post("/", content=b"abc", headers=[(b"content-length", length)])
    assert response.status_code == status
    if status == 413:
        assert response.json()["detail"] == "The limit is 10 bytes."
        assert response.headers["Connection"] == "close"


async def test_an_answer_that_has_begun() -> None:
    """It is not begun a second time when the body turns out to be too large: the connection just ends."""

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (await receive())["more_body"]:
            pass

    parts = iter([b"12345", b"678901"])
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": next(parts), "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    limited = BodyLimit(app, lambda: ProblemCatalogue.of(()), limit_bytes=10)
    await limited({"type": "http", "headers": []}, receive, send)
    assert [message["type"] for message in sent] == ["http.response.start"]


@pytest.mark.parametrize("more", [[], [(b"content-length", b"3")], [(b"content-length", b"x")]])
async def test_a_length_that_does_not_count(more: list[tuple[bytes, bytes]]) -> None:
    """A body in chunks is counted, also beside a length: the transfer coding overrides it (RFC 9112, section 6.3)."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"12345"
        yield b"678901"

    transport = httpx.ASGITransport(application())
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        headers = [(b"transfer-encoding", b"chunked"), *more]
        response = await client.post("/", content=chunks(), headers=headers)
    assert response.status_code == 413


async def test_each_request_is_counted_for_itself() -> None:
    """Two bodies of unknown length that come at the same time are neither added up nor forgotten."""
    limit = application()
    first, second = Chunks(), Chunks()
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(first.sent_to(limit))
        await first.give(b"x" * 6)
        group.create_task(second.sent_to(limit))
        await second.give(b"x" * 3, last=True)
        await first.give(b"x" * 6, last=True)
    assert (first.status, second.status) == (413, 200)


class Chunks:
    """A request whose body comes piece by piece."""

    def __init__(self) -> None:
        self.status = 0
        self._pieces: asyncio.Queue[Message] = asyncio.Queue()

    async def give(self, piece: bytes, *, last: bool = False) -> None:
        """Returns when it was taken."""
        self._pieces.put_nowait({"type": "http.request", "body": piece, "more_body": not last})
        while not self._pieces.empty():
            await next_turn()

    async def sent_to(self, app: FastAPI) -> None:
        async def receive() -> Message:
            return await self._pieces.get()

        async def send(message: Message) -> None:
            self.status = message.get("status", self.status)

        headers = [(b"transfer-encoding", b"chunked"), (b"content-type", b"text/plain")]
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/",
            "headers": headers,
            "query_string": b"",
        }
        await app(scope, receive, send)
