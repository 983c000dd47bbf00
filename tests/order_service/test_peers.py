"""The border at which HTTP's failures become outcomes, against real sockets that misbehave."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from billing_service.wire import Charge
from order_service.peers import Acknowledged, Outcome, Peers, Refused, Unknown, open_transport

CHARGE = Charge(order_id=UUID(int=1), account="alice", amount_cents=5)
Server = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def peers_of(serve: Server, attempt_timeout_s: float = 5.0) -> AsyncIterator[Peers]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    peers = peers_at(port, attempt_timeout_s)
    try:
        yield peers
    finally:
        await peers.close()
        server.close()
        await server.wait_closed()


def peers_at(port: int, attempt_timeout_s: float = 5.0) -> Peers:
    return Peers(
        open_transport(10),
        billing_url=f"http://127.0.0.1:{port}/",
        billing_token="t",
        notification_url=f"http://127.0.0.1:{port}",
        notification_token="t",
        attempt_timeout_s=attempt_timeout_s,
    )


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if b"content-length" in line
    )
    return head + await reader.readexactly(length)


def answering(raw: bytes, seen: list[bytes] | None = None) -> Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        if seen is not None:
            seen.append(request)
        writer.write(raw)
        await writer.drain()
        writer.close()

    return serve


def http(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def outcome_of(serve: Server, attempt_timeout_s: float = 5.0) -> Outcome:
    async with peers_of(serve, attempt_timeout_s) as peers:
        return await peers.charge(CHARGE, 42, retry=True, first_incomplete=37)


async def test_the_headers_are_structured_fields() -> None:
    """The key goes out as a quoted String and the flag as a Boolean, as RFC 9651 writes them."""
    seen: list[bytes] = []
    await outcome_of(answering(http(201, b"{}"), seen))
    head = seen[0].split(b"\r\n\r\n")[0].lower().split(b"\r\n")
    assert b'idempotency-key: "42"' in head
    assert b"idempotency-retry: ?1" in head
    assert b"idempotency-first-incomplete: 37" in head
    assert b"request-timeout: 5.0" in head
    assert any(
        re.fullmatch(rb"traceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-01", line) for line in head
    )
    assert b"authorization: bearer t" in head


async def test_a_closed_connection_is_unknown() -> None:
    """The server took the request and closed: it may have executed it. (The transport calls this ConnectTimeout.)"""
    outcome = await outcome_of(answering(b""))
    assert isinstance(outcome, Unknown)
    assert outcome.caller_saw == "ServerDisconnectedError: Server disconnected"


async def test_a_notice_has_the_deadline_of_an_attempt() -> None:
    """Billing says nothing to what it is told about settled keys: whoever tells it has other things to do."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await reader.read()
        writer.close()

    async with asyncio.timeout(20), peers_of(silent, attempt_timeout_s=0.2) as peers:
        assert not await peers.declare_settled(37)


async def test_a_reset_connection_is_unknown() -> None:
    """RST after the request was sent: it may have been executed."""

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.transport.abort()

    assert isinstance(await outcome_of(reset), Unknown)


async def test_nobody_listening_is_refused() -> None:
    """No connection, no request: definitely not executed, and another attempt may do better."""
    server = await asyncio.start_server(answering(b""), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    peers = peers_at(port)
    outcome = await peers.charge(CHARGE, 42, retry=False, first_incomplete=37)
    await peers.close()
    assert isinstance(outcome, Refused)
    assert outcome.answer is None


async def test_a_slow_drip_ends_at_the_deadline() -> None:
    """Bytes keep coming, so no read timeout would ever fire; the total deadline does."""
    dripped = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        raw = http(201, b"{" + b" " * 10_000 + b"}")
        loop = asyncio.get_running_loop()
        try:
            for byte in raw:
                writer.write(bytes([byte]))
                await writer.drain()
                dripped.set()
                pause = loop.create_future()
                loop.call_later(0.01, pause.set_result, None)
                await pause
        except ConnectionError:
            pass

    outcome = await outcome_of(drip, attempt_timeout_s=0.3)
    assert outcome == Unknown("Timeout: no answer within 0.3 s")
    assert dripped.is_set()


async def test_a_truncated_answer_is_unknown() -> None:
    """Half a body proves that something was answered, not what."""
    raw = b"HTTP/1.1 201 X\r\nContent-Length: 500\r\n\r\n{"
    assert isinstance(await outcome_of(answering(raw)), Unknown)


async def test_an_answer_that_cannot_be_unpacked_is_unknown() -> None:
    """It says that it is compressed and is not: something was answered, nobody knows what."""
    raw = http(201, b'{"a": 1}', "Content-Encoding: gzip")
    assert isinstance(await outcome_of(answering(raw)), Unknown)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (http(201, b'{"a": 1}'), Acknowledged(201, {"a": 1}, "HTTP 201")),
        (
            http(201, b'{"a": 1}', "Idempotency-Replayed: ?1"),
            Acknowledged(201, {"a": 1}, "HTTP 201, replayed"),
        ),
        (http(402, b'{"a": 1}'), Acknowledged(402, {"a": 1}, "HTTP 402")),
        (
            http(404, b'{"type": "/problems/account-unknown"}'),
            Refused("HTTP 404 account-unknown", {"type": "/problems/account-unknown"}),
        ),
        (
            http(409, b'{"type": "/problems/key-in-flight"}', "Retry-After: 7"),
            Unknown("HTTP 409 key-in-flight", 7.0),
        ),
        (http(429, b"{}", "Retry-After: nonsense"), Unknown("HTTP 429", 0.0)),
        (http(503, b"{}", "Retry-After: 3"), Unknown("HTTP 503", 3.0)),
        (http(500, b"{}"), Unknown("HTTP 500", 0.0)),
        (http(200, b"{}"), Unknown("HTTP 200", 0.0)),
        (http(201, b"no JSON"), Unknown("HTTP 201 without a JSON object")),
        (http(404, b"<html>"), Unknown("HTTP 404 without a JSON object")),
        (http(302, b"{}", "Location: /elsewhere"), Unknown("HTTP 302", 0.0)),
    ],
)
async def test_an_answer_becomes_an_outcome(raw: bytes, expected: Outcome) -> None:
    """Only what is documented is final; every other answer may hide an execution."""
    assert await outcome_of(answering(raw)) == expected
