"""Bounds on what an unknown peer can make an HTTP server hold: heads, bodies, pipelines, connections, and time.

Guarantee: what one peer sends, and what it does not read, is held within the bounds of `Settings`; a request that breaks
them gets a problem (RFC 9457) and is not given to the application, nor is one whose body is not complete in time. Fields
of a chunked trailer are never taken for fields of the head. An answer of the guard never overtakes an earlier answer.

It stands between uvicorn and the socket, as a subclass of uvicorn's httptools protocol, and knows no service.
"""

from service_kit.http_guard.guard import STATE, Guard
from service_kit.http_guard.install import install
from service_kit.http_guard.protocol import GuardedProtocol
from service_kit.http_guard.refusals import REFUSALS, Refusal
from service_kit.http_guard.settings import Settings

__all__ = ["REFUSALS", "STATE", "Guard", "GuardedProtocol", "Refusal", "Settings", "install"]
