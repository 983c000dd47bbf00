"""A head has one meaning, or it is refused; and it is refused in the same way however it arrives."""

from collections.abc import Callable

import httptools
import pytest

from service_kit.http_guard.head import body_length, origin_form
from service_kit.http_guard.refusals import NOT_IMPLEMENTED, REQUEST_MALFORMED, Refusal, Refused
from tests.service_kit.http_guard.connection import Connection, cuts

POST = b"POST /echo HTTP/1.1\r\nHost: a\r\n"
GOOD = b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"

MALFORMED: dict[str, bytes] = {
    "no Host": b"GET / HTTP/1.1\r\nA: b\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\nHost: a\r\nhOST: a\r\n\r\n",
    "two Hosts in HTTP/1.0": b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
    "a Host that is none": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "a Host with a user": b"GET / HTTP/1.1\r\nHost: x@a\r\n\r\n",
    "a Host with a bad port": b"GET / HTTP/1.1\r\nHost: a:x\r\n\r\n",
    "a Host with a space": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "a length of 5,000 digits": POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
    "a length of 5,000 zeros": POST + b"Content-Length: " + b"0" * 5000 + b"3\r\n\r\nabc",
    "a length with a sign": POST + b"Content-Length: +5\r\n\r\nabcde",
    "a negative length": POST + b"Content-Length: -5\r\n\r\nabcde",
    "a length of Python's": POST + b"Content-Length: 5_0\r\n\r\nabcde",
    "a hexadecimal length": POST + b"Content-Length: 0x5\r\n\r\nabcde",
    "no length": POST + b"Content-Length: \r\n\r\nabcde",
    "a list of lengths": POST + b"Content-Length: 5, 5\r\n\r\nabcde",
    "the same length twice": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
    "a length and a coding": POST
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding and a length": POST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "a coding twice": POST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked before another coding": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "a coding in HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a vertical tab after a coding": POST + b"Transfer-Encoding: chunked\x0b\r\n\r\n0\r\n\r\n",
    "a form feed after a coding": POST + b"Transfer-Encoding: chunked\x0c\r\n\r\n0\r\n\r\n",
    "a folded field": POST + b"A: b\r\n c\r\n\r\n",
    "a field that is folded at once": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "a space before the colon": POST + b"A : b\r\n\r\n",
    "a bare line feed": POST + b"A: b\nB: c\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: a\n\n",
    "a bare carriage return": POST + b"A: b\rB: c\r\n\r\n",
    "NUL in a value": POST + b"A: b\0c\r\n\r\n",
    "a control character in a value": POST + b"A: b\x01c\r\n\r\n",
    "a name that is not ASCII": POST + b"\xc3\xa4: b\r\n\r\n",
    "a field without a name": POST + b": b\r\n\r\n",
    "a field without a colon": POST + b"abc\r\n\r\n",
    "a target without a slash": b"GET echo HTTP/1.1\r\nHost: a\r\n\r\n",
    "a target that is not ASCII": b"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a target of another scheme": b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "an absolute target with a zone": b"GET http://[fe80::1%25a]/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "another version": b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}
OTHERS: dict[str, tuple[int, bytes]] = {
    "a long target": (414, b"GET /" + b"x" * 8192 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a target without an end": (414, b"GET /" + b"x" * 20_000),
    "a large value": (431, POST + b"A: " + b"x" * 16_384 + b"\r\n\r\n"),
    "a large name": (431, POST + b"x" * 16_384 + b": a\r\n\r\n"),
    "a value without an end": (431, POST + b"A: " + b"x" * 20_000),
    "much space before a value": (431, POST + b"A:" + b" " * 20_000 + b"x\r\n\r\n"),
    "many fields": (431, POST + b"a:b\r\n" * 100 + b"\r\n"),
    "many fields without an end": (431, POST + b"a:b\r\n" * 5000),
    "an unknown method": (501, b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a method in small letters": (501, b"get / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "CONNECT to a host": (501, b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "CONNECT to a path": (501, b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "another coding": (501, POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "TLS": (501, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "HTTP/0.9 by name": (505, b"GET /echo HTTP/0.9\r\n\r\n"),
    "HTTP/2.0": (505, b"GET /echo HTTP/2.0\r\nHost: a\r\n\r\n"),
}
REFUSED = {**{name: (400, data) for name, data in MALFORMED.items()}, **OTHERS}


@pytest.mark.parametrize("after_another", [False, True], ids=["first", "after another request"])
@pytest.mark.parametrize(("status", "data"), REFUSED.values(), ids=REFUSED.keys())
async def test_a_head_is_refused(status: int, data: bytes, after_another: bool) -> None:
    """With a problem, once, as the last answer of its connection, and the application is not asked; in any segments."""
    before = [200] if after_another else []
    for segments in cuts(data, step=max(1, len(data) // 16)):
        connection = Connection()
        if after_another:
            await connection.receive(GOOD)
        await connection.receive(*segments)
        answers = await connection.answers()
        assert [answer.status for answer in answers] == [*before, status], segments
        refusal = answers[-1]
        assert refusal.fields["content-type"] == "application/problem+json"
        assert refusal.fields["connection"] == "close"
        assert refusal.json["status"] == status
        assert refusal.json["type"].startswith("/problems/")
        assert refusal.json["detail"].endswith(".")
        assert connection.transport.ended
        assert connection.echo.begun == len(before)


SAID = {
    "no Host": "HTTP/1.1 requires one Host in each request.",
    "two Hosts": "There is more than one host.",
    "a Host that is none": "Host is not a host.",
    "an absolute target with a zone": "Host is not a host.",
    "a length of 5,000 zeros": "Content-Length is not a length.",
    "a coding in HTTP/1.0": "HTTP/1.0 has no transfer coding.",
    "a target of another scheme": "The target is not an HTTP URL.",
    "a length with a sign": "Invalid character in Content-Length.",
    "a long target": "It may have 8192 bytes.",
    "a target without an end": "It may have 8192 bytes.",
    "a large value": "It may have 16384 bytes.",
    "a value without an end": "It may have 16384 bytes.",
    "many fields": "It may have 100 fields.",
    "many fields without an end": "It may have 100 fields.",
    "an unknown method": "The method is not known.",
    "CONNECT to a host": "CONNECT is not served.",
    "another coding": "The only transfer coding is chunked.",
    "HTTP/0.9 by name": "Use HTTP/1.1.",
    "HTTP/2.0": "Use HTTP/1.1.",
}


@pytest.mark.parametrize(("name", "said"), SAID.items())
async def test_what_is_wrong_is_said(name: str, said: str) -> None:
    """In one sentence, the guard's own or the parser's."""
    connection = Connection()
    await connection.receive(REFUSED[name][1])
    (answer,) = await connection.answers()
    assert answer.json["detail"] == said


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (
            lambda: body_length({b"transfer-encoding": b"chunked", b"content-length": b"3"}),
            "A body has a length or a transfer coding.",
        ),
        (lambda: origin_form(b"a b"), "The target is not a URL."),
    ],
)
def test_what_another_parser_would_let_through(check: Callable[[], object], said: str) -> None:
    """It is refused here, too: the guard does not rest on what its parser refuses today."""
    with pytest.raises(Refused) as refused:
        check()
    assert (refused.value.refusal, refused.value.detail) == (REQUEST_MALFORMED, said)


@pytest.mark.parametrize(
    ("error", "refusal", "said"),
    [
        (httptools.HttpParserInvalidMethodError, NOT_IMPLEMENTED, "The method is not known."),
        (
            httptools.HttpParserCallbackError,
            REQUEST_MALFORMED,
            "The head of the request is not valid.",
        ),
        (httptools.HttpParserError, REQUEST_MALFORMED, "It is odd."),
    ],
)
async def test_an_error_of_the_parser(error: type[Exception], refusal: Refusal, said: str) -> None:
    """It is refused in the parser's words, if they are about the request."""
    with pytest.raises(Refused) as refused:
        Connection().protocol._resolve(error("It is odd"), b"")
    assert (refused.value.refusal, refused.value.detail) == (refusal, said)


ACCEPTED: dict[str, tuple[bytes, dict[str, str]]] = {
    "an ordinary request": (GOOD, {"path": "/echo", "query": ""}),
    "HTTP/1.0 without a Host": (b"GET /echo HTTP/1.0\r\n\r\n", {"path": "/echo"}),
    "an empty Host": (b"GET /echo HTTP/1.1\r\nHost:\r\n\r\n", {"path": "/echo"}),
    "a Host with a port and spaces": (
        b"GET /echo HTTP/1.1\r\nHost: \t a.example:80 \t\r\n\r\n",
        {"path": "/echo"},
    ),
    "an IPv6 Host": (b"GET /echo HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", {"path": "/echo"}),
    "empty lines before": (b"\r\n\r\n" + GOOD, {"path": "/echo"}),
    "two slashes": (b"GET //b/c HTTP/1.1\r\nHost: a\r\n\r\n", {"path": "//b/c"}),
    "the server as a whole": (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", {"path": "/*"}),
    "an absolute target": (
        b"GET http://b:8/c?d=e HTTP/1.1\r\nHost: a\r\n\r\n",
        {"path": "/c", "query": "d=e", "host": "b:8"},
    ),
    "an absolute target without a path": (
        b"GET http://u@b?d HTTP/1.1\r\nHost: a\r\n\r\n",
        {"path": "/", "query": "d", "host": "b"},
    ),
    "an absolute target of TLS": (
        b"GET HTTPS://b/c HTTP/1.1\r\nHost: a\r\n\r\n",
        {"path": "/c", "host": "b"},
    ),
    "an absolute target in capitals": (
        b"GET HTTP://b/c HTTP/1.1\r\nHost: a\r\n\r\n",
        {"path": "/c", "host": "b"},
    ),
    "a length with spaces": (
        POST + b"Content-Length: \t 3 \t\r\n\r\nabc",
        {"path": "/echo", "body": "abc"},
    ),
    "a coding in capitals": (
        POST + b"Transfer-Encoding: \t ChunkeD\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        {"path": "/echo", "body": "abc"},
    ),
    "a value that is not ASCII": (
        b"GET /echo HTTP/1.1\r\nHost: a\r\nA: \xc3\xa4\r\n\r\n",
        {"a": "\xc3\xa4"},
    ),
    "a head of the largest size": (
        POST + b"A: " + b"x" * (16_384 - len(POST) - 7) + b"\r\n\r\n",
        {"path": "/echo"},
    ),
    "as many fields as are allowed": (POST + b"a:b\r\n" * 99 + b"\r\n", {"path": "/echo"}),
    "the longest target": (
        b"GET /" + b"x" * 8191 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        {"path": "/" + "x" * 8191},
    ),
}


@pytest.mark.parametrize(("data", "told"), ACCEPTED.values(), ids=ACCEPTED.keys())
async def test_a_head_is_accepted(data: bytes, told: dict[str, str]) -> None:
    """The control: what RFC 9112 allows, up to the bounds, reaches the application, in any segments."""
    for segments in cuts(data, step=max(1, len(data) // 16)):
        connection = Connection()
        await connection.receive(*segments)
        (answer,) = await connection.answers()
        assert answer.status == 200
        seen = {**dict(answer.json["headers"]), **answer.json}
        assert {name: seen[name] for name in told} == told


async def test_the_longest_length() -> None:
    """The control of the lengths that are refused: the largest number that a length can be is waited for."""
    connection = Connection()
    await connection.receive(POST + b"Content-Length: %d\r\n\r\n" % (2**63 - 1))
    assert await connection.answers() == []
    assert (connection.echo.begun, connection.echo.complete) == (1, 0)


OF_LENGTH = POST + b"Content-Length: 3\r\n\r\nabc"
IN_CHUNKS = POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "before", [b"", GOOD, OF_LENGTH, IN_CHUNKS, GOOD + b"\r\n", OF_LENGTH + b"\r\n"], ids=str
)
@pytest.mark.parametrize("line", [b"GET /echo\r\n", b"GET /HTTP/1.1\r\n"], ids=str)
async def test_http_0_9(before: bytes, line: bytes) -> None:
    """505 at once, also on a connection that is kept: a peer that speaks it sends this line only and waits."""
    answered = [200] if before else []
    for segments in [*cuts(before + line), (before, *(line[i : i + 1] for i in range(len(line))))]:
        connection = Connection()
        await connection.receive(*segments)
        answers = await connection.answers()
        assert [answer.status for answer in answers] == [*answered, 505], segments


@pytest.mark.parametrize("before", [b"", GOOD, OF_LENGTH, IN_CHUNKS], ids=str)
async def test_a_line_with_a_version_is_waited_for(before: bytes) -> None:
    """The control: the rest of the head may come later, and then the request is answered."""
    first, rest = GOOD.split(b"\r\n", 1)
    for segments in cuts(before + first + b"\r\n"):
        connection = Connection()
        await connection.receive(*segments)
        assert len(await connection.answers()) == bool(before)
        await connection.receive(rest)
        assert [a.status for a in await connection.answers()] == [200] * (1 + bool(before))
