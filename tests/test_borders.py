"""The borders that all three services share: under which names they answer, and to whose pages."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette

import billing_service.app
import billing_service.settings
import notification_service.app
import notification_service.settings
import order_service.app
import order_service.settings
from tests.behind import fastapi_behind

# Never connected to: a request that is refused at the border goes no further.
DATABASE = SecretStr("postgresql://x:drawn@127.0.0.1:9/x")
TOKENS = {"curl": (SecretStr("token-of-client-curl"),)}
Create = Callable[..., Starlette]


def order(**settings: Any) -> Starlette:
    return order_service.app.create(
        order_service.settings.Settings(
            database_url=DATABASE,
            billing_url="http://127.0.0.1:9",
            billing_token=SecretStr("token-for-billing-01"),
            notification_url="http://127.0.0.1:9",
            notification_token=SecretStr("token-for-notification"),
            **settings,
        )
    )


def billing(**settings: Any) -> Starlette:
    return billing_service.app.create(
        billing_service.settings.Settings(database_url=DATABASE, tokens=TOKENS, **settings)
    )


def notification(**settings: Any) -> Starlette:
    return notification_service.app.create(
        notification_service.settings.Settings(database_url=DATABASE, tokens=TOKENS, **settings)
    )


SERVICES = {
    "order_service": order,
    "billing_service": billing,
    "notification_service": notification,
}
SERVICE = pytest.mark.parametrize("create", SERVICES.values(), ids=SERVICES.keys())
OUTSIDE_OF_THE_DOCUMENT = [
    ("GET", "/docs"),
    ("GET", "/"),
    ("GET", "/docs/swagger-ui.css"),
    ("GET", "/openapi.json"),
    ("GET", "/problems/"),
    ("GET", "/problems/validation"),
    ("GET", "/nowhere"),
    ("PATCH", "/healthz"),
    ("OPTIONS", "/orders"),
]


def operations(app: Starlette) -> list[tuple[str, str]]:
    """Every documented operation, and what stands in no document."""
    paths = fastapi_behind(app).openapi()["paths"]
    return [
        (method.upper(), path.replace("{", "").replace("}", ""))
        for path, item in paths.items()
        for method in item
    ] + OUTSIDE_OF_THE_DOCUMENT


def client(app: Starlette, host: str = "127.0.0.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Authorization": "Bearer token-of-client-curl"}
    return httpx.AsyncClient(transport=transport, base_url=f"http://{host}", headers=headers)


@SERVICE
async def test_a_foreign_name(create: Create) -> None:
    """421 on every route, documented or not, also with a token: DNS rebinding reaches nothing."""
    app = create()
    async with client(app, "rebound.example:8001") as asking:
        for method, path in operations(app):
            response = await asking.request(method, path)
            assert (method, path, response.status_code) == (method, path, 421)
            assert response.json()["type"].endswith("/problems/host-unknown")


@SERVICE
async def test_an_address_of_an_instance(create: Create) -> None:
    """A probe by IP address is answered on the paths for probes and on no others."""
    app = create()
    async with client(app, "10.20.30.40:8001") as asking:
        for method, path in operations(app):
            status = (await asking.request(method, path)).status_code
            assert (status == 421) == (path not in ("/healthz", "/readyz", "/metrics")), path


@SERVICE
async def test_the_names_that_are_set(create: Create) -> None:
    """The setting's and the public URL's, beside the loopback ones."""
    app = create(hosts=("inner",), public_url="https://public.example/")
    for host in ("inner:1", "public.example", "localhost", "127.0.0.1:2", "[::1]:3"):
        async with client(app, host) as asking:
            assert (await asking.get("/problems/")).status_code == 200, host
    async with client(app, "other") as asking:
        assert (await asking.get("/problems/")).status_code == 421


@SERVICE
async def test_a_foreign_page(create: Create) -> None:
    """403 for every operation that could change something, before its token and its body are looked at."""
    app = create()
    changing = [(m, p) for m, p in operations(app) if m not in ("GET", "HEAD", "OPTIONS")]
    assert len(changing) > 1
    async with client(app) as asking:
        for method, path in changing:
            for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
                response = await asking.request(method, path, headers=headers)
                assert (method, path, response.status_code) == (method, path, 403)


@SERVICE
async def test_both_refusals_are_documented(create: Create) -> None:
    """On every operation of the service's own, and each with its page."""
    app = create()
    for path, item in fastapi_behind(app).openapi()["paths"].items():
        for operation in item.values():
            if "operation" not in operation["tags"]:
                assert {"403", "421"} <= set(operation["responses"]), path
    async with client(app) as asking:
        for slug in ("host-unknown", "origin-foreign"):
            assert (await asking.get(f"/problems/{slug}")).status_code == 200
