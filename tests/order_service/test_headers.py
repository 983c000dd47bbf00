"""The customer's key, read to the letter of RFC 9651; and the URL, to the letter of its document."""

import httpx
import pytest
from fastapi import Request
from pydantic import SecretStr

import order_service.app
from order_service import headers
from order_service.settings import Settings
from service_kit.problem_details import Problem

ORDER = "00000000-0000-4000-8000-000000000001"


def request(*values: str) -> Request:
    raw = [(b"idempotency-key", value.encode("latin-1")) for value in values]
    return Request({"type": "http", "method": "POST", "path": "/orders", "headers": raw})


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ('"a7f3"', "a7f3"),
        (r'"a\"b\\c"', 'a"b\\c'),
        ('" "', " "),
        ('"k";a=1', "k"),
        ('"' + "x" * 255 + '"', "x" * 255),
    ],
)
def test_a_string_is_a_key(value: str, key: str) -> None:
    """What is between the quotes, unescaped; unknown parameters mean nothing."""
    assert headers.customer_key(request(value)) == key


def test_no_key() -> None:
    """It is optional."""
    assert headers.customer_key(request()) is None


@pytest.mark.parametrize(
    "values",
    [
        ['""'],
        ['"' + "x" * 256 + '"'],
        ["42"],
        ["a7f3"],
        ["?1"],
        [":YTdmMw==:"],
        ['"a'],
        ['"a\xff"'],
        ['"a\x1fb"'],
        ['"a\x85b"'],
        ['%"a%e2%80%aeb"'],
        ['"a", "b"'],
        ['"a"', '"a"'],
        ["'a'"],
        [""],
    ],
)
def test_any_other_key_is_malformed(values: list[str]) -> None:
    """Nothing is guessed at, and a key holds visible ASCII only."""
    with pytest.raises(Problem) as caught:
        headers.customer_key(request(*values))
    assert caught.value.kind.slug == "key-malformed"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/orders?limits=1"),
        ("GET", "/orders?limit=1&limit=2"),
        ("GET", "/orders?limit=%31"),
        ("GET", f"/orders/{ORDER}?limit=1"),
        ("GET", f"/orders/%30{ORDER[1:]}"),
        ("POST", f"/orders/{ORDER}/cancel?now"),
    ],
)
async def test_a_url_that_is_not_documented(method: str, path: str) -> None:
    """A name that is misspelt or given twice is refused before the database is asked, and never left out in silence."""
    settings = Settings(
        database_url=SecretStr("postgresql://order_service@127.0.0.1:1/none"),
        billing_url="http://billing",
        billing_token=SecretStr("token-of-order_service"),
        notification_url="http://notification",
        notification_token=SecretStr("token-for-notification"),
    )
    transport = httpx.ASGITransport(order_service.app.create(settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        response = await client.request(method, path)
    assert response.status_code == 422
    assert response.json()["type"].endswith("/problems/validation")
