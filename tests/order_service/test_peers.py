"""The border at which HTTP's failures become outcomes, against real sockets that misbehave."""

import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from uuid import UUID

import aiohttp
import pytest
from httpx_aiohttp import AiohttpTransport

from billing_service.wire import Charge, Charged
from order_service.outcomes import Acknowledged, Outcome, Refused, Unknown
from order_service.peers import ANSWER_BYTES_MAX, Peers, notification_of, open_transport
from tests.listening import listening

CHARGE = Charge(order_id=UUID(int=1), account="alice", amount_cents=5)
Server = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def peers_of(
    serve: Server, attempt_timeout_s: float = 5.0, host: str = "127.0.0.1", base: str = "/"
) -> AsyncIterator[Peers]:
    async with listening(serve) as port:
        peers = peers_at(port, attempt_timeout_s, host, base)
        try:
            yield peers
        finally:
            await peers.close()


def peers_at(
    port: int, attempt_timeout_s: float = 5.0, host: str = "127.0.0.1", base: str = "/"
) -> Peers:
    return Peers(
        open_transport(10),
        billing_url=f"http://{host}:{port}{base}",
        billing_token="t",
        notification_url=f"http://{host}:{port}{base}",
        notification_token="t",
        attempt_timeout_s=attempt_timeout_s,
    )


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = (
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if b"content-length" in line
    )
    length = next(lengths, 0)
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


def undocumented(status: int, retry_after_s: float = 0.0) -> Unknown:
    return Unknown(f"HTTP {status} application/json, as no answer is documented", retry_after_s)


async def outcome_of(serve: Server, attempt_timeout_s: float = 5.0) -> Outcome:
    async with peers_of(serve, attempt_timeout_s) as peers:
        return await peers.charge(CHARGE, 42, retry=True, first_incomplete=37)


async def test_the_headers_are_structured_fields() -> None:
    """The key goes out as a quoted String and the flag as a Boolean, as RFC 9651 writes them."""
    seen: list[bytes] = []
    await outcome_of(answering(http(201, b"{}"), seen))
    # The base URL may end with a slash.
    assert seen[0].startswith(b"POST /charges HTTP/1.1\r\n")
    head = seen[0].split(b"\r\n\r\n")[0].lower().split(b"\r\n")
    assert b'idempotency-key: "42"' in head
    assert b"idempotency-retry: ?1" in head
    assert b"idempotency-first-incomplete: 37" in head
    assert b"request-timeout: 5.0" in head
    assert any(
        re.fullmatch(rb"traceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-01", line) for line in head
    )
    assert b"authorization: bearer t" in head


@pytest.mark.parametrize("base", ["", "/", "/X", "/X/"])
async def test_the_requests(base: str) -> None:
    """Which operation of which peer each one asks for, below its base URL, as which client, and with which body."""
    seen: list[bytes] = []
    message = notification_of(UUID(int=2), UUID(int=1), "alice", "It is billed.")
    server = answering(http(503, b"{}", "Connection: close"), seen)
    async with peers_of(server, base=base) as peers:
        await peers.charge(CHARGE, 42, retry=True, first_incomplete=37)
        await peers.void(CHARGE, 42)
        await peers.declare_settled(37)
        await peers.notify(message)
    heads, bodies = zip(*(each.split(b"\r\n\r\n", 1) for each in seen), strict=True)
    assert [head.partition(b" HTTP/1.1\r\n")[0].decode() for head in heads] == [
        f"POST {base.rstrip('/')}/charges",
        f"DELETE {base.rstrip('/')}/charges/42",
        f"DELETE {base.rstrip('/')}/charges?below=37",
        f"POST {base.rstrip('/')}/notifications",
    ]
    assert [body.decode() for body in bodies] == [
        CHARGE.model_dump_json(),
        "",
        "",
        message.model_dump_json(),
    ]
    for head, body in zip(heads, bodies, strict=True):
        lines = head.lower().split(b"\r\n")
        assert b"authorization: bearer t" in lines
        assert b"\r\naccept-encoding: identity\r\n" in head
        assert (b"content-type: application/json" in lines) is bool(body)


async def test_a_cookie_is_not_kept() -> None:
    """No attempt depends on what an earlier one was answered."""
    seen: list[bytes] = []
    raw = http(503, b"{}", "Set-Cookie: a=b", "Connection: close")
    # Of an address in digits no client keeps cookies anyway.
    async with peers_of(answering(raw, seen), host="localhost") as peers:
        for _ in range(2):
            await peers.declare_settled(37)
    assert [b"cookie" in head.lower() for head in seen] == [False, False]


async def test_a_closed_connection_is_unknown() -> None:
    """The server took the request and closed: it may have executed it. (The transport calls this ConnectTimeout.)"""
    outcome = await outcome_of(answering(b""))
    assert isinstance(outcome, Unknown)
    assert outcome.caller_saw == "ServerDisconnectedError: Server disconnected"


@pytest.mark.parametrize(
    ("status", "body", "confirmed"),
    [
        (202, b'{"first_incomplete": 37}', True),
        (202, b'{"first_incomplete": 36}', False),
        (202, b"{}", False),
        (200, b'{"first_incomplete": 37}', False),
        (503, b'{"first_incomplete": 37}', False),
    ],
)
async def test_a_mark_that_billing_has_heard(status: int, body: bytes, confirmed: bool) -> None:
    """Only its own answer to this very mark confirms it; anything else, and the mark is declared again."""
    raw = http(status, body, "Content-Type: application/json", "Connection: close")
    async with peers_of(answering(raw)) as peers:
        assert await peers.declare_settled(37) is confirmed


async def test_the_connections_are_bounded() -> None:
    """No more to each peer than were asked for, however many attempts there are."""
    transport = open_transport(3)
    try:
        assert isinstance(transport, AiohttpTransport)
        assert isinstance(transport.client, aiohttp.ClientSession)
        assert transport.client.connector is not None
        assert transport.client.connector.limit == 3
    finally:
        await transport.aclose()


async def test_a_notice_has_the_deadline_of_an_attempt() -> None:
    """Billing does not answer a declaration of settled keys: the attempt ends at its deadline."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await reader.read()
        writer.close()

    async with asyncio.timeout(60), peers_of(silent, attempt_timeout_s=0.2) as peers:
        assert not await peers.declare_settled(37)


async def test_a_reset_connection_is_unknown() -> None:
    """RST after the request was sent: it may have been executed."""

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.transport.abort()

    assert isinstance(await outcome_of(reset), Unknown)


async def test_a_closed_port_is_refused() -> None:
    """No connection, no request: definitely not executed, and another attempt may do better."""
    async with listening(answering(b"")) as port:
        pass
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
    """It says that it is compressed and is not: the content of the answer is unknown."""
    raw = http(201, b'{"a": 1}', "Content-Encoding: gzip")
    assert isinstance(await outcome_of(answering(raw)), Unknown)


JSON = "Content-Type: application/json"
PROBLEM = "Content-Type: application/problem+json"
CHARGED = Charged(
    charge_id=UUID(int=9), order_id=UUID(int=1), account="alice", amount_cents=5, balance_cents=95
)


def problem(status: int, slug: str) -> bytes:
    body = {
        "type": f"http://billing/problems/{slug}",
        "title": "t",
        "status": status,
        "detail": "d",
    }
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (http(201, CHARGED.model_dump_json().encode(), JSON), Acknowledged("HTTP 201", CHARGED)),
        (
            http(201, CHARGED.model_dump_json().encode(), JSON, "Idempotency-Replayed: ?1"),
            Acknowledged("HTTP 201, replayed", CHARGED),
        ),
        (
            http(404, problem(404, "account-unknown"), PROBLEM),
            Refused(
                "HTTP 404 account-unknown", json.loads(problem(404, "account-unknown").decode())
            ),
        ),
        (
            http(409, problem(409, "key-in-flight"), PROBLEM, "Retry-After: 7"),
            Unknown("HTTP 409 key-in-flight", 7.0),
        ),
        (
            http(503, problem(503, "unavailable"), PROBLEM, "Retry-After: 3"),
            Unknown("HTTP 503 unavailable", 3.0),
        ),
        (http(429, b"{}", JSON, "Retry-After: nonsense"), undocumented(429)),
        (http(503, b"{}", JSON, "Retry-After: " + "9" * 400), undocumented(503, 86_400.0)),
        (http(302, b"{}", JSON, "Location: /elsewhere"), undocumented(302)),
    ],
)
async def test_an_answer_becomes_an_outcome(raw: bytes, expected: Outcome) -> None:
    """Only what is documented is final; every other answer may hide an execution."""
    assert await outcome_of(answering(raw)) == expected


@pytest.mark.parametrize("chunked", [False, True])
async def test_an_answer_without_an_end_is_not_read_to_it(chunked: bool) -> None:
    """An answer that is longer than any of the services' is cut off, whether its length was announced or not."""
    taken = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        await read_request(reader)
        length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {10**12}"
        writer.write(f"HTTP/1.1 201 X\r\n{JSON}\r\n{length}\r\n\r\n".encode())
        piece = b" " * 10_000
        with suppress(ConnectionError):
            while True:
                writer.write(b"2710\r\n" + piece + b"\r\n" if chunked else piece)
                await writer.drain()
                taken += len(piece)
        writer.close()

    outcome = await outcome_of(endless, attempt_timeout_s=20.0)
    assert outcome == Unknown(f"an answer longer than {ANSWER_BYTES_MAX} bytes")
    # What lies in the buffers of both sockets on top of what was read.
    assert taken < 100 * ANSWER_BYTES_MAX


@pytest.mark.parametrize(("spare", "believed"), [(0, True), (1, False)])
async def test_the_longest_answer(spare: int, believed: bool) -> None:
    """To the byte."""
    body = CHARGED.model_dump_json().encode()
    body += b" " * (ANSWER_BYTES_MAX + spare - len(body))
    outcome = await outcome_of(answering(http(201, body, JSON)))
    assert isinstance(outcome, Acknowledged) is believed


async def test_a_compressed_answer_is_not_unpacked() -> None:
    """It was not asked for: a few compressed bytes could become gigabytes."""
    seen: list[bytes] = []
    packed = gzip.compress(CHARGED.model_dump_json().encode())
    outcome = await outcome_of(
        answering(http(201, packed, JSON, "Content-Encoding: gzip"), seen), attempt_timeout_s=20.0
    )
    assert outcome == Unknown("an answer in an encoding that was not asked for")
    assert b"accept-encoding: identity" in seen[0].lower()


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"HTTP/1.1 201 \xff\xfe\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 twohundred X\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 201 X\r\nContent-Length: -1\r\n\r\n{}",
        b"HTTP/1.1 201 X\r\nX: " + b"x" * 100_000 + b"\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 201 X\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 201 X\r\nContent-Encoding: \xff\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
async def test_what_is_no_http_is_unknown(raw: bytes) -> None:
    """When another program has the port, an attempt still ends with an outcome that every record can hold."""
    outcome = await outcome_of(answering(raw))
    assert isinstance(outcome, Unknown)
    assert outcome.caller_saw.isascii()
    assert outcome.caller_saw.isprintable()
    assert len(outcome.caller_saw) <= 200


async def test_a_silent_peer_ends_at_the_deadline() -> None:
    """Not a byte of an answer: the deadline covers the head as well."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await reader.read()
        writer.close()

    async with asyncio.timeout(60):
        outcome = await outcome_of(silent, attempt_timeout_s=0.2)
    assert outcome == Unknown("Timeout: no answer within 0.2 s")


async def test_an_answer_after_the_deadline_is_not_waited_for() -> None:
    """The deadline is the one that was asked for: a good answer that comes a little later is none."""

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        answered = asyncio.get_running_loop().create_future()
        # Both timers are of one event loop, which calls them in their order however late it is.
        asyncio.get_running_loop().call_later(0.4, answered.set_result, None)
        await answered
        writer.write(http(404, problem(404, "account-unknown"), PROBLEM))
        await writer.drain()
        writer.close()

    assert await outcome_of(late, attempt_timeout_s=0.3) == Unknown(
        "Timeout: no answer within 0.3 s"
    )
    assert isinstance(await outcome_of(late, attempt_timeout_s=20), Refused)
