"""Guards an application, also when uvicorn was started without `--http`.

Guarantee: after `install`, uvicorn's own httptools protocol makes guarded connections in this process.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service_kit.http_guard.guard import STATE, Guard
from service_kit.http_guard.protocol import GuardedProtocol
from service_kit.http_guard.settings import Settings


def install(
    app: Starlette,
    read: Callable[[type[Settings]], Settings],
    public_url: str,
    registry: CollectorRegistry,
) -> None:
    """Passes a guard to the connections of `app` through the state of its lifespan.

    `read` reads the settings, `public_url` is the prefix of problem types, `registry` gets the guard's metrics.
    """
    guard = Guard(read(Settings), public_url=public_url, registry=registry)
    lifespan = app.router.lifespan_context

    @asynccontextmanager
    async def guarded(app: Any) -> AsyncIterator[dict[str, Any]]:
        async with lifespan(app) as state:
            yield {**(state or {}), STATE: guard}

    app.router.lifespan_context = guarded
    _guard_by_default()


def _guard_by_default() -> None:
    """Makes uvicorn's own protocol class create guarded connections.

    uvicorn chooses the class before it calls the factory, so `uvicorn x:create --factory` has already chosen its own. A
    different class that was named with `--http` is left alone.
    """

    def new(cls: type[HttpToolsProtocol], *_: Any, **__: Any) -> HttpToolsProtocol:
        return object.__new__(GuardedProtocol if cls is HttpToolsProtocol else cls)

    HttpToolsProtocol.__new__ = new  # type: ignore[method-assign,assignment]
