"""The application that serves direct routes.

Guarantee: a request for a direct route passes the application's own middleware, and its exceptions go to the same handlers
as under FastAPI.
"""

from typing import Any

from fastapi import FastAPI, Request
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service_kit.direct_route.route import DirectRoute, Endpoint


class DirectAPI(FastAPI):
    """A FastAPI application in which a request for a direct route passes the application's own middleware and no other.

    FastAPI's layers and router take longer for each request than a small endpoint does. A direct route skips all of them
    except the layer that answers for a defect. A request whose method and path are not exactly those of a direct route
    without parameters takes FastAPI's usual path. There, HEAD is answered like GET without its body (RFC 9110, section
    9.3.2), because FastAPI's own routes refuse it.
    """

    def __init__(self, **options: Any) -> None:
        """`options` are FastAPI's."""
        super().__init__(
            # A redirect that adds or removes a final slash would lead to any host that the caller names.
            redirect_slashes=False,
            # FastAPI's pages load their scripts from other servers; service_kit.pages has one that does not.
            docs_url=None,
            redoc_url=None,
            # The services have their own metrics, logs and traces; FastAPI would call OpenTelemetry in each request.
            telemetry={"tracing": False, "metrics": False, "logs": False},
            **options,
        )

    def build_middleware_stack(self) -> ASGIApp:
        """Starlette calls this once, at the first request. Routes and middleware that are added later have no effect."""
        usual = super().build_middleware_stack()
        endpoints = {
            (method, route.path): route.endpoint
            for route in self.router.routes
            if isinstance(route, DirectRoute) and not route.param_convertors
            for method in route.methods or ()
        }
        handlers = dict(self.exception_handlers)
        on_defect = handlers.pop(500, None) or handlers.pop(Exception, None)
        direct: ASGIApp = _Endpoints(endpoints, handlers)
        for cls, args, kwargs in reversed(self.user_middleware):
            direct = cls(direct, *args, **kwargs)
        direct = ServerErrorMiddleware(direct, on_defect, self.debug)

        async def fork(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                if (scope["method"], scope["path"]) in endpoints:
                    await direct(scope, receive, send)
                    return
                if scope["method"] == "HEAD":
                    scope, send = {**scope, "method": "GET"}, _without_body(send)
            await usual(scope, receive, send)

        return fork


class _Endpoints:
    """Calls the endpoint of a request, and the exception handlers if it raises."""

    def __init__(
        self, endpoints: dict[tuple[str, str], Endpoint], handlers: dict[Any, Any]
    ) -> None:
        self._endpoints = endpoints
        self._handlers = handlers
        self._handled = tuple(each for each in handlers if not isinstance(each, int))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response: ASGIApp = await self._endpoints[scope["method"], scope["path"]](
                Request(scope, receive, send)
            )
        except self._handled as exc:
            response = ExceptionMiddleware(_raising(exc), self._handlers)
        await response(scope, receive, send)


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        await send({**message, "body": b""} if "body" in message else message)

    return send_head


def _raising(exc: BaseException) -> ASGIApp:
    async def app(_: Scope, __: Receive, ___: Send) -> None:
        raise exc

    return app
