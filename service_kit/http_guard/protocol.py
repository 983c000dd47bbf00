"""One guarded connection: its state and deadline, its queue of requests, and its end.

Guarantee: every wait for the peer has a deadline. If a body is not complete in time, the application gets
`http.disconnect`. A refusal is written after the answers to all earlier requests of the connection, and then the
connection ends.

Long because a connection is one state machine: uvicorn calls one class for its data, its deadlines and its end.
"""

import asyncio
import math
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from service_kit.http_guard.guard import ANSWER_UNREAD
from service_kit.http_guard.reading import BoundedReader
from service_kit.http_guard.refusals import (
    REQUEST_INCOMPLETE,
    TOO_MANY_CONNECTIONS,
    Refused,
    response,
)

# How long the connection stays open after its last answer, so that a peer that is still sending can read it.
_LINGER_S = 1.0
# Approximate memory of a parsed request that waits for its turn.
_QUEUED_REQUEST_BYTES = 4096
# With more unread bytes than this, the application waits until the peer reads. An ordinary answer is smaller.
_UNREAD_BYTES_MAX = 16_384

# What a connection waits for. Strings, because they are compared in each request and members of an Enum are slower.
_NEW = "its first byte"
_IDLE = "its next request"
_HEAD = "the rest of a head"
_BODY = "the rest of a body"
_WORKING = "the application"
_STALLED = "its peer to read"
_CLOSING = "its peer to read the last of it, or to stop sending"


class _Flow(FlowControl):
    """As uvicorn's, but reading does not resume while bytes are left to be parsed."""

    held = False

    def resume_reading(self) -> None:
        if self.read_paused and not self.held:
            super().resume_reading()


class _TransportOfUnfinished:
    """The transport of a request whose body is not complete: after the answer, it lingers instead of closing at once."""

    def __init__(self, protocol: "GuardedProtocol") -> None:
        self._protocol = protocol
        self.write = protocol.transport.write
        self.is_closing = protocol.transport.is_closing

    def close(self) -> None:
        self._protocol.close_after_answer()


class GuardedProtocol(BoundedReader):
    """The class for uvicorn's `--http service_kit.http_guard:GuardedProtocol`."""

    flow: _Flow

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.held_bytes = 0
        self._waiting = self.guard.waiting
        settings = self.settings
        self._timeouts_s = {
            _NEW: settings.head_timeout_s,
            _IDLE: settings.keep_alive_s,
            _HEAD: settings.head_timeout_s,
            _BODY: settings.body_timeout_s,
            _STALLED: settings.send_timeout_s,
            _CLOSING: settings.send_timeout_s,
        }
        self._state = _NEW
        self._deadline_s = math.inf
        self.serving: RequestResponseCycle | None = None
        # Bytes that were read but not parsed, because too many requests wait for their answer.
        self._unparsed = b""
        self._refused: Refused | None = None
        self._ended = False

    # Called by the transport.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport)
        transport.set_write_buffer_limits(high=_UNREAD_BYTES_MAX)
        if self.guard.admit(self):
            self._enter(_NEW)
        else:
            self._refuse(Refused(TOO_MANY_CONNECTIONS, "There is no room for another connection."))

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._unparsed = b""
        self.guard.forget(self)
        if self.serving is not None:
            # uvicorn disconnects only the newest request.
            _disconnect(self.serving)
        super().connection_lost(exc)
        self._let_go()

    def _let_go(self) -> None:
        """Breaks reference cycles, so that memory is freed now and not by a later garbage collection."""
        for cycle in (self.cycle, self.serving):
            if cycle is not None:
                cycle.body.clear()
        self.pipeline.clear()
        self.cycle = self.serving = None  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        if self._unparsed:
            self._keep(self._unparsed + data)
        elif self.is_one(data):
            # The usual case: one whole request while no other one is in progress.
            try:
                if self.feed_one(data) and not self.flow.write_paused:
                    self._enter(_WORKING)
                    return
            except Refused as exc:
                self._refuse(exc)
        else:
            self._parse(data)
        self._settle()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._settle()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._settle()

    # Called by the guard.

    def check(self, now_s: float) -> None:
        """Ends the connection, or refuses its request, if its deadline has passed."""
        if self._state is not _CLOSING and self.transport.is_closing():
            self._enter(_CLOSING)
        if now_s < self._deadline_s:
            return
        if self._state in (_HEAD, _BODY):
            self._refuse(Refused(REQUEST_INCOMPLETE, "The request was not complete in time."))
        elif self._state in (_NEW, _IDLE):
            self.transport.close()
            self._enter(_CLOSING)
        else:
            if self._state is _STALLED:
                self.guard.count(ANSWER_UNREAD)
            self.evict()

    def evict(self) -> None:
        """Ends the connection at once."""
        self._ended = True
        self._give_up_unfinished()
        self.transport.abort()

    # Requests: a bounded number at a time, in order.

    def _parse(self, data: bytes) -> None:
        while data and not self._ended:
            if self._is_working() and len(self.pipeline) + 1 >= self.settings.pipeline_max:
                self._keep(data)
                return
            if self.in_head and not self.head_bytes:
                # Empty lines before a request mean nothing (RFC 9112, section 2.2).
                data = data.lstrip(b"\r\n")
            size = self.size_of_next_piece(data)
            piece, data = data[:size], data[size:]
            try:
                self.feed(piece)
            except Refused as exc:
                self._refuse(exc)

    def _keep(self, data: bytes) -> None:
        """Stops reading until earlier requests are answered."""
        self._unparsed = data
        self.flow.held = True
        self.flow.pause_reading()

    def on_response_complete(self) -> None:
        """As uvicorn's, without its timer: the guard has one timer for all connections."""
        self.server_state.total_requests += 1
        if self.serving is not None:
            # The part of the body that the application did not read.
            self.serving.body.clear()
            self.serving = None
        if self._state is _WORKING and self.is_between_requests():
            # The usual case: nothing else was read. An idle connection keeps nothing of its last request.
            self.cycle = self.scope = self.headers = self.whole_head = None  # type: ignore[assignment]
            self.flow.resume_reading()
            self._enter(_CLOSING if self.transport.is_closing() else _IDLE)
            return
        if not self.transport.is_closing():
            if self.pipeline:
                self.serving, app = self.pipeline.pop()
                self._start_asgi_task(self.serving, app)
            elif self._refused is not None:
                self._answer_refusal()
            if self._unparsed and not self._ended:
                data, self._unparsed = self._unparsed, b""
                self._parse(data)
            if not self._unparsed:
                self.flow.held = False
                self.flow.resume_reading()
        self._settle()

    def is_between_requests(self) -> bool:
        """Whether nothing that was read is left over, and no refusal is to be written."""
        left = self._unparsed or self.pipeline or self._refused
        return self.in_head and not self.head_bytes and not left

    # Waiting.

    def _is_working(self) -> bool:
        """Whether the application has a whole request of this connection."""
        serving = self.serving
        return serving is not None and (not serving.more_body or bool(self.pipeline))

    def _settle(self) -> None:
        """Updates the state of the connection and the bytes that it holds."""
        if self.transport.is_closing():
            state = _CLOSING
        elif self._ended:
            return
        elif self.flow.write_paused:
            state = _STALLED
        elif self._is_working():
            state = _WORKING
        elif not self.in_head:
            state = _BODY
        elif self.head_bytes:
            state = _HEAD
        else:
            state = _NEW if self._state is _NEW else _IDLE
        if state is not self._state:
            self._enter(state)
        held_bytes = self._count_held(state)
        if held_bytes != self.held_bytes and not self.guard.hold(self, held_bytes):
            # All other connections are being served. The queued requests have not started.
            self.guard.hold(self, 0)
            self.pipeline.clear()
            self._refuse(Refused(TOO_MANY_CONNECTIONS, "There is no room for more requests."))

    def _count_held(self, state: str) -> int:
        held_bytes = len(self._unparsed) + _QUEUED_REQUEST_BYTES * len(self.pipeline)
        if state is _HEAD:
            held_bytes += self.head_bytes
        elif state is _BODY and not self.cycle.response_complete:
            held_bytes += self.body_bytes
        elif state is _STALLED:
            held_bytes += self.transport.get_write_buffer_size()
        return held_bytes

    def _enter(self, state: str) -> None:
        self._state = state
        waiting = self._waiting
        waiting.pop(self, None)
        if state is _WORKING:
            self._deadline_s = math.inf
            return
        waiting[self] = None
        self._deadline_s = self.loop.time() + self._timeouts_s[state]
        if state is _BODY:
            self.cycle.transport = _TransportOfUnfinished(self)  # type: ignore[assignment]

    # Ending.

    def _refuse(self, refused: Refused) -> None:
        """Ends the connection with a problem, after the answers to earlier requests."""
        self._ended = True
        self._unparsed = b""
        self._refused = refused
        self.guard.count(refused.refusal.slug)
        self._give_up_unfinished()
        if self.serving is None or self.serving.disconnected:
            self._answer_refusal()

    def _give_up_unfinished(self) -> None:
        """Disconnects a request whose body is incomplete, or drops it if the application has not seen it."""
        cycle = self.cycle
        if cycle is None or self.in_head:
            return
        if cycle is self.serving:
            _disconnect(cycle)
        elif self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()

    def _answer_refusal(self) -> None:
        refused, self._refused = self._refused, None
        if refused is None or self.transport.is_closing():
            return
        # The application may already be answering the request that is refused.
        if self.in_head or not self.cycle.response_started:
            headers = self.server_state.default_headers
            self.transport.write(response(refused, self.guard.public_url, headers))
        self._linger()

    def close_after_answer(self) -> None:
        """Closes the connection after its last answer."""
        if self.in_head:
            self.transport.close()
        else:
            self._linger()

    def _linger(self) -> None:
        """Ends the connection, but reads on briefly: closing with unread bytes resets it, and the answer may be lost."""
        self._ended = True
        self._unparsed = b""
        self.flow.held = False
        self.flow.resume_reading()
        if not self.transport.can_write_eof():
            self.transport.close()
            return
        self.transport.write_eof()
        self._enter(_CLOSING)
        self._deadline_s = self.loop.time() + _LINGER_S


def _disconnect(cycle: RequestResponseCycle) -> None:
    cycle.disconnected = True
    cycle.message_event.set()
