"""The examples as factories of the chaos stack, wrapped at the same seams as the services.

The harness asks each process whether it is ready, and billing to open accounts. The examples have neither route: both are
answered here.
"""

import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from chaos.faults.wrapped_services import Seams, WrappedApp, WrappedTransport
from order_service.wire import Delivery
from tests.examples.source import AT_LEAST_ONCE, AT_MOST_ONCE, load

# JSON: the texts that are replaced in the receiver.
BROKEN_VARIABLE = "EXAMPLES_BROKEN"
VARIANTS = {
    Delivery.AT_MOST_ONCE: AT_MOST_ONCE,
    Delivery.AT_LEAST_ONCE: AT_LEAST_ONCE,
    Delivery.EXACTLY_ONCE: (),
}
# As long as the services of the stack wait with their answer: until the end of the scenario.
WAIT_S = 30.0


def receiver() -> ASGIApp:
    """examples/receiver.py, with what the test has broken in it."""
    module = load("receiver", json.loads(os.environ.get(BROKEN_VARIABLE, "[]")))
    token = json.loads(os.environ["BILLING_TOKENS"])["order_service"]
    names = [token] if isinstance(token, str) else token
    os.environ["DATABASE_URL"] = os.environ["BILLING_DATABASE_URL"]
    os.environ["TOKENS"] = json.dumps(dict.fromkeys(names, "order_service"))
    return _ready(WrappedApp(module.app, Seams("billing_service")))


def caller() -> ASGIApp:
    """examples/caller.py under each of the three semantics, over one pool of connections."""
    seams = Seams("order_service")
    http = httpx.AsyncClient(
        base_url=os.environ["ORDER_BILLING_URL"],
        headers={"Authorization": f"Bearer {os.environ['ORDER_BILLING_TOKEN']}"},
        transport=WrappedTransport(httpx.AsyncHTTPTransport(), seams),
    )
    apps: dict[str, FastAPI] = {}
    for delivery, substitutions in VARIANTS.items():
        module = load("caller", substitutions)
        one = module.Caller(os.environ["ORDER_DATABASE_URL"], http)
        if delivery is not Delivery.EXACTLY_ONCE:
            one.recover = _nothing_to_recover
        apps[delivery] = module.create(one, WAIT_S)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for app in apps.values():
                await stack.enter_async_context(app.router.lifespan_context(app))
            yield

    parent = FastAPI(lifespan=lifespan)
    for name, app in apps.items():
        parent.mount(f"/{name}", app)
    return _ready(WrappedApp(_by_delivery(parent), seams))


async def _nothing_to_recover() -> None:
    """The table has no caller that dies; of three variants in one process one is enough to look for pending orders."""


def _by_delivery(app: ASGIApp) -> ASGIApp:
    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            delivery = dict(scope["headers"])[b"x-delivery"].decode()
            path = f"/{delivery}{scope['path']}"
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await app(scope, receive, send)

    return dispatch


def _ready(app: ASGIApp) -> ASGIApp:
    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        asked: Any = scope.get("path", "")
        if asked in ("/readyz", "/healthz", "/metrics") or asked.startswith("/accounts/"):
            await JSONResponse({})(scope, receive, send)
        else:
            await app(scope, receive, send)

    return answering
