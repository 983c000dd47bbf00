"""The route itself, and the body that its endpoint reads.

Guarantee: a body is refused as FastAPI would refuse it, by the same exceptions; an endpoint that asks for more than its
request cannot be registered.
"""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

Body = TypeVar("Body", bound=BaseModel)
Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]


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
