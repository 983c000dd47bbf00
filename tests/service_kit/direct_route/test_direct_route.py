"""A direct route refuses what FastAPI would refuse, and is documented like every other route."""

from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import Message

from service_kit.direct_route import DirectRoute, documented_body, read_body
from tests.architecture.contracts import SERVICES
from tests.behind import fastapi_behind


class Cup(BaseModel):
    """A cup of tea."""

    model_config = ConfigDict(extra="forbid")
    strength: Annotated[int, Field(strict=True, ge=1)]


class Leaf(BaseModel):
    """What it is made of."""

    name: str


class Pot(Cup):
    """An object within an object."""

    leaf: Leaf | None = None


def application() -> FastAPI:
    """The same endpoint twice: as FastAPI does it, and direct."""
    router = APIRouter(route_class=DirectRoute)

    @router.post(
        "/direct",
        status_code=201,
        response_model=Cup,
        dependencies=[Depends(HTTPBearer(auto_error=False))],
        openapi_extra={"requestBody": documented_body(Cup)},
    )
    async def direct(request: Request) -> Response:
        return Response((await read_body(request, Cup)).model_dump_json(), 201)

    app = FastAPI()
    app.include_router(router)

    @app.post("/usual", status_code=201)
    async def usual(cup: Cup) -> Cup:
        return cup

    return app


BODIES = {
    "good": b'{"strength": 3}',
    "spaces": b'  {"strength":\n3 }  ',
    "not JSON": b"{",
    "empty": b"",
    "a list": b"[]",
    "null": b"null",
    "a string": b'{"strength": "3"}',
    "a float": b'{"strength": 3.0}',
    "true": b'{"strength": true}',
    "too low": b'{"strength": 0}',
    "missing": b"{}",
    "unknown field": b'{"strength": 3, "milk": 1}',
    "not UTF-8": b'{"strength": "\xff"}',
    "twice": b'{"strength": "x", "strength": 3}',
}
TYPES = [
    "application/json",
    "application/json; charset=utf-8",
    "application/tea+json",
    "text/plain",
    "",
]


@pytest.mark.parametrize("media_type", TYPES)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_it_accepts_what_fastapi_accepts(body: bytes, media_type: str) -> None:
    """The same bodies under the same content types are accepted; the others are refused, none with a 5xx.

    But for a name twice: FastAPI takes the last of the two.
    """
    headers = {"Content-Type": media_type} if media_type else {}
    transport = httpx.ASGITransport(application())
    async with httpx.AsyncClient(transport=transport, base_url="http://tea") as client:
        try:
            usual = await client.post("/usual", content=body, headers=headers)
        except UnicodeDecodeError:
            # FastAPI stumbles over it: accepted it is not.
            usual = httpx.Response(400)
        direct = await client.post("/direct", content=body, headers=headers)
    accepted = usual.status_code == 201 and body != BODIES["twice"]
    assert (direct.status_code == 201) == accepted
    assert direct.status_code in (201, 400, 415, 422)
    if direct.status_code == 201:
        assert direct.json() == usual.json()


@pytest.mark.parametrize(
    "body",
    [
        b'{"strength": 3, "strength": 3}',
        b'{"strength": 1, "str\\u0065ngth": 3}',
        b'{"strength": 3, "leaf": {"name": "a", "name": "b"}}',
        b'{"strength": 3, "leaf": {"name": "a:b", "na\\u006de": "b"}}',
        b'{"strength": 3, "leaf": {"name": "a"}, "leaf": {"name": "a"}}',
    ],
)
async def test_a_name_twice(body: bytes) -> None:
    """Refused at each depth, however the name is written."""
    request = _request([{"type": "http.request", "body": body}])
    with pytest.raises(RequestValidationError) as refused:
        await read_body(request, Pot)
    assert [error["type"] for error in refused.value.errors()] == ["name_twice"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"strength": 3}',
        b'{"strength": 3, "leaf": {"name": "a:b:c"}}',
        b'{"strength": 3, "leaf": {"name": "\\"name\\": 1, \\"name\\": 2"}}',
    ],
)
async def test_each_name_once(body: bytes) -> None:
    """Colons and names in texts, and the same name at two depths, are no name twice."""
    request = _request([{"type": "http.request", "body": body}])
    assert (await read_body(request, Pot)).strength == 3


async def test_the_error_names_the_field() -> None:
    """Handlers of `RequestValidationError` get the same place that FastAPI would name."""
    request = _request([{"type": "http.request", "body": b'{"strength": 0}'}])
    with pytest.raises(RequestValidationError) as refused:
        await read_body(request, Cup)
    assert [error["loc"] for error in refused.value.errors()] == [("body", "strength")]


async def test_a_body_in_several_messages() -> None:
    """It is read as a whole, also when a part or the end is empty."""
    parts = [b'{"stren', b"", b'gth": 3}', b""]
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    request = _request([*messages, {"type": "http.request"}])
    assert (await read_body(request, Cup)).strength == 3


@pytest.mark.parametrize("coding", [b"", b" ", b"identity", b" Identity "])
async def test_no_content_coding(coding: bytes) -> None:
    """It may be said in an empty field or by its name, in any case."""
    request = _request([{"type": "http.request", "body": b'{"strength": 3}'}])
    request.scope["headers"] = [
        (b"content-type", b"application/json"),
        (b"content-encoding", coding),
    ]
    assert (await read_body(request, Cup)).strength == 3


@pytest.mark.parametrize(
    ("name", "value", "detail", "headers"),
    [
        (
            b"content-type",
            b"text/plain",
            "The content type must be application/json, in UTF-8.",
            {"Accept": "application/json"},
        ),
        (
            b"content-encoding",
            b"gzip",
            "The body must have no content coding.",
            {"Accept-Encoding": "identity"},
        ),
    ],
)
async def test_what_is_supported_instead(
    name: bytes, value: bytes, detail: str, headers: dict[str, str]
) -> None:
    """415 says it: in a sentence, and in the field that a program reads."""
    request = _request([{"type": "http.request", "body": b'{"strength": 3}'}])
    fields = {b"content-type": b"application/json", name: value}
    request.scope["headers"] = list(fields.items())
    with pytest.raises(HTTPException) as refused:
        await read_body(request, Cup)
    assert (refused.value.status_code, refused.value.detail) == (415, detail)
    assert refused.value.headers == headers


async def test_what_is_wrong_is_said() -> None:
    """In a sentence, and where: a parameter of a route that has none, and a name that is repeated."""
    asked = _request([{"type": "http.request", "body": b'{"strength": 3}'}])
    asked.scope["query_string"] = b"a=b"
    twice = _request([{"type": "http.request", "body": b'{"strength": 3, "strength": 3}'}])
    for request, error in (
        (asked, {"type": "url", "loc": ("query",), "msg": "This route has no query parameters."}),
        (twice, {"type": "name_twice", "loc": ("body",), "msg": "A name is repeated."}),
    ):
        with pytest.raises(RequestValidationError) as refused:
            await read_body(request, Cup)
        assert refused.value.errors() == [error]


async def test_a_caller_that_goes_in_the_middle() -> None:
    """Half a body is no body: 400, as from FastAPI, and nothing is parsed."""
    request = _request(
        [
            {"type": "http.request", "body": b'{"strength": 3}', "more_body": True},
            {"type": "http.disconnect"},
        ]
    )
    with pytest.raises(HTTPException) as refused:
        await read_body(request, Cup)
    assert (refused.value.status_code, refused.value.detail) == (400, "The body is not complete.")


def test_it_is_documented() -> None:
    """Body, answer and security scheme are in the OpenAPI document."""
    document = application().openapi()
    operation = document["paths"]["/direct"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    usual = document["components"]["schemas"]["Cup"]
    assert schema["properties"] == usual["properties"]
    assert operation["security"] == [{"HTTPBearer": []}]
    assert "201" in operation["responses"]


@pytest.mark.parametrize("kind", ["parameter", "dependency", "nothing"])
def test_an_endpoint_that_wants_more_is_refused(kind: str) -> None:
    """What it asks for would never be given: a defect that is found at the start, not in a request."""
    router = APIRouter(route_class=DirectRoute)

    async def token() -> str:
        return "t"

    async def with_parameter(request: Request, strength: Annotated[int, Header()]) -> Response:
        return Response()

    async def with_dependency(request: Request, name: Annotated[str, Depends(token)]) -> Response:
        return Response()

    async def with_nothing() -> Response:
        return Response()

    endpoints: dict[str, Any] = {
        "parameter": with_parameter,
        "dependency": with_dependency,
        "nothing": with_nothing,
    }
    with pytest.raises(TypeError, match="the request alone"):
        router.post("/x")(endpoints[kind])


def _request(messages: list[Message]) -> Request:
    async def receive() -> Message:
        return messages.pop(0)

    headers = [(b"content-type", b"application/json")]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": headers}, receive)


def test_which_routes_are_direct() -> None:
    """Those that are called thousands of times a second, and no other."""
    direct = {
        service: [
            route.path
            for route in fastapi_behind(create()).routes
            if isinstance(route, DirectRoute)
        ]
        for service, create in SERVICES.items()
    }
    assert direct == {
        "order_service": ["/orders"],
        "billing_service": ["/charges"],
        "notification_service": ["/notifications"],
    }
