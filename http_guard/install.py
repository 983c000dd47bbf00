"""Has every connection of this process guarded, also when uvicorn was started without `--http`.

Guarantee: after `install` uvicorn's own httptools protocol makes guarded connections, in this process.
"""

from typing import Any

from prometheus_client import CollectorRegistry
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from http_guard.guard import Guard
from http_guard.protocol import GuardedProtocol
from http_guard.settings import Settings


def install(settings: Settings, *, public_url: str, registry: CollectorRegistry) -> Guard:
    """The guard of an application; its lifespan hands it to the connections: `yield {http_guard.STATE: guard}`.

    uvicorn chooses its protocol class before it makes the application, so an application can be neither asked nor ask
    which one it is. A factory therefore turns the default into the guarded one. Another class that was named with
    `--http` stays as it is.
    """

    def guarded(cls: type[HttpToolsProtocol], *_: Any, **__: Any) -> HttpToolsProtocol:
        return object.__new__(GuardedProtocol if cls is HttpToolsProtocol else cls)

    HttpToolsProtocol.__new__ = staticmethod(guarded)  # type: ignore[method-assign,assignment]
    return Guard(settings, public_url=public_url, registry=registry)
