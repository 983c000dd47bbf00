"""The pages of the services in a real Chromium: their own policy lets them work, and nothing comes from elsewhere."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette

from stack import ports
from stack.waiting import until
from tests.behind import fastapi_behind
from tests.browser.chromium import Screen, Tab
from tests.browser.test_accessibility import SCREENS, violations
from tests.test_borders import SERVICE

Create = Callable[..., Starlette]
DESKTOP = Screen("light", 1280, 900)
_START_S = 60.0


@asynccontextmanager
async def served(app: Starlette) -> AsyncIterator[str]:
    """The address of the application behind its HTTP guard. Its lifespan is left out: the pages need no Postgres."""
    with ports.listen("", None) as listener:
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                http="service_kit.http_guard:GuardedProtocol",
                lifespan="off",
                log_config=None,
                access_log=False,
            )
        )
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:

            async def started() -> bool:
                return server.started

            await until(started, _START_S, "uvicorn serves")
            yield ports.url_of(listener)
        finally:
            server.should_exit = True
            await task


@SERVICE
async def test_the_operations_can_be_tried(tab: Tab, create: Create) -> None:
    """Each operation is listed, one is executed and its answer shown; every request goes to the service itself."""
    app = create()
    behind = fastapi_behind(app)
    wanted = {
        f"{method.upper()} {path}"
        for path, item in behind.openapi()["paths"].items()
        for method in item
    }
    async with served(app) as url:
        await tab.open(f"{url}/docs", DESKTOP)
        await tab.page.wait_for_selector(".opblock")
        shown = await tab.evaluate(
            "[...document.querySelectorAll('.opblock-summary')].map(each =>"
            " each.querySelector('.opblock-summary-method').textContent + ' ' +"
            " each.querySelector('.opblock-summary-path').dataset.path)"
        )
        assert set(shown) == wanted
        probe = ".opblock:has([data-path='/healthz'])"
        await tab.page.click(f"{probe} .opblock-summary-control")
        await tab.page.click(f"{probe} .try-out__btn")
        await tab.page.click(f"{probe} .execute")
        await tab.page.wait_for_selector(f"{probe} .live-responses-table")
        answer = await tab.page.inner_text(f"{probe} .live-responses-table")
        assert behind.title in answer
        assert tab.complaints() == []
        assert tab.requests()
        assert all(each.startswith(f"{url}/") for each in tab.requests())


@SERVICE
async def test_head_over_the_wire(create: Create) -> None:
    """Through the guard and a real server, on one connection: the length of GET, no body, and the next answer is read rightly."""
    async with served(create()) as url, httpx.AsyncClient(base_url=url, trust_env=False) as asking:
        for path in ("/", "/docs", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"):
            head, got = await asking.head(path), await asking.get(path)
            assert (head.status_code, got.status_code, head.content) == (200, 200, b"")
            assert head.headers["Content-Length"] == str(len(got.content))


async def test_a_script_from_elsewhere_is_refused(tab: Tab) -> None:
    """The negative control: the policy of the page stops one that is put into it, and the browser says so."""
    app = next(mark for mark in SERVICE.mark.args[1])()
    async with served(app) as url:
        await tab.open(f"{url}/docs", DESKTOP)
        await tab.evaluate(
            "document.head.append(Object.assign(document.createElement('script'), {src: 'http://127.0.0.1:1/x.js'}))"
        )
        await tab.evaluate("new Promise(done => setTimeout(done, 0))")
        assert any("Content Security Policy" in each for each in tab.complaints())


@SERVICE
@pytest.mark.parametrize("screen", SCREENS)
async def test_a_page_that_a_person_reads(tab: Tab, create: Create, screen: str) -> None:
    """axe-core finds nothing on the front page and on the pages of problems, and their style is applied."""
    async with served(create()) as url:
        for path in ("/", "/problems/", "/problems/validation"):
            await tab.open(url + path, SCREENS[screen])
            assert await violations(tab) == []
            width = await tab.evaluate("document.documentElement.scrollWidth")
            assert width <= SCREENS[screen].width_px
            font = await tab.evaluate("getComputedStyle(document.body).fontFamily")
            assert font.startswith("system-ui")
            assert tab.complaints() == []
            assert tab.requests() == []
