"""The pages that each service shows to a browser: complete without the internet, closed by their policy, in no document."""

import base64
import hashlib
import re
from collections.abc import Callable
from html.parser import HTMLParser
from importlib.resources import files
from urllib.parse import urljoin

import httpx
import pytest
from starlette.applications import Starlette

from service_kit import pages
from service_kit.direct_route import application
from tests.behind import fastapi_behind
from tests.test_borders import SERVICE, client

Create = Callable[..., Starlette]
PAGES = ("/", "/docs", "/problems/", "/problems/validation")
FILES = ("/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/docs/start.js")


class Links(HTMLParser):
    """What a page links to and loads, and whatever its policy would have to allow inline."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "a":
            self.links.append(given["href"])
        elif tag in ("script", "link", "img", "iframe"):
            self.loaded.append(given.get("src") or given.get("href", ""))
        self.inline += [name for name in given if name.startswith("on") or name == "style"]
        if tag == "script" and "src" not in given:
            self.inline.append("script")


async def get(asking: httpx.AsyncClient, path: str) -> httpx.Response:
    response = await asking.get(path)
    assert response.status_code == 200, path
    return response


@SERVICE
async def test_the_front_page_says_what_the_service_is(create: Create) -> None:
    """Its name, its description and each of its own operations."""
    app = create()
    async with client(app) as asking:
        page = (await get(asking, "/")).text
    behind = fastapi_behind(app)
    assert f"<h1>{behind.title}</h1>" in page
    for path, item in behind.openapi()["paths"].items():
        for method, operation in item.items():
            listed = f"<code>{method.upper()} {path}</code>" in page
            assert listed == ("operation" not in operation["tags"]), path


@SERVICE
async def test_every_link_of_the_front_page_leads_somewhere(create: Create) -> None:
    """Under any name of the service, because it is relative. Without Postgres there are no figures and no readiness."""
    app = create()
    async with client(app) as asking:
        links = Links((await get(asking, "/")).text).links
        assert {"docs", "problems/", "metrics", "openapi.json"} <= set(links)
        for link in links:
            assert not re.match(r"\w+:|/", link), "not relative"
            without_postgres = {"readyz": (503,), "metrics": (200, 500)}
            status = (await asking.get(urljoin("/", link))).status_code
            assert status in without_postgres.get(link, (200,)), link


@SERVICE
async def test_a_page_loads_only_what_the_service_has(
    create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other origin is named; what is loaded is there, complete, and has its media type, also on a system that knows none."""
    monkeypatch.setattr("starlette.responses.guess_type", lambda _: (None, None))
    async with client(create()) as asking:
        loaded = set()
        for path in PAGES:
            found = Links((await get(asking, path)).text)
            assert found.inline == []
            loaded |= {urljoin(path, each) for each in found.loaded if each != "data:,"}
        assert loaded == set(FILES)
        for path in FILES:
            response = await get(asking, path)
            assert len(response.content) == int(response.headers["Content-Length"])
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            kind = "text/css" if path.endswith(".css") else "text/javascript"
            assert response.headers["Content-Type"].startswith(kind)
        script = (await get(asking, "/docs/swagger-ui-bundle.js")).content
        packaged = files("fastapi_swagger") / "resources" / "swagger-ui-bundle.js"
        assert script == packaged.read_bytes()


@SERVICE
async def test_the_policy_of_each_page(create: Create) -> None:
    """Nothing by default, no inline script, no frame, no form; no source that is not the service or data."""
    async with client(create()) as asking:
        for path in PAGES:
            policy = (await get(asking, path)).headers["Content-Security-Policy"]
            directives = dict(each.split(" ", 1) for each in policy.split("; "))
            for name in ("default-src", "base-uri", "form-action", "frame-ancestors"):
                assert directives[name] == "'none'"
            sources = " ".join(directives.values()).split()
            assert all(re.fullmatch(r"'none'|'self'|data:|'sha256-[\w+/=]+'", s) for s in sources)


def directives_of(page: httpx.Response) -> dict[str, str]:
    policy = page.headers["Content-Security-Policy"]
    return dict(each.split(" ", 1) for each in policy.split("; "))


@SERVICE
async def test_what_a_page_may_load(create: Create) -> None:
    """Its own style sheet, which is named by what it contains; the page of operations also its files and the document."""
    nothing = dict.fromkeys(("default-src", "base-uri", "form-action", "frame-ancestors"), "'none'")
    async with client(create()) as asking:
        for path in ("/", "/problems/", "/problems/validation"):
            page = await get(asking, path)
            (style,) = re.findall("<style>(.*?)</style>", page.text, re.DOTALL)
            digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
            allowed = {"img-src": "data:", "style-src": f"'sha256-{digest}'"}
            assert directives_of(page) == {**nothing, **allowed}
            assert page.headers["Referrer-Policy"] == "no-referrer"
            assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert directives_of(await get(asking, "/docs")) == {
            **nothing,
            "script-src": "'self'",
            "style-src": "'self'",
            "img-src": "'self' data:",
            "connect-src": "'self'",
        }


@SERVICE
async def test_the_heading_of_a_page(create: Create) -> None:
    """It is the title, too: what the list holds, or what the problem is."""
    async with client(create()) as asking:
        for path, title in (
            ("/problems/", "Problems"),
            ("/problems/validation", "The request does not have the documented form"),
        ):
            page = (await get(asking, path)).text
            assert f"<title>{title}</title>" in page
            assert f"<h1>{title}</h1>" in page


@SERVICE
async def test_how_long_a_file_is_kept(create: Create) -> None:
    """An hour: it changes with a release only."""
    async with client(create()) as asking:
        for path in FILES:
            assert (await get(asking, path)).headers["Cache-Control"] == "max-age=3600"


@SERVICE
async def test_head_is_answered_like_get(create: Create) -> None:
    """With the same status and fields, and no body."""
    async with client(create()) as asking:
        for path in (*PAGES, *FILES):
            got, head = await get(asking, path), await asking.head(path)
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers == got.headers


@SERVICE
async def test_a_page_is_no_operation(create: Create) -> None:
    """Neither the pages nor their files stand in the OpenAPI document."""
    document = fastapi_behind(create()).openapi()
    assert not {*PAGES, *FILES} & set(document["paths"])
    bare = application(title="x")
    before = bare.openapi()
    bare.openapi_schema = None
    pages.install(bare)
    assert bare.openapi() == before


async def test_what_a_service_says_of_itself_is_escaped() -> None:
    """Its name, its description, the summary of an operation."""
    app = application(title="<b>tea</b>", description="<script>tea</script>")

    @app.get("/cups/{cup}", summary="<i>Pour</i>")
    async def pour(cup: str) -> None: ...

    pages.install(app)
    async with client(app) as asking:
        for path in ("/", "/docs"):
            page = (await get(asking, path)).text
            assert not re.search(r"<(b|i|script)>", page)


@pytest.mark.parametrize("path", ["/redoc", "/docs/", "/docs/oauth2-redirect", "/docs/../../x"])
async def test_what_fastapi_would_add_is_not_there(path: str) -> None:
    """Its pages load from other servers."""
    app = application(title="x")
    pages.install(app)
    async with client(app) as asking:
        assert (await asking.get(path)).status_code == 404
