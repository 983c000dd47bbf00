"""Whatever goes wrong in an application is a problem with a page, and tells nothing of its inside."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from service_kit import problem_details
from service_kit.problem_details import Problem, ProblemCatalogue, ProblemType

SPILT = ProblemType("tea-spilt", 409, "Tea <was> spilt", 'The "cup" & the tea are gone. <script>')
STEEPED = ProblemType("steeped", 402, "It has steeped", "For too long.")


class Cup(BaseModel):
    """A cup of tea."""

    strength: int


def application(public_url: str = "") -> FastAPI:
    app = FastAPI()

    @app.post("/cups")
    async def post_cup(cup: Cup) -> Cup:
        return cup

    @app.get("/spilt")
    async def spilt(text: str = "gone") -> None:
        raise Problem(SPILT, text, headers={"Retry-After": "1"}, cup=text)

    @app.get("/steeped")
    async def steeped() -> None:
        raise Problem(STEEPED, "x")

    @app.get("/defect")
    async def defect() -> None:
        raise ZeroDivisionError("the secret recipe")

    @app.get("/http/{status}")
    async def http(status: int) -> None:
        raise HTTPException(status, "as it is", headers={"Accept": "tea"})

    catalogue = ProblemCatalogue.of([SPILT, STEEPED], public_url=public_url, retention="Kept <b>.")
    problem_details.install(app, catalogue)
    return app


@pytest.fixture
async def tea() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://tea") as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "status", "slug", "detail"),
    [
        ("GET", "/nothing", 404, "not-found", "Not Found"),
        ("GET", "/problems/nothing", 404, "not-found", "There is no problem type of this name."),
        ("DELETE", "/cups", 405, "method-not-allowed", "Method Not Allowed"),
        ("POST", "/cups", 422, "validation", "Not as documented: body."),
        ("GET", "/spilt", 409, "tea-spilt", "gone"),
        ("GET", "/defect", 500, "internal", "The service failed; its log has the reason."),
        ("GET", "/http/400", 400, "body-unreadable", "as it is"),
        ("GET", "/http/415", 415, "media-type-unsupported", "as it is"),
        ("GET", "/http/418", 500, "internal", "as it is"),
    ],
)
async def test_every_error_is_a_problem_with_a_page(
    tea: httpx.AsyncClient, method: str, path: str, status: int, slug: str, detail: str
) -> None:
    """Its status is the one that it says, its type opens, and a sentence says what was wrong."""
    response = await tea.request(method, path)
    assert response.status_code == response.json()["status"] == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["type"] == f"/problems/{slug}"
    assert response.json()["detail"] == detail
    page = await tea.get(response.json()["type"])
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert (await tea.get("/problems/")).text.count(f'href="{slug}"') == 1


async def test_a_defect_tells_nothing(tea: httpx.AsyncClient) -> None:
    """No traceback, no text of an exception."""
    response = await tea.get("/defect")
    assert "secret" not in response.text
    assert "Traceback" not in response.text


async def test_input_is_not_repeated(tea: httpx.AsyncClient) -> None:
    """An error names the field; what was sent in it stays out of the answer."""
    response = await tea.post("/cups", json={"strength": "my password"})
    assert response.json()["errors"][0]["field"] == "body.strength"
    assert "password" not in response.text


async def test_a_body_that_is_no_json(tea: httpx.AsyncClient) -> None:
    """The answer says so, and names no field."""
    headers = {"Content-Type": "application/json"}
    response = await tea.post("/cups", content=b"{", headers=headers)
    assert response.json()["detail"] == "The body is not valid JSON."
    assert response.json()["errors"] == []


async def test_very_many_errors() -> None:
    """The first twenty are named: an answer is not many times as long as its request."""

    class Strict(BaseModel, extra="forbid"):
        pass

    app = FastAPI()

    @app.post("/strict")
    async def strict(_: Strict) -> None:
        return None

    problem_details.install(app, ProblemCatalogue.of([]))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://tea") as client:
        response = await client.post("/strict", json={f"x{n}": 1 for n in range(1_000)})
    assert len(response.json()["errors"]) == 20


@pytest.mark.parametrize(
    ("path", "described"),
    [("/spilt", True), ("/http/400", True), ("/steeped", False), ("/nothing", False), ("/defect", False)],
)  # fmt: skip
async def test_the_link_to_the_documentation(
    tea: httpx.AsyncClient, path: str, described: bool
) -> None:
    """400, 409, 410 and 422 carry it, as draft-ietf-httpapi-idempotency-key-header asks; it names the type."""
    response = await tea.get(path)
    link = response.headers.get("Link")
    expected = f'<{response.json()["type"]}>; rel="describedby"' if described else None
    assert link == expected


async def test_headers_and_members_of_a_problem(tea: httpx.AsyncClient) -> None:
    """What an endpoint adds is in the answer; an HTTPException keeps its headers."""
    response = await tea.get("/spilt", params={"text": "é\u2028🎉"})
    assert response.headers["Retry-After"] == "1"
    assert response.json()["cup"] == response.json()["detail"] == "é\u2028🎉"
    assert response.content.isascii()
    assert (await tea.get("/http/415")).headers["Accept"] == "tea"


def test_a_text_that_cannot_be_encoded() -> None:
    """A lone surrogate does not break the answer."""
    catalogue = ProblemCatalogue.of([SPILT])
    assert "\\ud800" in catalogue.render(Problem(SPILT, "a\ud800b"))


async def test_pages_are_escaped(tea: httpx.AsyncClient) -> None:
    """Texts of problems are texts on their pages."""
    for page in (await tea.get("/problems/tea-spilt"), await tea.get("/problems/")):
        assert "Tea &lt;was&gt; spilt" in page.text
        assert "Kept &lt;b&gt;." in page.text
        assert "<script>" not in page.text
        assert "<was>" not in page.text


async def test_the_public_url() -> None:
    """Types and links begin with it, without a second slash."""
    transport = httpx.ASGITransport(application("https://tea.example/"))
    async with httpx.AsyncClient(transport=transport, base_url="http://tea") as client:
        response = await client.get("/spilt")
    assert response.json()["type"] == "https://tea.example/problems/tea-spilt"
    assert response.headers["Link"].startswith("<https://tea.example/problems/tea-spilt>;")
