"""The application that serves direct routes.

Guarantee: a request for a direct route passes the application's own middleware, and its exceptions go to the same handlers
as under FastAPI.
"""

import re
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service_kit.direct_route.route import DirectRoute, Endpoint


def application(**options: Any) -> FastAPI:
    """An application to complete and to pass to `served`. `options` are FastAPI's."""
    return FastAPI(
        # A redirect that adds or removes a final slash would lead to any host that the caller names.
        redirect_slashes=False,
        # FastAPI's pages load their scripts from other servers; service_kit.pages has one that does not.
        docs_url=None,
        redoc_url=None,
        # The services have their own metrics, logs and traces; FastAPI would call OpenTelemetry in each request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        **options,
    )


def served(app: FastAPI) -> Starlette:
    """`app` as a server calls it. It has to be complete: what is added later does not count for direct routes.

    Routers and layers take longer for each request than a small endpoint does, so the direct routes are in front of them.
    All other requests, and those with another method, go to FastAPI. There, HEAD is answered like GET without its body
    (RFC 9110, section 9.3.2), because FastAPI's own routes refuse it.
    """
    direct = {
        (method, route.path): route.endpoint
        for route in app.routes
        if isinstance(route, DirectRoute)
        for method in route.methods or ()
    }
    # Starlette's outermost layer answers for a defect.
    handlers = {
        kind: handler
        for kind, handler in app.exception_handlers.items()
        if kind not in (500, Exception)
    }
    of_all_routes, app.user_middleware = app.user_middleware, [Middleware(HeadAsGet)]
    all_others = Mount("/", app=app)
    # Its dot matches no line break, so a path with one would not come as far as the checks of the parameters.
    all_others.path_regex = re.compile(all_others.path_regex.pattern, re.DOTALL)
    outer = Starlette(
        routes=[all_others],
        middleware=[*of_all_routes, Middleware(_DirectRoutes, direct, handlers)],
        exception_handlers=app.exception_handlers,
        lifespan=app.router.lifespan_context,
    )
    outer.state = app.state
    return outer


class HeadAsGet:
    """Middleware that answers HEAD with the head of GET."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_head(message: Message) -> None:
            await send({**message, "body": b""} if "body" in message else message)

        if scope["type"] == "http" and scope["method"] == "HEAD":
            await self._app({**scope, "method": "GET"}, receive, send_head)
        else:
            await self._app(scope, receive, send)


class _DirectRoutes:
    """Middleware that calls the endpoint of a direct route, and passes all other requests on."""

    def __init__(
        self,
        app: ASGIApp,
        endpoints: Mapping[tuple[str, str], Endpoint],
        handlers: Mapping[Any, Any],
    ) -> None:
        self._app = app
        self._endpoints = endpoints
        self._handlers = handlers
        self._handled = tuple(kind for kind in handlers if not isinstance(kind, int))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = None
        if scope["type"] == "http":
            endpoint = self._endpoints.get((scope["method"], scope["path"]))
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        response: ASGIApp
        try:
            response = await endpoint(Request(scope, receive, send))
        except self._handled as exc:
            response = ExceptionMiddleware(_Raising(exc), self._handlers)
        await response(scope, receive, send)


class _Raising:
    """An application that raises, so that the handler of the exception answers."""

    def __init__(self, exc: Exception) -> None:
        self._exc = exc

    async def __call__(self, _: Scope, __: Receive, ___: Send) -> None:
        raise self._exc
