"""The system's Chromium, driven by playwright: playwright's own browser is a download that no lock pins.

Guarantee: nothing is read from a page before it is loaded and drawn; everything that the browser reported by then is
known. `python -m tests.browser.chromium` exits with 2 when there is no Chromium.
"""

import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import Page, async_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
MISSING = (
    "Chromium is missing: install it (Debian: apt-get install chromium), "
    "or set CHROMIUM=/path/to/chromium."
)
# Far above what a start or a page takes on a busy machine.
DEADLINE_MS = 60_000
# A page as tall as this is photographed whole; of a longer one the top.
PHOTOGRAPH_HEIGHT_MAX_PX = 12_000
# Root has no sandbox, nor has an ordinary user in most containers. Only our own pages are opened. The rest keeps Chromium from
# asking the network for anything of its own.
FLAGS = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
)


@dataclass(frozen=True)
class Screen:
    """How a page is shown."""

    scheme: Literal["light", "dark"]
    width_px: int
    height_px: int


def find() -> str | None:
    """The program, if there is one."""
    named = os.environ.get("CHROMIUM")
    return next(filter(None, map(shutil.which, [named] if named else PROGRAMS)), None)


@asynccontextmanager
async def browser(program: str) -> AsyncIterator["Tab"]:
    """A browser with one empty tab."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=program, args=list(FLAGS), timeout=DEADLINE_MS
        )
        try:
            page = await chromium.new_page()
            page.set_default_timeout(DEADLINE_MS)
            yield Tab(page)
        finally:
            await chromium.close()


class Tab:
    """One page at a time."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._complaints: list[str] = []
        self._requests: list[str] = []
        page.on("pageerror", lambda error: self._complaints.append(f"exception: {error}"))
        page.on("console", self._hear)
        page.on("request", self._note)

    async def open(self, page: Path | str, screen: Screen) -> None:
        """Shows a file, or what a server has at this URL, and waits until it is loaded and drawn."""
        await self.page.set_viewport_size({"width": screen.width_px, "height": screen.height_px})
        await self.page.emulate_media(color_scheme=screen.scheme)
        self._complaints.clear()
        self._requests.clear()
        address = page if isinstance(page, str) else page.as_uri()
        await self.page.goto(address, wait_until="load")
        await self.evaluate(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"
        )

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page; a promise is awaited."""
        # Playwright would call an expression that is a function; here it is always a value.
        return await self.page.evaluate(f"() => ({expression})")

    async def photograph(self, path: Path) -> None:
        """The whole page as a PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        width, height = await self.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
        )
        await self.page.screenshot(
            path=path,
            full_page=True,
            clip={
                "x": 0,
                "y": 0,
                "width": width,
                "height": min(height, PHOTOGRAPH_HEIGHT_MAX_PX),
            },
        )

    def complaints(self) -> list[str]:
        """Errors and warnings of the page: its script, its policy, its markup."""
        return list(self._complaints)

    def requests(self) -> list[str]:
        """What the page asked for beyond itself."""
        return list(self._requests)

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning", "assert"):
            self._complaints.append(f"console: {message.text}")

    def _note(self, request: Any) -> None:
        if request.resource_type != "document" and not request.url.startswith("data:"):
            self._requests.append(request.url)


def main() -> int:
    """0 when there is a Chromium, 2 when there is none."""
    if find() is not None:
        return 0
    sys.stderr.write(MISSING + "\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
