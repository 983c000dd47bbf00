"""A URL has one spelling, and every part of it is read."""

from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI

from service_kit.strict_input.url import require_documented_url


async def asked(target: str) -> tuple[int, Any]:
    """The status, and what was wrong: where, and in which words."""
    app = FastAPI(dependencies=[Depends(require_documented_url)])

    @app.get("/cups/{cup}")
    async def cups(cup: str, sugar: int = 0, milk: int = 0) -> str:
        return f"{cup} {sugar} {milk}"

    url = httpx.URL("http://tea")
    path, _, query = target.partition("?")
    raw = f"{path}?{query}".encode() if query else path.encode()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        response = await client.get(url.copy_with(raw_path=raw))
    if response.status_code == 200:
        return 200, response.json()
    (error,) = response.json()["detail"]
    assert error["type"] == "url"
    return response.status_code, (*error["loc"], error["msg"])


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("/cups/a%62", ("path", "Nothing in this path may be percent-encoded.")),
        ("/cups/a?sugar=%31", ("query", "Nothing in this query may be percent-encoded.")),
        ("/cups/a?sugar=+1", ("query", "Nothing in this query may be percent-encoded.")),
        ("/cups/a?lemon=1", ("query", "The query has a parameter that is not documented.")),
        ("/cups/a?lemon", ("query", "The query has a parameter that is not documented.")),
        ("/cups/a?sugar=1&", ("query", "The query has a parameter that is not documented.")),
        ("/cups/a?sugar=1&sugar=1", ("query.sugar", "The parameter is given twice.")),
    ],
)
async def test_a_url_that_is_refused(target: str, said: tuple[str, str]) -> None:
    """Where it is wrong, and why."""
    assert await asked(target) == (422, said)


@pytest.mark.parametrize(
    ("target", "read"),
    [("/cups/a", "a 0 0"), ("/cups/a?sugar=1", "a 1 0"), ("/cups/a?milk=2&sugar=1", "a 1 2")],
)
async def test_a_url_as_it_is_documented(target: str, read: str) -> None:
    """The control: it is read."""
    assert await asked(target) == (200, read)
