"""Bad input gets a clear problem; no key is spent and no money moves."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from starlette.types import Message

import billing_service.app
from billing_service.settings import Settings
from tests.billing_service.conftest import TOKENS

ORDER = "00000000-0000-0000-0000-000000000001"
GOOD: dict[str, Any] = {"order_id": ORDER, "account": "alice", "amount_cents": 1999}
HEADERS = {"Idempotency-Key": '"1"', "Content-Type": "application/json"}
Balance = Callable[[], Coroutine[Any, Any, int]]


@pytest.fixture(scope="module", params=["in batches", "one by one"])
async def billing(
    request: pytest.FixtureRequest, database_of_module: Any, serve: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """For all tests: what is refused leaves nothing."""
    settings = Settings(
        database_url=SecretStr(database_of_module.billing),
        tokens=TOKENS,
        hosts=("billing",),
        group_commit=request.param == "in batches",
    )
    async with serve(billing_service.app.create(settings)) as client:
        client.headers["Authorization"] = "Bearer token-of-order_service"
        for account in ("alice", "bob"):
            opening = {"opening_balance_cents": 10_000}
            response = await client.put(f"/accounts/{account}", json=opening)
            assert response.status_code == 200
        yield client


def changed(**fields: Any) -> bytes:
    return json.dumps({**GOOD, **fields}).encode()


BODIES = {
    "not JSON": b"{",
    "empty": b"",
    "not UTF-8": b'{"account": "\xff"}',
    "a list": b"[]",
    "null": b"null",
    "a number": b"7",
    "deep": b"[" * 30_000 + b"]" * 30_000,
    "no field": b"{}",
    "an unknown field": changed(currency="EUR"),
    "an unknown field that is no text": b'{"\\ud800": 1}',
    "amount zero": changed(amount_cents=0),
    "amount negative": changed(amount_cents=-1),
    "amount huge": changed(amount_cents=10**30),
    "amount above the limit": changed(amount_cents=10**12 + 1),
    "amount with thousands of digits": b'{"amount_cents": ' + b"9" * 6000 + b"}",
    "amount a float": changed(amount_cents=19.99),
    "amount a whole float": changed(amount_cents=1999.0),
    "amount a string": changed(amount_cents="1999"),
    "amount true": changed(amount_cents=True),
    "amount null": changed(amount_cents=None),
    "amount not a number": b'{"amount_cents": NaN}',
    "amount exponential": b'{"order_id": "%s", "account": "alice", "amount_cents": 1e3}'
    % ORDER.encode(),
    "account with NUL": changed(account="al\x00ice"),
    "account with a lone surrogate": b'{"account": "\\ud800"}',
    "account empty": changed(account=""),
    "account long": changed(account="a" * 65),
    "account a number": changed(account=7),
    "order no uuid": changed(order_id="7"),
    "order a number": changed(order_id=7),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_a_bad_body(billing: httpx.AsyncClient, balance: Balance, body: bytes) -> None:
    """A problem with status 400 or 422, the key unspent, the money where it was."""
    response = await billing.post("/charges", content=body, headers=HEADERS)
    assert response.status_code in (400, 422)
    assert_problem(response)
    assert (await billing.get("/charges/1")).json()["state"] == "never_seen"
    assert await balance() == 10_000


@pytest.mark.parametrize("size", [64 * 1024 + 1, 10 * 1024 * 1024])
@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_over_the_limit(
    billing: httpx.AsyncClient, balance: Balance, size: int, announced: bool
) -> None:
    """413, whether the length was announced or the body came in chunks."""

    async def chunks() -> Any:
        for _ in range(0, size, 4096):
            yield b" " * 4096

    content: Any = b" " * size if announced else chunks()
    response = await billing.post("/charges", content=content, headers=HEADERS)
    assert response.status_code == 413
    assert_problem(response)
    assert await balance() == 10_000


async def test_a_body_at_the_limit(billing: httpx.AsyncClient) -> None:
    """64 KiB are allowed: the limit refuses what is above it and nothing else."""
    # A key and an account that no other test here looks at.
    body = changed(account="bob")
    body += b" " * (64 * 1024 - len(body))
    headers = {**HEADERS, "Idempotency-Key": '"2"'}
    response = await billing.post("/charges", content=body, headers=headers)
    # Or its replay: the other form has the same database.
    assert response.status_code == 201


@pytest.mark.parametrize(
    "key", [None, "1", '""', '"0"', '"-1"', '"x"', '"1.5"', '"9999999999999999"']
)
async def test_a_bad_key(billing: httpx.AsyncClient, balance: Balance, key: str | None) -> None:
    """400 with a link to the documentation, as the draft asks for."""
    headers = {"Content-Type": "application/json"}
    if key is not None:
        headers["Idempotency-Key"] = key
    response = await billing.post("/charges", json=GOOD, headers=headers)
    assert response.status_code == 400
    assert_problem(response)
    assert 'rel="describedby"' in response.headers["Link"]
    assert await balance() == 10_000


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic token-of-order_service",
        "token-of-order_service",
        "Bearer \xff",
    ],
)
async def test_a_wrong_token(
    billing: httpx.AsyncClient, balance: Balance, authorization: str
) -> None:
    """401 for a charge, a key and an account; a balance is readable only with a token."""
    headers = [(b"authorization", authorization.encode("latin-1"))]
    responses = [
        await billing.post("/charges", json=GOOD, headers=[*headers, (b"idempotency-key", b'"1"')]),
        await billing.get("/charges/1", headers=headers),
        await billing.get("/accounts/alice", headers=headers),
        await billing.put("/accounts/eve", json={"opening_balance_cents": 5}, headers=headers),
    ]
    for response in responses:
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert_problem(response)
    assert await balance() == 10_000


async def test_a_token_comes_before_the_headers(billing: httpx.AsyncClient) -> None:
    """A caller without a valid token learns nothing about keys."""
    response = await billing.post("/charges", json=GOOD, headers={"Authorization": "Bearer x"})
    assert response.status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"opening_balance_cents": -1},
        {"opening_balance_cents": 1.5},
        {"opening_balance_cents": "5"},
    ],
)
async def test_a_bad_opening(billing: httpx.AsyncClient, body: dict[str, Any]) -> None:
    """422 and no account."""
    response = await billing.put("/accounts/eve", json=body)
    assert response.status_code == 422
    assert_problem(response)
    assert (await billing.get("/accounts/eve")).status_code == 404


@pytest.mark.parametrize(
    "path", ["/charges/0", "/charges/-1", "/charges/x", f"/charges/{10**15}", "/accounts/a%00b"]
)
async def test_a_bad_path(billing: httpx.AsyncClient, path: str) -> None:
    """A path that can name nothing is a 422, not a defect."""
    response = await billing.get(path)
    assert response.status_code == 422
    assert_problem(response)


async def test_a_body_that_stops_in_the_middle(settings: Settings) -> None:
    """The caller is gone: nothing is executed, no key is spent, nothing is remembered of the half body."""
    app = billing_service.app.create(settings)
    half = json.dumps(GOOD).encode()[:20]
    messages: list[Message] = [
        {"type": "http.request", "body": half, "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    async def send(_: Message) -> None:
        return None

    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://billing") as client,
    ):
        client.headers["Authorization"] = "Bearer token-of-order_service"
        await client.put("/accounts/alice", json={"opening_balance_cents": 10_000})
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/charges",
            "raw_path": b"/charges",
            "query_string": b"",
            "root_path": "",
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
            "headers": [
                (b"host", b"billing"),
                (b"authorization", b"Bearer token-of-order_service"),
                (b"idempotency-key", b'"1"'),
                (b"content-type", b"application/json"),
                (b"content-length", b"500"),
            ],
        }
        async with asyncio.timeout(60):
            await app(scope, receive, send)
        assert (await client.get("/charges/1")).json()["state"] == "never_seen"
        whole = await client.post("/charges", json=GOOD, headers={"Idempotency-Key": '"1"'})
        assert whole.status_code == 201


async def test_every_problem_has_a_page(billing: httpx.AsyncClient) -> None:
    """The type of a problem is a URL that answers with a page about it; the list of them names each one."""
    response = await billing.get("/charges/x")
    page = await billing.get(response.json()["type"])
    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")
    assert response.json()["title"] in page.text
    index = await billing.get("/problems/")
    for slug in ("key-missing", "key-malformed", "key-in-flight", "key-forgotten", "key-reused"):
        assert slug in index.text
        assert (await billing.get(f"/problems/{slug}")).status_code == 200
    assert (await billing.get("/problems/nothing")).status_code == 404


def assert_problem(response: httpx.Response) -> None:
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == response.status_code
    assert "/problems/" in problem["type"]
    assert problem["title"]
    assert problem["detail"]
