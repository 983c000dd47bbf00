"""What is announced is compared with the limit, whatever the server before it lets through."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.types import Message, Receive, Scope, Send

from service_kit import problem_details
from service_kit.problem_details import BodyLimit, ProblemCatalogue


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
