"""What cannot be read in one way only is refused by each route of each service in the same way, and nothing happens."""

import gzip
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import UUID

import asyncpg
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
from tests.service_kit.strict_input.spellings import OF_42, OF_A_UUID

TOKENS = {"order_service": (SecretStr("token-of-order_service"),)}
ORDER = str(UUID(int=1))
JSON = {"Content-Type": "application/json", "Idempotency-Key": '"1"'}


@dataclass(frozen=True)
class Route:
    """A route that reads a body: a client of its service, and a body that it accepts."""

    client: httpx.AsyncClient
    method: str
    path: str
    body: dict[str, Any]
    # A field of whole cents, where there is one, and one of text.
    cents: str | None
    text: str | None
    accepted: int

    async def send(self, body: bytes, headers: Any = None, path: str = "") -> httpx.Response:
        return await self.client.request(
            self.method, path or self.path, content=body, headers=headers or JSON
        )

    def changed(self, **fields: Any) -> bytes:
        return json.dumps({**self.body, **fields}).encode()


class Peerless(httpx.AsyncBaseTransport):
    """The way from the order service to the others; nothing must be sent."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(503, content=b"")


@dataclass(frozen=True)
class Services:
    """The three services on one database."""

    billing: httpx.AsyncClient
    orders: httpx.AsyncClient
    notifications: httpx.AsyncClient
    routes: list[Route]
    happened: Callable[[], Coroutine[Any, Any, int]]


Serve = Callable[[Starlette], AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture(scope="module")
async def services(database_of_module: Any, serve: Serve) -> AsyncIterator[Services]:
    """For all tests of what is refused, which leaves nothing."""
    async with opened(database_of_module, serve) as services:
        yield services


@pytest.fixture
async def services_of_test(database: Any, serve: Serve) -> AsyncIterator[Services]:
    """For a test of what is accepted."""
    async with opened(database, serve) as services:
        yield services


@asynccontextmanager
async def opened(database: Any, serve: Serve) -> AsyncIterator[Services]:
    owner = await asyncpg.connect(database.owner)
    await owner.execute("INSERT INTO billing.accounts VALUES ('alice', 1000, 1000)")

    async def happened() -> int:
        """Rows that requests have left behind."""
        rows: int = await owner.fetchval(
            """
            SELECT (SELECT count(*) FROM orders.orders) + (SELECT count(*) FROM billing.processed_keys)
                 + (SELECT count(*) FROM billing.ledger) + (SELECT count(*) FROM billing.clients)
                 + (SELECT count(*) FROM billing.accounts) - 1 + (SELECT count(*) FROM notifications.arrivals)
            """
        )
        return rows

    async with AsyncExitStack() as stack:
        billing = await stack.enter_async_context(
            serve(
                billing_service.app.create(
                    billing_service.settings.Settings(
                        database_url=SecretStr(database.billing), tokens=TOKENS
                    )
                )
            )
        )
        notifications = await stack.enter_async_context(
            serve(
                notification_service.app.create(
                    notification_service.settings.Settings(
                        database_url=SecretStr(database.notification), tokens=TOKENS
                    )
                )
            )
        )
        orders = await stack.enter_async_context(
            serve(
                order_service.app.create(
                    order_service.settings.Settings(
                        database_url=SecretStr(database.order),
                        billing_url="http://billing",
                        billing_token=SecretStr("token-of-order_service"),
                        notification_url="http://notification",
                        notification_token=SecretStr("token-for-notification"),
                        wait_budget_s=0.001,
                    ),
                    Peerless,
                )
            )
        )
        for client in (billing, notifications):
            client.headers["Authorization"] = "Bearer token-of-order_service"
        charge = {"order_id": ORDER, "account": "alice", "amount_cents": 7}
        order = {"customer": "alice", "item": "book", "amount_cents": 7}
        opening = {"opening_balance_cents": 7}
        note = {"notification_id": ORDER, "order_id": ORDER, "customer": "alice", "text": "Hello."}
        routes = [
            Route(billing, "POST", "/charges", charge, "amount_cents", "account", 201),
            Route(billing, "PUT", "/accounts/eve", opening, "opening_balance_cents", None, 200),
            Route(orders, "POST", "/orders", order, "amount_cents", "item", 202),
            Route(notifications, "POST", "/notifications", note, None, "text", 202),
        ]
        yield Services(billing, orders, notifications, routes, happened)
    await owner.close()


def assert_refused(response: httpx.Response, status: int, slug: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["type"].endswith(f"/problems/{slug}")


async def test_good_bodies(services_of_test: Services) -> None:
    """The control: each route accepts its body as it is, so what is refused below is refused for what was changed."""
    for route in services_of_test.routes:
        assert (await route.send(route.changed())).status_code == route.accepted
    assert await services_of_test.happened() == 5


def twice(body: dict[str, Any], name: str, written: str) -> bytes:
    """The body with one of its names a second time, written so."""
    return json.dumps(body).encode()[:-1] + b', "%s": %s}' % (
        written.encode(),
        json.dumps(body[name]).encode(),
    )


async def test_a_name_twice(services: Services) -> None:
    """422 for each field of each body, also with the same value, also with its name written in escapes (RFC 8259, section 4)."""
    for route in services.routes:
        for name in route.body:
            for written in (name, f"\\u{ord(name[0]):04x}{name[1:]}"):
                response = await route.send(twice(route.body, name, written))
                assert_refused(response, 422, "validation")
                assert response.json()["errors"] != []
    assert await services.happened() == 0


async def test_colons_in_a_text(services_of_test: Services) -> None:
    """They are no names: a text may hold a whole object."""
    for route in services_of_test.routes:
        if route.text is not None and route.text != "account":
            body = route.changed(**{route.text: '{"item": 1, "item": 2, "text": 3, "text": 4}'})
            assert (await route.send(body)).status_code == route.accepted


UNREADABLE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "half": lambda good: good[:-1],
    "byte order mark": lambda good: b"\xef\xbb\xbf" + good,
    "UTF-16": lambda good: good.decode().encode("utf-16"),
    "UTF-32": lambda good: good.decode().encode("utf-32"),
    "not UTF-8": lambda good: good.replace(b'": "', b'": "\xff', 1).replace(b": 7", b": \xff7"),
    "overlong": lambda good: good.replace(b'": "', b'": "\xc1\x81', 1).replace(b": 7", b": \xc07"),
    "more after it": lambda good: good + b" {}",
    "NUL after it": lambda good: good + b"\x00",
    "trailing comma": lambda good: good[:-1] + b",}",
    "comment": lambda good: good + b"// good",
    "single quotes": lambda good: good.replace(b'"', b"'"),
    "deep": lambda _: b"[" * 30_000 + b"]" * 30_000,
    "deep within": lambda good: good[:-1] + b', "x": ' + b'{"a":' * 9_000 + b"1" + b"}" * 9_001,
    "null": lambda _: b"null",
    "a list of it": lambda good: b"[" + good + b"]",
    "a text of it": lambda good: json.dumps(good.decode()).encode(),
    "unknown field": lambda good: good[:-1] + b', "x": 1}',
    "unknown object": lambda good: good[:-1] + b', "x": {"a": 1, "a": 2}}',
    "name that is a lone surrogate": lambda good: good[:-1] + b', "\\ud800": 1}',
}


@pytest.mark.parametrize("spoil", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_an_unreadable_body(services: Services, spoil: Callable[[bytes], bytes]) -> None:
    """422 everywhere."""
    for route in services.routes:
        assert_refused(await route.send(spoil(route.changed())), 422, "validation")
    assert await services.happened() == 0


@pytest.mark.parametrize(
    "number",
    ["7.0", "7.5", "7e0", "1e400", "-1e400", "NaN", "Infinity", "-Infinity", '"7"', "true", "null", "[7]", "07", "+7",
     "-7", "0x7", "7_0", "9" * 30, "9" * 6_000, "1000000000001", '{"a": 7}'],
)  # fmt: skip
async def test_a_number_that_is_no_amount(services: Services, number: str) -> None:
    """Cents are an integer in its range, written as an integer."""
    for route in services.routes:
        if route.cents is not None:
            body = route.changed(**{route.cents: "here"}).replace(b'"here"', number.encode())
            assert_refused(await route.send(body), 422, "validation")
    assert await services.happened() == 0


@pytest.mark.parametrize(
    "text", ["a\u2028b", "a\u202eb", "a\u2066b", "a\x85b", "a\u200bb", "a\x00b", "a\ue000b", "\ud800", "\n", "", " "]
)  # fmt: skip
async def test_a_text_that_hides_something(services: Services, text: str) -> None:
    """Names, items and messages are what they look like."""
    for route in services.routes:
        for name in (n for n in (route.text, "customer") if n is not None and n in route.body):
            assert_refused(await route.send(route.changed(**{name: text})), 422, "validation")
    assert await services.happened() == 0


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "deflate", "br", "zstd", "x", "identity, gzip"])
async def test_a_content_coding(services: Services, coding: str) -> None:
    """415 with the hint of RFC 9110 (section 12.5.3), whether the body is coded or only says so."""
    for route in services.routes:
        for body in (route.changed(), gzip.compress(route.changed())):
            response = await route.send(body, {**JSON, "Content-Encoding": coding})
            assert_refused(response, 415, "media-type-unsupported")
            assert response.headers["Accept-Encoding"] == "identity"
    assert await services.happened() == 0


async def test_the_coding_that_is_none(services_of_test: Services) -> None:
    """`identity` names no coding."""
    for route in services_of_test.routes:
        response = await route.send(route.changed(), {**JSON, "Content-Encoding": "identity"})
        assert response.status_code == route.accepted


@pytest.mark.parametrize(
    "kinds",
    [
        [],
        ["text/plain"],
        ["application/x-www-form-urlencoded"],
        ["application/jsonp"],
        ["json"],
        [""],
        ["application/json, text/plain"],
        ["application/json; charset=utf-16"],
        ["application/json;charset=ISO-8859-1"],
        ["application/json", "text/plain"],
        ["application/json", "application/json"],
    ],
)
async def test_another_content_type(services: Services, kinds: list[str]) -> None:
    """415 with what is read instead."""
    for route in services.routes:
        headers = [("Idempotency-Key", '"1"'), *(("Content-Type", kind) for kind in kinds)]
        response = await route.send(route.changed(), headers)
        assert_refused(response, 415, "media-type-unsupported")
        assert response.headers["Accept"] == "application/json"
    assert await services.happened() == 0


@pytest.mark.parametrize(
    "kind",
    ["Application/JSON", "application/json; charset=UTF-8", 'application/json;charset="utf-8"', "application/x+json"],
)  # fmt: skip
async def test_json_by_another_name(services_of_test: Services, kind: str) -> None:
    """Names of media types know no case, and a charset that is named is the one of JSON."""
    for route in services_of_test.routes:
        response = await route.send(route.changed(), {**JSON, "Content-Type": kind})
        assert response.status_code == route.accepted


async def test_a_query_beside_a_body(services: Services) -> None:
    """422: a parameter that is ignored would be taken for one that was heeded."""
    for route in services.routes:
        response = await route.send(route.changed(), path=f"{route.path}?dry_run=1")
        assert_refused(response, 422, "validation")
    assert await services.happened() == 0


def encoded(spellings: tuple[str, ...]) -> list[str]:
    """In a URL; the empty one is another path."""
    return [quote(text, safe="+{}:\"',") for text in spellings if text]


@pytest.mark.parametrize("key", [*encoded(OF_42), "%34%32", "0", "4%32"])
async def test_another_spelling_of_a_key(services: Services, key: str) -> None:
    """422 for a key in the path, asked for or voided, and for a mark: nothing is voided, nothing forgotten."""
    for method, url in (
        ("GET", f"/charges/{key}"),
        ("DELETE", f"/charges/{key}"),
        ("DELETE", f"/charges?below={key}"),
    ):
        assert_refused(await services.billing.request(method, url), 422, "validation")
    if key != "4200000000000000":
        response = await services.orders.get(f"/orders?limit={key}")
        assert_refused(response, 422, "validation")
    assert await services.happened() == 0
    assert (await services.billing.get("/charges/42")).json()["state"] == "never_seen"


@pytest.mark.parametrize("order", encoded(OF_A_UUID))
async def test_another_spelling_of_a_uuid(services: Services, order: str) -> None:
    """422 in paths and queries of both services that have them."""
    for response in (
        await services.orders.get(f"/orders/{order}"),
        await services.orders.post(f"/orders/{order}/cancel"),
        await services.orders.get(f"/orders?before={order}"),
        await services.notifications.get(f"/notifications?order_id={order}"),
    ):
        assert_refused(response, 422, "validation")


@pytest.mark.parametrize(
    "account", ["alice%0A", "%61lice", "alice%20", "%20alice", "al%69ce", "\uff41lice"]
)
async def test_another_spelling_of_an_account(services: Services, account: str) -> None:
    """422: alice has one name."""
    assert_refused(await services.billing.get(f"/accounts/{account}"), 422, "validation")
    response = await services.billing.put(
        f"/accounts/{account}", json={"opening_balance_cents": 1000}
    )
    assert_refused(response, 422, "validation")


@pytest.mark.parametrize(
    "query",
    ["below=42&below=42", "below=42&below=43", "below=42&x=1", "below=42&", "&below=42", "below=42&%62elow=43", "Below=42",
     "below", "below=", "", "below=42&below", "below=4;2"],
)  # fmt: skip
async def test_a_query_of_another_form(services: Services, query: str) -> None:
    """One mark, once, and nothing else."""
    assert_refused(await services.billing.delete(f"/charges?{query}"), 422, "validation")


@pytest.mark.parametrize(
    "url",
    ["/charges/42?below=42", "/charges/42?", "/accounts/alice?x=1", "/accounts/alice?account=bob"],
)
async def test_a_query_that_nothing_reads(services: Services, url: str) -> None:
    """422 where a route has no parameters; a question mark alone is no query."""
    response = await services.billing.get(url)
    assert response.status_code == (200 if url.endswith("?") else 422)


@pytest.mark.parametrize(
    "query", ["limit=5&limit=6", "limit=5&offset=5", f"before={ORDER}&before={ORDER}"]
)
async def test_pages_asked_for_in_another_form(services: Services, query: str) -> None:
    """A page that ignored a parameter would look like the whole."""
    assert_refused(await services.orders.get(f"/orders?{query}"), 422, "validation")
    response = await services.notifications.get(f"/notifications?{query}")
    assert_refused(response, 422, "validation")


async def test_a_wrong_token_comes_before_the_url(services: Services) -> None:
    """A caller that is not known learns nothing about what is read."""
    response = await services.billing.delete("/charges/+42", headers={"Authorization": "Bearer x"})
    assert_refused(response, 401, "token-wrong")
