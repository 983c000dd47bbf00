"""Bounds what an unknown peer can make an HTTP server hold: heads, bodies, pipelines, connections, and time.

Guarantee: the bytes that one peer sends or does not read stay within the bounds of `Settings`; a request that breaks a bound
gets a problem (RFC 9457) and never reaches the application as a whole request, nor does one whose body is not complete in
time. Fields of a chunked trailer are never treated as fields of the head. An answer of the guard never overtakes an
earlier answer.

It is a subclass of uvicorn's httptools protocol, between uvicorn and the socket, and knows no service.
"""

from service_kit.http_guard.guard import STATE, Guard
from service_kit.http_guard.install import install
from service_kit.http_guard.protocol import GuardedProtocol
from service_kit.http_guard.refusals import REFUSALS, Refusal
from service_kit.http_guard.settings import Settings

__all__ = ["REFUSALS", "STATE", "Guard", "GuardedProtocol", "Refusal", "Settings", "install"]
