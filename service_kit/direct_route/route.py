"""The direct route, and the function with which its endpoint reads the body.

Guarantee: a body that FastAPI would refuse is refused with the same exceptions, and so is ambiguous input: an object with a
repeated name, an unsupported coding or charset, an undocumented query. An endpoint with parameters other than its request
cannot be registered.
"""

import json
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase
from pydantic import BaseModel, ValidationError

Body = TypeVar("Body", bound=BaseModel)
Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]


class DirectRoute(APIRoute):
    """A route that passes the request to its endpoint and sends the returned response, with nothing in between.

    FastAPI resolves dependencies and opens contexts for each request, which doubles the time of a small endpoint. The
    endpoint is a coroutine that takes only the request. `openapi_extra` documents its body; a security scheme among the
    route's dependencies documents its token, which the endpoint itself checks.
    """

    def get_route_handler(self) -> Endpoint:
        """Raises `TypeError` for an endpoint with dependencies or parameters."""
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
    """The request's JSON body as `model`, an object of plain values.

    Raises `RequestValidationError` for what is not a `model`, and `HTTPException`: 400 when the caller has gone before the
    body was complete, 415 when it is not JSON in UTF-8 without a content coding.
    """
    body = await _whole_body(request)
    _require_json(request)
    if request.scope.get("query_string"):
        # The caller would believe that an ignored parameter had an effect.
        raise _refused("query", "url", "This route has no query parameters.")
    try:
        read = model.model_validate_json(body)
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError(
            [{**error, "loc": ("body", *error["loc"])} for error in errors]
        ) from exc
    # Each member of an object has one colon. So if there are as many colons as fields, no name is repeated. Only a body
    # with more colons, perhaps inside its strings, is parsed again.
    if body.count(b":") != len(read.model_fields_set):
        _require_unique_names(body)
    return read


def documented_body(model: type[BaseModel]) -> dict[str, Any]:
    """The `requestBody` of an OpenAPI operation that reads `model`.

    Models that it refers to must already be in the document, as part of a model that FastAPI knows.
    """
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    return {"required": True, "content": {"application/json": {"schema": schema}}}


async def _whole_body(request: Request) -> bytes:
    """As Starlette's `Request.body`, without its generator: nearly every body comes in one message."""
    parts: list[bytes] = []
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise HTTPException(400, "The body is not complete.")
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _require_json(request: Request) -> None:
    """Raises `HTTPException` (415) that names what is supported, as RFC 9110 (sections 12.5.1 and 12.5.3) asks."""
    content_types: list[bytes] = []
    for name, value in request.scope["headers"]:
        if name == b"content-type":
            content_types.append(value)
        elif name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            raise HTTPException(
                415,
                "The body must have no content coding.",
                headers={"Accept-Encoding": "identity"},
            )
    if content_types == [b"application/json"]:
        return
    if len(content_types) != 1 or not _is_json_in_utf_8(content_types[0].decode("latin-1")):
        raise HTTPException(
            415,
            "The content type must be application/json, in UTF-8.",
            headers={"Accept": "application/json"},
        )


def _is_json_in_utf_8(content_type: str) -> bool:
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    kind, _, subtype = media_type.partition("/")
    if kind != "application" or not (subtype == "json" or subtype.endswith("+json")):
        return False
    # RFC 8259, section 11: JSON has no charset parameter. UTF-8 is harmless; any other is refused.
    charsets = [
        value.strip('"')
        for name, _, value in (p.partition("=") for p in parameters)
        if name == "charset"
    ]
    return all(charset in ("utf-8", "utf8") for charset in charsets)


def _require_unique_names(body: bytes) -> None:
    """For a body that is valid JSON. RFC 8259 (section 4) leaves open which of two equal names counts."""

    def unique(members: list[tuple[str, Any]]) -> None:
        names = set()
        for name, _ in members:
            if name in names:
                raise _refused("body", "name_twice", "A name is repeated.")
            names.add(name)

    json.loads(body, object_pairs_hook=unique)


def _refused(place: str, kind: str, message: str) -> RequestValidationError:
    return RequestValidationError([{"type": kind, "loc": (place,), "msg": message}])
