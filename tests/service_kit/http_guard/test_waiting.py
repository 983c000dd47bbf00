"""Every wait for a peer ends, and an answer never overtakes another one."""

import asyncio
import math

import pytest
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT

from service_kit.http_guard import Guard, Settings
from tests.service_kit.http_guard.connection import Connection

GET = b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"
WAIT = b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n"
LARGE = b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n"
HALF_A_HEAD = b"GET /echo HTTP/1.1\r\nHost: a\r\n"
HALF_A_BODY = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc"
HALF_CHUNKED = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
MALFORMED = b"GET /echo HTTP/1.1\r\n\r\n"


def later(connection: Connection, seconds: float) -> None:
    """The guard looks at its deadlines at a time that lies so far ahead."""
    connection.protocol.check(asyncio.get_running_loop().time() + seconds)


@pytest.mark.parametrize(
    ("data", "timeout_s"),
    [(HALF_A_HEAD, 3), (b"G", 3), (HALF_A_BODY, 5), (HALF_CHUNKED, 5)],
    ids=["half a head", "a byte", "half a body", "half a chunked body"],
)
async def test_a_request_that_is_not_complete_in_time(data: bytes, timeout_s: int) -> None:
    """408 and the end, not a moment before; the application never has the whole of it."""
    connection = Connection(head_timeout_s=3, body_timeout_s=5)
    await connection.receive(data)
    later(connection, timeout_s - 0.5)
    assert await connection.answers() == []
    later(connection, timeout_s + 0.5)
    (answer,) = await connection.answers()
    assert answer.status == 408
    assert answer.json["type"] == "/problems/request-incomplete"
    assert connection.transport.ended
    assert connection.echo.complete == 0


async def test_a_slow_drip_does_not_move_the_deadline() -> None:
    """It is that of the whole head and the whole body: a byte now and then gains nothing."""
    for first, drop in ((HALF_A_HEAD, b"a"), (HALF_A_BODY, b"a")):
        connection = Connection(head_timeout_s=3, body_timeout_s=3)
        await connection.receive(first)
        deadline_s = connection.protocol._deadline_s
        await connection.receive(*[drop] * 20)
        assert connection.protocol._deadline_s == deadline_s
        later(connection, 3.5)
        (answer,) = await connection.answers()
        assert answer.status == 408


@pytest.mark.parametrize("sent", [b"", GET, b"\r\n\r\n", b"\r\n"], ids=str)
async def test_a_connection_without_a_request_is_closed(sent: bytes) -> None:
    """Before the first request, and after one; without a word, since nothing was asked. Empty lines are no request."""
    connection = Connection(head_timeout_s=3, keep_alive_s=3)
    await connection.receive(*([sent] if sent else []))
    answers = len(await connection.answers())
    later(connection, 2.5)
    assert not connection.transport.ended
    await connection.receive(b"\r\n")
    later(connection, 3.5)
    assert connection.transport.ended
    assert len(await connection.answers()) == answers


async def test_the_time_of_the_application_does_not_count() -> None:
    """However long it takes, also when the next request has begun to arrive; that one's time begins after the answer."""
    connection = Connection(head_timeout_s=3, body_timeout_s=3, keep_alive_s=3)
    await connection.receive(WAIT, HALF_A_HEAD)
    assert connection.protocol._deadline_s == math.inf
    later(connection, 1000)
    connection.echo.go.set()
    (answer,) = await connection.answers()
    assert answer.json["path"] == "/wait"
    later(connection, 2.5)
    assert not connection.transport.ended
    await connection.receive(b"\r\n")
    assert len(await connection.answers()) == 2


async def test_an_answer_that_is_not_read() -> None:
    """The connection is cut, whether its request was answered or waits to be."""
    for requests in ((LARGE,), (LARGE, GET)):
        connection = Connection(send_timeout_s=3)
        connection.protocol.pause_writing()
        await connection.receive(*requests)
        later(connection, 2.5)
        assert not connection.transport.aborted
        later(connection, 3.5)
        assert connection.transport.aborted


async def test_an_answer_that_is_read_in_time() -> None:
    """The control: a peer that reads again is served on."""
    connection = Connection(send_timeout_s=3)
    connection.protocol.pause_writing()
    await connection.receive(LARGE)
    connection.protocol.resume_writing()
    later(connection, 4)
    assert not connection.transport.aborted
    (answer,) = await connection.answers()
    assert len(answer.body) == 200_000


async def test_the_last_of_an_answer_that_is_not_read() -> None:
    """A close that waits for its peer to read waits no longer than an answer does."""
    connection = Connection(send_timeout_s=3, keep_alive_s=1)
    await connection.receive(GET)
    later(connection, 1.5)
    assert connection.transport.ended
    later(connection, 1.6)
    later(connection, 5)
    assert connection.transport.aborted


async def test_so_many_requests_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is not parsed and nothing more is read, until there are answers; then all are answered in their order."""
    connection = Connection()
    requests = [b"GET /wait?%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(100)]
    await connection.receive(b"".join(requests))
    assert len(connection.protocol.pipeline) == 15
    assert connection.transport.paused
    await connection.receive(GET)
    assert len(connection.protocol.pipeline) == 15
    left_over: list[bytes] = []
    resume_reading = connection.transport.resume_reading

    def resumed() -> None:
        left_over.append(connection.protocol._unparsed)
        resume_reading()

    monkeypatch.setattr(connection.transport, "resume_reading", resumed)
    connection.echo.go.set()
    for _ in range(110):
        await connection.turn()
    answers = await connection.answers()
    assert [answer.json["query"] for answer in answers] == [*map(str, range(100)), ""]
    assert set(left_over) == {b""}
    assert not connection.transport.paused


def posts(length: int) -> bytes:
    """The head of a request with so many bytes to come."""
    return b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % length


async def test_a_body_whose_request_waits_for_its_turn() -> None:
    """No more of it is read than the high-water mark, until the application asks for it; then the rest is, and it is whole."""
    connection = Connection()
    whole = b"x" * HIGH_WATER_LIMIT + b"yz"
    await connection.receive(WAIT + posts(len(whole)), whole[:HIGH_WATER_LIMIT])
    # The control: up to the mark, the peer is not slowed down.
    assert not connection.transport.paused
    await connection.receive(b"y")
    assert connection.transport.paused
    connection.echo.go.set()
    await connection.turn()
    assert not connection.transport.paused
    await connection.receive(b"z")
    answers = await connection.answers()
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[1].json["body"].encode() == whole


@pytest.mark.parametrize("body", [b"", b"abc"])
async def test_sixteen_requests_are_no_attack(body: bytes) -> None:
    """The control: a pipeline within the bound is answered as it is, with bodies too, in one segment and byte by byte."""
    one = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    for segments in ((one * 16,), [bytes([each]) for each in one * 16]):
        connection = Connection()
        await connection.receive(*segments)
        answers = await connection.answers()
        assert [answer.json["body"].encode() for answer in answers] == [body] * 16


async def test_only_one_request_at_a_time() -> None:
    """The smallest bound works, too."""
    connection = Connection(pipeline_max=1)
    await connection.receive(GET * 5 + HALF_A_BODY + b"x" * 97 + GET)
    for _ in range(20):
        await connection.turn()
    assert [answer.status for answer in await connection.answers()] == [200] * 7


@pytest.mark.parametrize(
    "bad", [MALFORMED, HALF_A_HEAD + b"A: " + b"x" * 20_000], ids=["malformed", "large"]
)
async def test_a_refusal_waits_for_earlier_answers(bad: bytes) -> None:
    """Else the peer would take it for the answer to a request that is being executed."""
    for segments in ((WAIT + GET + bad,), (WAIT, GET, bad)):
        connection = Connection()
        await connection.receive(*segments)
        assert await connection.answers() == []
        connection.echo.go.set()
        answers = await connection.answers()
        assert [answer.status for answer in answers[:2]] == [200, 200]
        assert len(answers) == 3
        assert answers[2].status in (400, 431)


async def test_a_malformed_body_waits_for_earlier_answers() -> None:
    """The request that it belongs to is not begun."""
    connection = Connection()
    await connection.receive(WAIT + HALF_CHUNKED + b"x")
    assert await connection.answers() == []
    connection.echo.go.set()
    answers = await connection.answers()
    assert [answer.status for answer in answers] == [200, 400]
    assert connection.echo.begun == 1


async def test_the_caller_is_gone() -> None:
    """Each request that the application has of it learns of it, not the newest alone."""
    connection = Connection()
    await connection.receive(WAIT + GET)
    serving = connection.protocol.serving
    connection.protocol.connection_lost(None)
    assert serving is not None
    assert serving.disconnected


async def test_the_one_that_has_waited_longest_makes_room() -> None:
    """A new connection is served; one that is being served is never cut."""
    guard = Guard(Settings(connections_max=3))
    busy, half, idle = (Connection(guard) for _ in range(3))
    await busy.receive(WAIT)
    await half.receive(HALF_A_HEAD)
    await idle.receive(GET)
    newer = Connection(guard)
    assert (busy.transport.aborted, half.transport.aborted) == (False, True)
    newest = Connection(guard)
    assert idle.transport.aborted
    await newer.receive(GET)
    await newest.receive(GET)
    for connection in (newer, newest):
        assert [answer.status for answer in await connection.answers()] == [200]
    busy.echo.go.set()
    assert [answer.status for answer in await busy.answers()] == [200]


async def test_when_all_are_being_served() -> None:
    """503 for a new one, but for probes; and it is served when one of the others has its answer."""
    guard = Guard(Settings(connections_max=2))
    busy = [Connection(guard) for _ in range(2)]
    for connection in busy:
        await connection.receive(WAIT)
    late = Connection(guard)
    await late.receive(GET)
    (answer,) = await late.answers()
    assert (answer.status, answer.fields["retry-after"]) == (503, "1")
    late.protocol.connection_lost(None)
    probe = Connection(guard)
    await probe.receive(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [answer.status for answer in await probe.answers()] == [200]
    for connection in busy:
        connection.echo.go.set()
        await connection.turn()
    again = Connection(guard)
    await again.receive(GET)
    assert [answer.status for answer in await again.answers()] == [200]


async def test_unfinished_requests_share_a_bound() -> None:
    """The oldest of them makes room for the bytes of the newest."""
    guard = Guard(Settings(held_bytes_max=65_536))
    connections = [Connection(guard) for _ in range(12)]
    for connection in connections:
        await connection.receive(HALF_A_HEAD + b"A: " + b"x" * 10_000)
    assert [connection.transport.aborted for connection in connections] == [True] * 6 + [False] * 6
    # What each of them held is given back once, whichever of them ends first.
    for connection in connections:
        connection.protocol.connection_lost(None)
    assert guard._held_bytes == 0


async def test_what_is_not_parsed_shares_it() -> None:
    """A connection whose request is being served, and that sends too many more, ends after the answer to it."""
    guard = Guard(Settings(held_bytes_max=65_536))
    connection = Connection(guard)
    await connection.receive(WAIT * 16 + GET * 5000)
    # What was dropped is no reason to end others.
    assert guard._held_bytes == 0
    connection.echo.go.set()
    for _ in range(20):
        await connection.turn()
    answers = await connection.answers()
    assert [answer.status for answer in answers] == [200, 503]
    assert connection.echo.begun == 1
    assert connection.transport.ended
