"""Each wait for a peer has its own deadline, and the last moments of a connection have one, too."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.service_kit.http_guard.connection import Connection

GET = b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"
WAIT = b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n"
LARGE = b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n"
HALF_A_HEAD = b"GET /echo HTTP/1.1\r\nHost: a\r\n"
HALF_A_BODY = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc"
NO_BODY_YET = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
AFTER_A_BODY = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
IN_CHUNKS = (
    b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"
)
TIMEOUTS: dict[str, Any] = {
    "head_timeout_s": 30,
    "body_timeout_s": 50,
    "keep_alive_s": 70,
    "send_timeout_s": 110,
}


async def nothing(_: Connection) -> None:
    """The peer has only connected."""


def receives(*segments: bytes) -> Callable[[Connection], Awaitable[None]]:
    """The peer has sent these."""

    async def act(connection: Connection) -> None:
        await connection.receive(*segments)

    return act


async def reads_nothing(connection: Connection) -> None:
    """The application waits with its answer until the peer has read an earlier one."""
    connection.protocol.pause_writing()
    await connection.receive(LARGE)


async def closes_and_reads_nothing(connection: Connection) -> None:
    """The connection is closed when what was written has been read, which is not yet."""
    await connection.receive(GET)
    connection.transport.close()
    connection.protocol.check(asyncio.get_running_loop().time())


async def was_answered_after_a_stall(connection: Connection) -> None:
    """The peer reads again, and asks for nothing more."""
    await reads_nothing(connection)
    connection.protocol.resume_writing()
    await connection.turn()


WAITS: dict[str, tuple[Callable[[Connection], Awaitable[None]], int]] = {
    "for the first byte": (nothing, 30),
    "for the first byte after empty lines": (receives(b"\r\n", b"\r\n"), 30),
    "for the rest of a head": (receives(HALF_A_HEAD), 30),
    "for the rest of a later head": (receives(GET, HALF_A_HEAD), 30),
    "for the rest of a head after a body": (receives(AFTER_A_BODY + HALF_A_HEAD), 30),
    "for the rest of a head after chunks": (receives(IN_CHUNKS + HALF_A_HEAD), 30),
    "for the rest of a head after chunks in pieces": (
        receives(IN_CHUNKS[:-3], IN_CHUNKS[-3:] + HALF_A_HEAD),
        30,
    ),
    "for the rest of a body": (receives(HALF_A_BODY), 50),
    "for all of a body": (receives(NO_BODY_YET), 50),
    "for the next request": (receives(GET), 70),
    "for the next request after empty lines": (receives(GET, b"\r\n"), 70),
    "for the next request after a stall": (was_answered_after_a_stall, 70),
    "for the peer to read": (reads_nothing, 110),
    "for the peer to read the last of it": (closes_and_reads_nothing, 110),
}


@pytest.mark.parametrize(("act", "timeout_s"), WAITS.values(), ids=WAITS.keys())
async def test_each_wait_has_its_own_deadline(
    act: Callable[[Connection], Awaitable[None]], timeout_s: int
) -> None:
    """By its own setting: not a moment before, and soon after."""
    connection = Connection(**TIMEOUTS)
    await act(connection)
    ended = connection.transport.ended
    now_s = asyncio.get_running_loop().time()
    connection.protocol.check(now_s + timeout_s - 1)
    assert (connection.transport.ended, connection.transport.aborted) == (ended, False)
    connection.protocol.check(now_s + timeout_s + 1)
    assert connection.transport.aborted or connection.transport.ended > ended


async def test_a_refused_peer_can_read_its_answer() -> None:
    """The end is written, what still comes is read and dropped for a moment, and then the connection is cut."""
    connection = Connection(half_closes=True, **TIMEOUTS)
    await connection.receive(b"GET / HTTP/1.1\r\n\r\n")
    (answer,) = await connection.answers()
    assert answer.status == 400
    assert connection.transport.half_closed
    assert not connection.transport.ended
    await connection.receive(GET * 3, HALF_A_BODY)
    assert not connection.transport.paused
    assert (connection.echo.begun, connection.protocol.held_bytes) == (0, 0)
    assert len(await connection.answers()) == 1
    now_s = asyncio.get_running_loop().time()
    connection.protocol.check(now_s + 0.5)
    assert not connection.transport.aborted
    connection.protocol.check(now_s + 1.5)
    assert connection.transport.aborted


async def test_a_peer_that_is_still_sending_can_read_its_answer() -> None:
    """The answer came before the end of the body: closing at once would reset the connection."""
    connection = Connection(half_closes=True, **TIMEOUTS)
    head = b"POST /early HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 100\r\n\r\n"
    await connection.receive(head + b"abc")
    (answer,) = await connection.answers()
    assert answer.status == 200
    assert (connection.transport.half_closed, connection.transport.ended) == (True, False)
    # What the application did not read is not kept.
    assert len(connection.protocol.cycle.body) == 0
    connection.protocol.check(asyncio.get_running_loop().time() + 1.5)
    assert connection.transport.aborted


async def test_little_is_written_for_a_peer_that_does_not_read() -> None:
    """Above this the application waits: what uvicorn would write ahead is four times as much."""
    assert Connection().transport.high == 16_384


async def test_an_answer_that_has_begun_is_not_followed_by_a_refusal() -> None:
    """Its peer would read the problem as a part of it: the connection ends, and the application learns of it."""
    connection = Connection(**TIMEOUTS)
    await connection.receive(HALF_A_BODY.replace(b"/echo", b"/begun"))
    written = connection.transport.written
    assert written.startswith(b"HTTP/1.1 200 OK")
    cycle = connection.protocol.cycle
    connection.protocol.check(asyncio.get_running_loop().time() + 51)
    assert connection.transport.written == written
    assert connection.transport.ended
    assert cycle.disconnected


async def test_an_evicted_request_is_not_begun_as_a_whole_one() -> None:
    """The application, which waits for the rest of a body, is told that its caller has gone."""
    connection = Connection(**TIMEOUTS)
    await connection.receive(HALF_A_BODY)
    cycle = connection.protocol.cycle
    connection.protocol.evict()
    await connection.turn()
    assert cycle.disconnected
    assert (connection.echo.begun, connection.echo.complete) == (1, 0)


async def test_what_is_held_for_each_state() -> None:
    """Bytes that wait to be parsed, queued requests, unfinished heads and bodies, and unread answers all count."""
    sizes = {}
    for name, segments in {
        "a head": (HALF_A_HEAD + b"A: " + b"x" * 5_000,),
        "a body": (
            b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n" + b"x" * 5_000,
        ),
        "queued requests": (WAIT * 3,),
        "unparsed bytes": (WAIT * 16, b"x" * 5_000),
    }.items():
        connection = Connection()
        await connection.receive(*segments)
        sizes[name] = connection.protocol.held_bytes
    stalled = Connection()
    await stalled.receive(LARGE)
    stalled.protocol.pause_writing()
    assert sizes["a head"] >= 5_000
    assert sizes["a body"] >= 5_000
    assert 2 * 2_000 < sizes["queued requests"] < 5 * 5_000
    assert sizes["unparsed bytes"] - 15 * sizes["queued requests"] // 2 == 5_000
    assert stalled.protocol.held_bytes >= 200_000
    stalled.protocol.resume_writing()
    assert stalled.protocol.held_bytes == 0


async def test_what_is_held_of_a_head_after_bodies() -> None:
    """The bytes of this head, and not fewer because of a body that came before."""
    connection = Connection()
    large = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n" + b"x" * 9_000
    await connection.receive(large, AFTER_A_BODY + HALF_A_HEAD + b"A: " + b"x" * 9_000)
    assert len(await connection.answers()) == 2
    assert connection.protocol.held_bytes == len(HALF_A_HEAD) + 9_003


async def test_a_peer_that_closes_while_it_lingers() -> None:
    """Nothing of it is left: neither in the count of connections nor in the bytes."""
    connection = Connection(half_closes=True)
    await connection.receive(b"GET / HTTP/1.1\r\n\r\n")
    assert connection.protocol in connection.guard._all
    connection.protocol.connection_lost(None)
    assert connection.protocol not in connection.guard._all
    assert connection.guard._held_bytes == 0
