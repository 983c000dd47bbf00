"""Routes whose endpoint reads its request itself: documented like every other one of FastAPI, at a third of the time.

Guarantee: a body is refused as FastAPI would refuse it, by the same exceptions, so the same handlers answer; an endpoint
that asks for more than its request cannot be registered, so nothing that it relies on is left out silently.
"""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase
from pydantic import BaseModel, ValidationError
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["DirectAPI", "DirectRoute", "documented_body", "read_body"]

Body = TypeVar("Body", bound=BaseModel)
Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]


class DirectAPI(FastAPI):
    """A FastAPI application in which a request for a direct route passes the application's own middleware and no other.

    FastAPI's layers and its router are passed one by one for each request, which takes longer than a small endpoint. All of
    them are left out but the one that answers for a defect; exceptions go to the same handlers. What is not exactly the
    method and the path of a direct route without parameters goes the usual way.
    """

    def build_middleware_stack(self) -> ASGIApp:
        """Called once, when the first request comes: routes and middleware that are added later are not seen."""
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
            is_direct = scope["type"] == "http" and (scope["method"], scope["path"]) in endpoints
            await (direct if is_direct else usual)(scope, receive, send)

        return fork


class _Endpoints:
    """Calls the endpoint of a request, and Starlette's handlers if it raises."""

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


def _raising(exc: BaseException) -> ASGIApp:
    async def app(_: Scope, __: Receive, ___: Send) -> None:
        raise exc

    return app


class DirectRoute(APIRoute):
    """A route that gives its endpoint the request and sends the response that it returns, and nothing in between.

    FastAPI solves dependencies and opens contexts for each request, which takes as long again as all that a small endpoint
    does. The endpoint is a coroutine of the request alone. `openapi_extra` documents what it reads, and a security scheme
    among the route's dependencies documents that it wants a token; the endpoint checks it.
    """

    def get_route_handler(self) -> Endpoint:
        """Raises `TypeError` for an endpoint that wants dependencies or parameters."""
        wanted = self.dependant
        parameters = (
            wanted.path_params,
            wanted.query_params,
            wanted.header_params,
            wanted.cookie_params,
            wanted.body_params,
            [each for each in wanted.dependencies if not isinstance(each.call, SecurityBase)],
        )
        if any(parameters) or wanted.request_param_name is None:
            raise TypeError(f"{self.path}: the endpoint of a direct route takes the request alone")
        endpoint: Endpoint = self.endpoint
        return endpoint


async def read_body(request: Request, model: type[Body]) -> Body:
    """The request's JSON body as `model`.

    Raises `RequestValidationError` for what is not a `model`, and `HTTPException` (400) when the caller has gone before
    the body was complete.
    """
    try:
        body = await request.body()
    except ClientDisconnect as exc:
        raise HTTPException(400, "The body is not complete.") from exc
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not _is_json(media_type):
        raise _refused("The content type must be application/json.")
    try:
        return model.model_validate_json(body)
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError(
            [{**error, "loc": ("body", *error["loc"])} for error in errors]
        ) from exc


def documented_body(model: type[BaseModel]) -> dict[str, Any]:
    """The `requestBody` of an OpenAPI operation that reads `model`.

    What the model refers to must be in the document already, as part of a model that FastAPI knows.
    """
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _is_json(media_type: str) -> bool:
    kind, _, subtype = media_type.partition("/")
    return kind == "application" and (subtype == "json" or subtype.endswith("+json"))


def _refused(message: str) -> RequestValidationError:
    return RequestValidationError([{"type": "content_type", "loc": ("body",), "msg": message}])
