"""W3C Trace Context: one trace through all services (https://www.w3.org/TR/trace-context/, version 00).

Guarantee: a request without a valid `traceparent` begins a trace of its own; the header that goes on names the same
trace and another span, and every log line in between carries both ids.
"""

import re
import secrets
from contextvars import ContextVar

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

HEADER = "traceparent"
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")

_trace_id: ContextVar[str] = ContextVar("trace_id", default="")


def traceparent() -> str:
    """The header for a request that goes out now: the trace of the one that came in, a span of its own."""
    trace_id = _trace_id.get() or secrets.token_hex(16)
    return f"00-{trace_id}-{secrets.token_hex(8)}-01"


def begin_trace() -> None:
    """Begins a trace for work that no request has caused; within a request its trace goes on."""
    if not _trace_id.get():
        _begin(secrets.token_hex(16), None)


def _begin(trace_id: str, parent_id: str | None) -> None:
    _trace_id.set(trace_id)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(trace_id=trace_id, parent_id=parent_id)


class TraceContext:
    """ASGI middleware that takes the trace of a request over, for everything that is done for it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = next(
                (value for name, value in scope["headers"] if name == HEADER.encode()), b""
            )
            match = _TRACEPARENT.fullmatch(given.decode("latin-1"))
            _begin(match[1] if match else secrets.token_hex(16), match[2] if match else None)
        await self.app(scope, receive, send)
