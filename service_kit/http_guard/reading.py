"""Reads one connection: uvicorn's httptools protocol, whose parser gets pieces that end where a head or a body ends.

Guarantee: the parser never holds more of a head, of chunk extensions or of a trailer than the bound, however they are
split into segments; the application gets a request only after its head is complete and valid; trailer fields are ignored.
"""

import asyncio
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service_kit.http_guard.guard import Guard
from service_kit.http_guard.head import (
    Fields,
    body_length,
    check_host,
    check_repeated,
    check_version,
    origin_form,
    without_upgrade,
)
from service_kit.http_guard.refusals import (
    HEAD_TOO_LARGE,
    NOT_IMPLEMENTED,
    REQUEST_INCOMPLETE,
    REQUEST_MALFORMED,
    TARGET_TOO_LONG,
    TOO_MANY_CONNECTIONS,
    VERSION_UNKNOWN,
    Refused,
)

END_OF_HEAD = b"\r\n\r\n"
# A chunked body is parsed in pieces of this size, which bounds how much of the next head one piece can contain.
_CHUNKED_PIECE = 4096
# A byte of a body may come in a chunk of its own (`1\r\nx\r\n`), with a little to spare.
_FRAMING_PER_BODY_BYTE = 8
# How much of a body is read after the application has answered, so that the peer can read the answer. Then it is cut.
_UNWANTED_BYTES_MAX = 262_144
# Stands in each request line but those of HTTP/0.9. No target has a space.
_VERSION = b" HTTP/"
_EMPTY_LINES = b"\r\n"
_SLASH = ord("/")
# Answered even when all connections are in use.
_PROBES = frozenset({b"/healthz", b"/readyz", b"/metrics"})


class BoundedReader(HttpToolsProtocol):
    """The parser's side of a connection. `feed` raises `Refused` when a bound or a rule is broken.

    Work for each field and each request slows down every request, so it is kept small; checks that can wait until
    something is wrong do.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.guard = Guard.of(app_state)
        self.settings = self.guard.settings
        self.head_bytes_max = self.settings.head_bytes_max
        self._target_bytes_max = self.settings.target_bytes_max
        self._fields_max = self.settings.fields_max
        # The request that the application is handling, complete or not.
        self.serving: RequestResponseCycle | None = None
        # Also true between two requests, with `head_bytes` 0.
        self.in_head = True
        self.head_bytes = 0
        self.body_bytes = 0
        # None: it comes in chunks.
        self._body_length: int | None = 0
        self._tail = b""
        # The request line of an unfinished head, until it is whole.
        self._line: bytearray | None = None
        # The fields of the last complete head; while the next one is read, `headers` is another list.
        self.whole_head: Fields | None = None
        self._known_host: bytes | None = None
        self._framing_bytes = 0
        self._barren_bytes = 0

    def feed_one(self, data: bytes) -> bool:
        """Parses data for which `is_one` is true. Returns whether it was one whole request; raises `Refused`."""
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
            self._resolve(exc, data)
        if not self.in_head:
            return False
        if self.headers is self.whole_head:
            # Empty lines alone are not a request.
            return self.serving is not None
        # The next head has begun, after a body.
        after_head = len(data) - data.find(END_OF_HEAD) - len(END_OF_HEAD)
        self.head_bytes = max(1, after_head - self.body_bytes)
        self._tail = data[-3:]
        if self.whole_head is not None:
            # Else it was the preface of HTTP/2, which is no request.
            self._begin_line(data[-self.head_bytes :])
        return False

    def feed(self, piece: bytes) -> None:
        """Parses a piece whose size `size_of_next_piece` returned; raises `Refused`."""
        if not self.in_head:
            if self._body_length is None:
                self._framing_bytes += len(piece)
                self._barren_bytes += len(piece)
            self._feed_parser(piece)
            self._check_framing()
            if self.in_head and self.headers is not self.whole_head:
                # The next head has begun, after a body in chunks.
                end = piece.rfind(END_OF_HEAD)
                self.head_bytes = len(piece) - end - len(END_OF_HEAD) if end >= 0 else len(piece)
                self._tail = piece[-3:]
                self._begin_line(piece[end + len(END_OF_HEAD) :] if end >= 0 else piece)
            return
        room = self.head_bytes_max - self.head_bytes
        if not self.head_bytes:
            self._tail = b""
            self._line = bytearray()
        self.head_bytes += len(piece)
        # A fault in the allowed part is more specific than "too large", so it is reported first.
        self._feed_parser(piece[:room])
        if self.in_head and self.head_bytes:
            self._check_unfinished_head(piece)
        if len(piece) > room:
            raise Refused(HEAD_TOO_LARGE, f"It may have {self.head_bytes_max} bytes.")

    def is_one(self, data: bytes) -> bool:
        """Whether no request is in progress and the data cannot hold more than one."""
        return (
            self.serving is None
            and self.in_head
            and not self.head_bytes
            and len(data) <= self.head_bytes_max
            and data.count(END_OF_HEAD) == 1
        )

    def size_of_next_piece(self, data: bytes) -> int:
        """How many bytes of the data belong to the head or body that is being read, as far as can be known."""
        if not self.in_head:
            if self._body_length is None:
                return _CHUNKED_PIECE
            return max(1, self._body_length - self.body_bytes)
        if self.head_bytes:
            # The end of the head may span two segments.
            across = (self._tail + data[:3]).find(END_OF_HEAD)
            if across >= 0:
                return across + len(END_OF_HEAD) - len(self._tail)
        end = data.find(END_OF_HEAD)
        return end + len(END_OF_HEAD) if end >= 0 else len(data)

    def _feed_parser(self, piece: bytes) -> None:
        try:
            self.parser.feed_data(piece)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
            self._resolve(exc, piece)

    def _resolve(self, exc: Exception, piece: bytes) -> None:
        """Ignores a request to upgrade; raises `Refused` for any other error of the parser."""
        if isinstance(exc, httptools.HttpParserUpgrade):
            self._ignore_upgrade()
            rest = piece[exc.args[0] :]
            if rest:
                self.feed(rest)
        elif isinstance(exc.__context__, Refused):
            raise exc.__context__ from exc
        elif isinstance(exc, httptools.HttpParserInvalidMethodError):
            raise Refused(NOT_IMPLEMENTED, "The method is not known.") from exc
        elif isinstance(exc, httptools.HttpParserCallbackError):
            raise Refused(REQUEST_MALFORMED, "The head of the request is not valid.") from exc
        else:
            raise Refused(REQUEST_MALFORMED, f"{exc}.") from exc

    def _ignore_upgrade(self) -> None:
        """Parses the head again without its Upgrade field, so that the body is read as a body."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        head = without_upgrade(method, self.url, version, self.headers)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._feed_parser(head)

    def _check_unfinished_head(self, piece: bytes) -> None:
        self._tail = (self._tail + piece)[-3:]
        if self.headers is not self.whole_head:
            self._check_size()
        self._check_line(piece)

    def _begin_line(self, data: bytes) -> None:
        """The first bytes of a head that came in one piece with the end of a body."""
        self._line = bytearray()
        self._check_line(data.lstrip(_EMPTY_LINES))

    def _check_line(self, piece: bytes) -> None:
        """Raises `Refused` when a request line ends without a version.

        A peer that speaks HTTP/0.9 sends this line only and waits for the answer. The parser does not tell: until the head is
        complete it reports the version of the connection's last request.
        """
        if self._line is None:
            return
        self._line += piece
        if b"\n" in piece:
            line, self._line = self._line.partition(b"\n")[0], None
            if _VERSION not in line:
                raise Refused(VERSION_UNKNOWN, "Use HTTP/1.1.")

    def _check_size(self) -> None:
        if len(self.url) > self._target_bytes_max:
            raise Refused(TARGET_TOO_LONG, f"It may have {self._target_bytes_max} bytes.")
        if len(self.headers) > self._fields_max:
            raise Refused(HEAD_TOO_LARGE, f"It may have {self._fields_max} fields.")

    def _check_framing(self) -> None:
        limit = self.head_bytes_max
        framing_bytes = self._framing_bytes - self.body_bytes
        allowed = limit + _FRAMING_PER_BODY_BYTE * self.body_bytes
        if framing_bytes > allowed or self._barren_bytes > limit:
            raise Refused(HEAD_TOO_LARGE, f"Extensions or trailers have more than {limit} bytes.")

    # Called by the parser.

    def on_header(self, name: bytes, value: bytes) -> None:
        # Otherwise it is a trailer field, which must not be merged into the head (RFC 9110, section 6.5.1).
        if self.in_head:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        by_name = dict(self.headers)
        if len(self.url) > self._target_bytes_max or len(self.headers) > self._fields_max:
            self._check_size()
        check_version(self.parser.get_http_version(), by_name)
        if len(by_name) != len(self.headers):
            check_repeated(self.headers)
        if by_name.get(b"host") != self._known_host:
            self._known_host = check_host(by_name.get(b"host"))
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise Refused(NOT_IMPLEMENTED, "CONNECT is not served.")
            # The parser stops after this head: see `_ignore_upgrade`.
            return
        if self.url[0] != _SLASH:
            self._take_origin_form()
        if self.guard.crowded and self.url not in _PROBES:
            raise Refused(TOO_MANY_CONNECTIONS, "There is no room for another connection.")
        if b"expect" in by_name:
            self.expect_100_continue = by_name[b"expect"].lower() == b"100-continue"
        self._body_length = body_length(by_name)
        super().on_headers_complete()
        if not self.pipeline:
            self.serving = self.cycle
        self.whole_head = self.headers
        self.in_head = False
        self.head_bytes = self.body_bytes = self._framing_bytes = self._barren_bytes = 0

    def _take_origin_form(self) -> None:
        self.url, host = origin_form(self.url)
        if host is not None:
            self.headers[:] = [(n, host if n == b"host" else v) for n, v in self.headers]

    def on_chunk_header(self) -> None:
        """Extensions end here, and a trailer has not begun: each has a bound of its own."""
        self._barren_bytes = 0

    def on_body(self, body: bytes) -> None:
        """As uvicorn's, with a bound on bytes that arrive after the answer."""
        self.body_bytes += len(body)
        self._barren_bytes = 0
        cycle = self.cycle
        if cycle.response_complete:
            if self.body_bytes > _UNWANTED_BYTES_MAX:
                raise Refused(REQUEST_INCOMPLETE, "The rest of the body was not wanted.")
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """As uvicorn's, which does not expect a head that was not made a request."""
        if self.in_head:
            return
        self.in_head = True
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()
