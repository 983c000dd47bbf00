"""An application with direct routes answers as FastAPI does, and leaves FastAPI's layers out."""

from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.responses import PlainTextResponse
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service_kit.direct_route import DirectRoute, application, served
from service_kit.direct_route.served import HeadAsGet


class Spilt(Exception):
    """Has a handler of its own."""


class MoreSpilt(Spilt):
    """Has none, but its parent has."""


class Stamp:
    """Middleware that adds a header to each answer."""

    def __init__(self, app: ASGIApp, name: str) -> None:
        self.app = app
        self.name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def stamped(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"stamp", self.name.encode()))
            await send(message)

        await self.app(scope, receive, stamped)


ERRORS: dict[str, Exception] = {
    "http": HTTPException(418, "short and stout", headers={"Retry-After": "1"}),
    "handled": Spilt(),
    "handled by its parent's handler": MoreSpilt(),
    "defect": ZeroDivisionError(),
}


def usual() -> FastAPI:
    """Tea, direct and with a parameter; middleware; handlers."""
    hot = APIRouter(route_class=DirectRoute)

    @hot.post("/tea")
    async def tea(request: Request) -> Response:
        name = (await request.body()).decode()
        if name in ERRORS:
            raise ERRORS[name]
        return PlainTextResponse(f"{request.app.state.title}: {name}", 201)

    @hot.post("/tea/again")
    async def again(request: Request) -> Response:
        return PlainTextResponse("again")

    app = application(routes=hot.routes)
    app.state.title = "pot"
    app.add_middleware(Stamp, name="inner")
    app.add_middleware(Stamp, name="outer")

    @app.exception_handler(Spilt)
    async def spilt(_: Request, exc: Exception) -> Response:
        return PlainTextResponse(type(exc).__name__, 409)

    @app.exception_handler(Exception)
    async def defect(_: Request, exc: Exception) -> Response:
        return PlainTextResponse("a defect", 500)

    return app


def direct() -> Starlette:
    return served(usual())


async def answer(app: ASGIApp, method: str, path: str, body: str = "") -> tuple[Any, ...]:
    """What a caller sees; and which exception reaches the server."""
    raised: list[str] = []

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except Exception as exc:
            raised.append(type(exc).__name__)
            raise

    transport = httpx.ASGITransport(watched, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://tea") as client:
        response = await client.request(method, path, content=body)
    return response.status_code, response.headers.multi_items(), response.text, raised


@pytest.mark.parametrize("body", ["green", *ERRORS])
async def test_the_same_answer(body: str) -> None:
    """Answers, headers of the middleware in their order, handlers, and a defect that the server gets to log."""
    expected = await answer(usual(), "POST", "/tea", body)
    assert await answer(direct(), "POST", "/tea", body) == expected


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/tea"),
        ("HEAD", "/tea"),
        ("POST", "/tea/"),
        ("POST", "/coffee"),
        ("POST", "/tea/again"),
    ],
)
async def test_anything_else(method: str, path: str) -> None:
    """Another method, another path, a slash too many: what FastAPI says."""
    assert await answer(direct(), method, path) == await answer(usual(), method, path)


async def test_the_router_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The layers really are left out; the same without them fails, which is the control."""

    async def no_router(_: Scope, __: Receive, ___: Send) -> None:
        raise AssertionError

    app, behind = usual(), usual()
    for fastapi, called, status in ((behind, served(behind), 201), (app, app, 500)):
        monkeypatch.setattr(fastapi.router, "middleware_stack", no_router)
        assert (await answer(called, "POST", "/tea", "green"))[0] == status


async def test_a_head_is_a_get_without_its_body() -> None:
    """The status and the fields of GET, its length too, and not a byte of the body; FastAPI alone answers 405."""

    def with_a_cup() -> FastAPI:
        app = usual()

        @app.get("/cup")
        async def cup() -> Response:
            return PlainTextResponse("a cup")

        return app

    got, head = [await answer(served(with_a_cup()), method, "/cup") for method in ("GET", "HEAD")]
    assert (got[0], got[2]) == (200, "a cup")
    assert (head[0], head[1], head[2]) == (200, got[1], "")
    assert (await answer(with_a_cup(), "HEAD", "/cup"))[0] == 405


async def test_a_slash_too_many_is_not_found() -> None:
    """A redirect would lead to whatever host the caller has named."""
    assert (await answer(direct(), "GET", "/tea/"))[0] == 404


@pytest.mark.parametrize(("method", "body"), [("HEAD", b""), ("GET", b"tea")])
async def test_what_is_sent_to_a_head(method: str, body: bytes) -> None:
    """The application is asked as for a GET, and each byte of its body is left out; a server would send it otherwise."""
    asked: list[str] = []
    sent: list[Message] = []

    async def app(scope: Scope, _: Receive, send: Send) -> None:
        asked.append(scope["method"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"tea"})

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    await HeadAsGet(app)({"type": "http", "method": method}, receive, send)
    assert asked == ["GET"]
    assert sent == [
        {"type": "http.response.start", "status": 200, "headers": []},
        {"type": "http.response.body", "body": body},
    ]


def test_nothing_is_measured_twice() -> None:
    """The services have their own metrics, logs and traces; FastAPI's own would cost time in each request."""
    settings: dict[str, Any] = dict(application(title="tea")._telemetry)
    assert [settings[name] for name in ("tracing", "metrics", "logs")] == [False] * 3
