"""W3C Trace Context: one trace through all services (https://www.w3.org/TR/trace-context/, version 00).

Guarantee: a request without a valid `traceparent` begins a trace of its own; outgoing requests carry the same trace and a
new span, and every log line in between has the ids of the trace and of the caller's span.
"""

import random
import re
from contextvars import ContextVar

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

HEADER = "traceparent"
_HEADER_BYTES = HEADER.encode()
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")

# The id of the trace and the caller's span; empty and None outside a trace.
_trace: ContextVar[tuple[str, str | None]] = ContextVar("trace", default=("", None))


def traceparent() -> str:
    """The header for an outgoing request: the current trace, with a new span."""
    return f"00-{_trace.get()[0] or _random_hex(128)}-{_random_hex(64)}-01"


def begin_trace() -> None:
    """Begins a trace for work that no request caused; inside a trace it does nothing."""
    if not _trace.get()[0]:
        _trace.set((_random_hex(128), None))


def add_trace(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A structlog processor that adds both ids to a line."""
    trace_id, parent_id = _trace.get()
    if trace_id:
        event["trace_id"] = trace_id
        event["parent_id"] = parent_id
    return event


def _random_hex(bits: int) -> str:
    """Never zero, which the specification forbids. An id is no secret, so it needs no cryptographic randomness."""
    return f"{random.getrandbits(bits) or 1:0{bits // 4}x}"


class TraceContext:
    """ASGI middleware that continues the trace of a request, or begins one."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            _trace.set(_trace_of(scope))
        await self.app(scope, receive, send)


def _trace_of(scope: Scope) -> tuple[str, str | None]:
    for name, value in scope["headers"]:
        if name == _HEADER_BYTES:
            match = _TRACEPARENT.fullmatch(value.decode("latin-1"))
            if match:
                return match[1], match[2]
            break
    return _random_hex(128), None
