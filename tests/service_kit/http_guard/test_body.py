"""A body is a body whatever its head wishes for, and what follows it in a trailer is no head."""

import itertools

import pytest

from tests.service_kit.http_guard.connection import Connection, cuts

POST = b"POST /echo HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
TRAILERS = (
    b"Authorization: Bearer token\r\n",
    b'Idempotency-Key: "1"\r\n',
    b"Idempotency-First-Incomplete: 9\r\n",
)
ORDERS = list(itertools.permutations(TRAILERS))
BODIES: dict[str, bytes] = {
    "a length": POST + b"Content-Length: 3\r\n\r\nabc",
    "chunks": CHUNKED + b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
    "chunks with extensions": CHUNKED + b'1;a=b\r\na\r\n02;c="d"\r\nbc\r\n0;e\r\n\r\n',
    "the wish for h2c": POST
    + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
    b"Content-Length: 3\r\n\r\nabc",
    "the wish for h2c in chunks": POST
    + b"Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "the wish for a websocket": POST
    + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nContent-Length: 3\r\n\r\nabc",
    "an end of a head inside": POST + b"Content-Length: 11\r\n\r\nabc\r\n\r\nabc\n",
}


@pytest.mark.parametrize("data", BODIES.values(), ids=BODIES.keys())
async def test_a_body_arrives(data: bytes) -> None:
    """Whole, and the next request of the connection after it; in any segments."""
    for segments in cuts(data + NEXT):
        connection = Connection()
        await connection.receive(*segments)
        first, second = await connection.answers()
        assert first.json["body"] in ("abc", "abc\r\n\r\nabc\n")
        assert (first.json["method"], second.json["path"]) == ("POST", "/next")
        assert "upgrade" not in dict(first.json["headers"])


@pytest.mark.parametrize("more", [NEXT, b"xyz"], ids=["a request", "no request"])
@pytest.mark.parametrize(
    "fields",
    [b"Connection: close\r\n", b"Connection: Upgrade, close\r\nUpgrade: h2c\r\n"],
    ids=["no wish", "the wish for h2c"],
)
async def test_what_follows_the_last_request(fields: bytes, more: bytes) -> None:
    """It is not read: the request before it is answered as if there were nothing more."""
    data = POST + fields + b"Content-Length: 3\r\n\r\nabc"
    for segments in cuts(data + more):
        connection = Connection()
        await connection.receive(*segments)
        (answer,) = await connection.answers()
        assert (answer.status, answer.json["body"]) == (200, "abc")
        assert connection.guard._logged_s == {}, "something was refused"


@pytest.mark.parametrize("trailer", ORDERS, ids=str)
@pytest.mark.parametrize("body", [b"", b"3\r\nabc\r\n"], ids=["no body", "a body"])
async def test_a_trailer_is_left_out(trailer: tuple[bytes, ...], body: bytes) -> None:
    """Its fields are not in the request, nor in the next one; in any segments and any order."""
    data = CHUNKED + body + b"0\r\n" + b"".join(trailer) + b"\r\n"
    for segments in cuts(data + NEXT, step=5):
        connection = Connection()
        await connection.receive(*segments)
        answers = await connection.answers()
        assert [answer.json["headers"] for answer in answers] == [
            [["host", "a"], ["transfer-encoding", "chunked"]],
            [["host", "a"]],
        ]


ENDLESS: dict[str, bytes] = {
    "an extension": CHUNKED + b"1;" + b"x" * 60_000,
    "zeros of a size": CHUNKED + b"0" * 60_000,
    "a trailer's value": CHUNKED + b"1\r\na\r\n0\r\nA: " + b"x" * 60_000,
    "a trailer after a large body": CHUNKED
    + b"ea60\r\n"
    + b"x" * 60_000
    + b"\r\n0\r\nA: "
    + b"x" * 60_000,
    "a trailer's name": CHUNKED + b"0\r\n" + b"x" * 60_000,
    "a trailer's fields": CHUNKED + b"0\r\n" + b"a:b\r\n" * 12_000,
}


@pytest.mark.parametrize("data", ENDLESS.values(), ids=ENDLESS.keys())
async def test_what_surrounds_a_body_is_bounded(data: bytes) -> None:
    """431, and the application is told that its caller has gone; in one segment and in many."""
    await is_too_large(data)


async def test_what_surrounds_many_chunks_is_bounded() -> None:
    """Each of them has a small extension, and their sum is too large."""
    await is_too_large(CHUNKED + (b"1;" + b"x" * 1000 + b"\r\na\r\n") * 60)


async def is_too_large(data: bytes) -> None:
    for segments in ((data,), [data[i : i + 50] for i in range(0, len(data), 50)]):
        connection = Connection()
        await connection.receive(*segments)
        (answer,) = await connection.answers()
        assert answer.status == 431
        assert answer.json["detail"] == "Extensions or trailers have more than 16384 bytes."
        assert connection.transport.ended
        assert (connection.echo.begun, connection.echo.complete) == (1, 0)


async def test_a_body_in_chunks_of_one_byte() -> None:
    """The control: what a careless client sends is no attack."""
    connection = Connection()
    data = CHUNKED + b"1\r\nx\r\n" * 60_000 + b"0\r\n\r\n"
    await connection.receive(*[data[i : i + 65_536] for i in range(0, len(data), 65_536)])
    (answer,) = await connection.answers()
    assert answer.json["body"] == "x" * 60_000


async def test_a_large_chunk() -> None:
    """The control: a body is no extension, however few chunks it has."""
    connection = Connection()
    data = CHUNKED + b"ea60\r\n" + b"x" * 60_000 + b"\r\n0\r\n\r\n"
    await connection.receive(*[data[i : i + 1_000] for i in range(0, len(data), 1_000)])
    (answer,) = await connection.answers()
    assert answer.json["body"] == "x" * 60_000


async def test_an_extension_and_a_trailer_have_a_bound_each() -> None:
    """The control: neither is larger than a head may be, and the body pays for the framing of both."""
    connection = Connection()
    body = b"800\r\n" + b"x" * 2048 + b"\r\n"
    end = b"0;" + b"x" * 10_000 + b"\r\nA: " + b"x" * 10_000 + b"\r\n\r\n"
    await connection.receive(CHUNKED + body + end)
    (answer,) = await connection.answers()
    assert (answer.status, len(answer.json["body"])) == (200, 2048)


async def test_each_request_of_a_connection_has_its_own_bounds() -> None:
    """The control: what earlier requests needed for their framing counts for none of the later ones."""
    connection = Connection()
    one = CHUNKED + b"1;" + b"x" * 600 + b"\r\na\r\n0\r\n\r\n"
    for _ in range(60):
        await connection.receive(one)
    assert [answer.status for answer in await connection.answers()] == [200] * 60
    assert connection.server.total_requests == 60


async def test_a_trailer_counts_for_its_own_request() -> None:
    """The control: the extension of the next request has the whole bound again."""
    connection = Connection()
    x = b"x" * 10_000
    body = b"800;" + x + b"\r\n" + b"x" * 2048 + b"\r\n0\r\nA: " + x + b"\r\n\r\n"
    for _ in range(3):
        await connection.receive(CHUNKED + body)
    assert [answer.status for answer in await connection.answers()] == [200] * 3


async def test_a_malformed_chunk_is_refused() -> None:
    """400, and no part of the body counts as a whole one."""
    for data in (b"x\r\nabc\r\n", b"3\r\nabcd\r\n", b"3\nabc\n0\n\n", b"-1\r\n", b"0x3\r\nabc\r\n"):
        for segments in cuts(CHUNKED + data):
            connection = Connection()
            await connection.receive(*segments)
            (answer,) = await connection.answers()
            assert answer.status == 400
            assert connection.echo.complete == 0


async def test_a_body_that_is_not_read() -> None:
    """The answer came early: what is still sent is read for a while and then cut, and never kept."""
    connection = Connection()
    head = b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n"
    await connection.receive(head)
    (answer,) = await connection.answers()
    assert answer.status == 200
    for _ in range(4):
        await connection.receive(b"x" * 65_000)
    assert not connection.transport.ended
    await connection.receive(b"x" * 65_000)
    assert connection.transport.ended
    assert len(await connection.answers()) == 1
    assert len(connection.protocol.cycle.body) == 0


@pytest.mark.parametrize("expected", [b"100-continue", b"100-CONTINUE", b"100-Continue"])
async def test_expect_100_continue(expected: bytes) -> None:
    """The caller waits with its body until it is asked for it. RFC 9110, section 10.1.1: upper and lower case are the same."""
    connection = Connection()
    await connection.receive(POST + b"Expect: " + expected + b"\r\nContent-Length: 3\r\n\r\n")
    assert connection.transport.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    await connection.receive(b"abc")
    answer = (await connection.answers())[-1]
    assert answer.json["body"] == "abc"


@pytest.mark.parametrize("field", [b"", b"Expect: 200-ok\r\n", b"Expected: 100-continue\r\n"])
async def test_a_caller_that_does_not_wait_is_not_asked(field: bytes) -> None:
    """The control: the answer is all that is written."""
    connection = Connection()
    await connection.receive(POST + field + b"Content-Length: 3\r\n\r\n")
    assert connection.transport.written == b""
    await connection.receive(b"abc")
    (answer,) = await connection.answers()
    assert answer.json["body"] == "abc"
