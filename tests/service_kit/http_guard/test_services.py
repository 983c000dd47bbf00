"""The guard in front of the real services, started as their documents say: a plain `uvicorn`, without a flag."""

import json
from typing import Any

import aiohttp
import httpx
import pytest

from service_kit.http_guard import REFUSALS
from stack import ports
from tests.service_kit.http_guard.connection import Answer
from tests.service_kit.http_guard.server import Server

PROBES = ("/healthz", "/readyz", "/metrics")
PATHS = {
    "order_service": "/orders",
    "billing_service": "/charges",
    "notification_service": "/notifications",
}
BODIES: dict[str, dict[str, Any]] = {
    "/orders": {"customer": "alice", "amount_cents": 1, "item": "book", "delivery": "at_most_once"},
    "/charges": {
        "order_id": "00000000-0000-4000-8000-000000000001",
        "account": "alice",
        "amount_cents": 1,
    },
    "/notifications": {
        "notification_id": "00000000-0000-4000-8000-000000000002",
        "order_id": "00000000-0000-4000-8000-000000000001",
        "customer": "alice",
        "text": "hello",
    },
}
# What a whole request is answered with: no unsafe delivery, no such account, an arrival.
GOOD = {"/orders": 422, "/charges": 404, "/notifications": 202}
CLOSE = b"Connection: close\r\n"


async def path_of(server: Server) -> str:
    """Which service it is."""
    (answer,) = await server.ask(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n" + CLOSE + b"\r\n")
    return PATHS[answer.json["service"]]


def post(path: str, fields: bytes, close: bytes = CLOSE) -> tuple[bytes, bytes]:
    """A head without its framing, and a good body."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n".encode()
    return head + close + fields, json.dumps(BODIES[path]).encode()


TOKEN = b"Authorization: Bearer token-of-order_service\r\n"
KEY = b'Idempotency-Key: "1"\r\n'


def segmentations(data: bytes) -> tuple[tuple[bytes, ...], ...]:
    return (data,), tuple(data[i : i + 1] for i in range(len(data)))


def assert_problem(answer: Answer, status: int) -> None:
    assert answer.status == status
    assert answer.fields["content-type"] == "application/problem+json"
    assert answer.json["status"] == status


async def test_each_refusal_has_a_page(service: Server) -> None:
    """The type of a guard's problem opens; the list names it, and so does each operation of the OpenAPI document."""
    async with httpx.AsyncClient(base_url=f"http://{ports.LOOPBACK}:{service.port}") as client:
        index = (await client.get("/problems/")).text
        document = (await client.get("/openapi.json")).json()
        for refusal in REFUSALS:
            page = await client.get(f"/problems/{refusal.slug}")
            assert page.status_code == 200
            assert refusal.title in page.text
            assert refusal.slug in index
            for operations in document["paths"].values():
                for operation in operations.values():
                    assert str(refusal.status) in operation["responses"]


async def test_a_head_that_is_too_large(service: Server) -> None:
    """431, with a type of this service; it is counted, and logged once."""
    head = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    for _ in range(3):
        (answer,) = await service.ask(head + b"A: " + b"x" * 20_000 + b"\r\n\r\n")
        assert_problem(answer, 431)
    (page,) = await service.ask(
        f"GET {answer.json['type']} HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode() + CLOSE + b"\r\n"
    )
    assert page.status == 200
    (metrics,) = await service.ask(
        b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n" + CLOSE + b"\r\n"
    )
    assert b'http_guard_ended_total{reason="head-too-large"} 3.0' in metrics.body
    lines = [
        json.loads(line)
        for line in service.child.log.read_text(encoding="utf-8").splitlines()
        if line[:1] == "{"
    ]
    assert [line["count"] for line in lines if line.get("reason") == "head-too-large"] == [1]


@pytest.mark.parametrize("path", PROBES)
async def test_head_of_a_probe(service: Server, path: str) -> None:
    """The status and the fields of GET, and no body."""
    answers = {}
    for method in ("GET", "HEAD"):
        request = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode() + CLOSE + b"\r\n"
        reader = await service.raw(request)
        head, _, body = reader.partition(b"\r\n\r\n")
        answers[method] = head.split(b"\r\n")[0], body
    assert answers["HEAD"] == (answers["GET"][0], b"")
    assert answers["GET"][0] == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize("method", ["OPTIONS", "DELETE", "PATCH", "TRACE"])
async def test_another_method(service: Server, method: str) -> None:
    """405 and the methods that there are, of every route of the path."""
    path = await path_of(service)
    for where, allowed in (("/healthz", "GET, HEAD"), (path, None)):
        if method == "DELETE" and where == "/charges":
            continue
        (answer,) = await service.ask(
            f"{method} {where} HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode() + CLOSE + b"\r\n"
        )
        assert_problem(answer, 405)
        assert (
            "POST" in answer.fields["allow"]
            if allowed is None
            else answer.fields["allow"] == allowed
        )


async def test_a_slash_too_many(service: Server) -> None:
    """404, and never a redirect, which would lead to the host that the caller names."""
    path = await path_of(service)
    for method, where in (
        ("POST", f"{path}/"),
        ("GET", f"{path}/"),
        ("GET", "/healthz/"),
        ("GET", "/problems"),
    ):
        request = f"{method} {where} HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode() + CLOSE + b"\r\n"
        (answer,) = await service.ask(request)
        assert_problem(answer, 404)
        assert "location" not in answer.fields


async def test_an_upgrade_is_not_taken(service: Server) -> None:
    """The request is answered as if it did not wish for another protocol; its body is read, in any segments."""
    path = await path_of(service)
    for wish in (b"h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA", b"websocket", b"TLS/1.0"):
        fields = (
            b"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: "
            + wish
            + b"\r\n"
            + TOKEN
            + KEY
        )
        head, body = post(path, fields, b"")
        data = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        for segments in segmentations(data):
            (answer,) = await service.ask(*segments)
            assert answer.status == GOOD[path]


async def test_a_token_in_a_trailer(service: Server) -> None:
    """It authenticates no client, in one segment or byte by byte."""
    path = await path_of(service)
    if path == "/orders":
        return
    head, body = post(path, b"Transfer-Encoding: chunked\r\n" + KEY + b"\r\n")
    data = head + b"%x\r\n" % len(body) + body + b"\r\n0\r\n" + TOKEN + b"\r\n"
    for segments in segmentations(data):
        (answer,) = await service.ask(*segments)
        assert_problem(answer, 401)


async def test_a_length_of_thousands_of_digits(service: Server) -> None:
    """400, and no traceback in the log."""
    path = await path_of(service)
    for digits in (b"9" * 5000, b"0" * 5000 + b"5", b"+5", b"5_0", b"-5", b"5, 5"):
        head, body = post(path, TOKEN + KEY + b"Content-Length: " + digits + b"\r\n\r\n")
        (answer,) = await service.ask(head + body)
        assert_problem(answer, 400)
    assert "Traceback" not in service.child.log.read_text(encoding="utf-8")


@pytest.mark.parametrize("size", [64 * 1024 + 1, 10_000_000])
async def test_a_body_that_is_too_large(service: Server, size: int) -> None:
    """413 reaches a caller that is still sending."""
    path = await path_of(service)
    head, _ = post(path, TOKEN + KEY + b"Content-Length: %d\r\n\r\n" % size)
    (answer,) = await service.ask(head + b" " * size)
    assert_problem(answer, 413)


async def test_ordinary_clients(service: Server) -> None:
    """The control: keep-alive, concurrency, chunked bodies and the largest body, with two clients."""
    path = await path_of(service)
    url = f"http://{ports.LOOPBACK}:{service.port}"
    fields = {
        "Authorization": "Bearer token-of-order_service",
        "Idempotency-Key": '"1"',
        "Content-Type": "application/json",
    }
    body = json.dumps(BODIES[path]).encode()
    largest = body + b" " * (64 * 1024 - len(body))

    async def in_chunks() -> Any:
        for i in range(0, len(body), 10):
            yield body[i : i + 10]

    async with httpx.AsyncClient(base_url=url, headers=fields) as client:
        for content in (body, in_chunks(), largest, body):
            assert (await client.post(path, content=content)).status_code == GOOD[path]
        assert (await client.get("/healthz")).status_code == 200
    async with aiohttp.ClientSession(url, headers=fields) as session:
        for data in (body, in_chunks(), largest, body):
            async with session.post(path, data=data) as response:
                assert response.status == GOOD[path]
