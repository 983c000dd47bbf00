"""A headless Chromium, driven over its DevTools protocol.

Guarantee: nothing is read from a page before it has been loaded, and everything that the browser reported by then is known.
`python -m tests.browser.chromium` says whether there is a Chromium, with exit code 2 when there is none.
"""

import asyncio
import base64
import contextlib
import itertools
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
MISSING = (
    "Chromium is missing: install it (Debian: apt-get install chromium), "
    "or set CHROMIUM=/path/to/chromium."
)
# Far above what a start or a page takes on a busy machine.
DEADLINE_S = 60.0
# A page as tall as this is photographed whole; of a longer one the top.
PHOTOGRAPH_HEIGHT_MAX_PX = 12_000


class ChromiumError(Exception):
    """The browser did not start, ended, or refused a command."""


@dataclass(frozen=True)
class Screen:
    """How a page is shown."""

    scheme: str
    width_px: int
    height_px: int


def find() -> str | None:
    """The program, if there is one."""
    named = os.environ.get("CHROMIUM")
    return next(filter(None, map(shutil.which, [named] if named else PROGRAMS)), None)


@asynccontextmanager
async def browser(profile: Path) -> AsyncIterator["Tab"]:
    """A browser with one empty tab; `profile` is an empty folder of its own."""
    program = find()
    if program is None:
        raise ChromiumError(MISSING)
    process = await asyncio.create_subprocess_exec(
        program,
        "--headless=new",
        "--remote-debugging-port=0",
        f"--user-data-dir={profile}",
        # Root has no sandbox, nor has an ordinary user in most containers. Only our own pages are opened.
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--hide-scrollbars",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "about:blank",
        env={**os.environ, "HOME": str(profile)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    reading: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(DEADLINE_S):
            address = await _address(process.stderr)
        # A full pipe would stop the browser.
        reading = asyncio.create_task(_drain(process.stderr))
        async with (
            aiohttp.ClientSession(trust_env=False) as session,
            session.ws_connect(address, max_msg_size=0) as socket,
            _tab(socket) as tab,
        ):
            yield tab
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        if reading is not None:
            await reading


async def _address(stderr: asyncio.StreamReader) -> str:
    said = []
    async for line in stderr:
        text = line.decode(errors="replace").strip()
        said.append(text)
        if text.startswith("DevTools listening on "):
            return text.removeprefix("DevTools listening on ")
    raise ChromiumError("Chromium did not start: " + " | ".join(said[-5:]))


async def _drain(stderr: asyncio.StreamReader) -> None:
    async for _ in stderr:
        pass


@asynccontextmanager
async def _tab(socket: aiohttp.ClientWebSocketResponse) -> AsyncIterator["Tab"]:
    connection = _Connection(socket)
    listening = asyncio.create_task(connection.listen())
    try:
        targets = await connection.send("Target.getTargets")
        target = next(t for t in targets["targetInfos"] if t["type"] == "page")
        attached = await connection.send(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        tab = Tab(connection, attached["sessionId"])
        for domain in ("Page", "Runtime", "Network", "Log"):
            await tab.send(f"{domain}.enable")
        yield tab
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


class Tab:
    """One page at a time."""

    def __init__(self, connection: "_Connection", session: str) -> None:
        self._connection = connection
        self._session = session

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol."""
        return await self._connection.send(method, self._session, **parameters)

    async def open(self, path: Path, screen: Screen) -> None:
        """Shows a file, and waits until it is loaded and drawn."""
        await self.send(
            "Emulation.setDeviceMetricsOverride",
            width=screen.width_px,
            height=screen.height_px,
            deviceScaleFactor=1,
            mobile=screen.width_px < 500,
        )
        feature = {"name": "prefers-color-scheme", "value": screen.scheme}
        await self.send("Emulation.setEmulatedMedia", features=[feature])
        self._connection.reported.clear()
        self._connection.loaded.clear()
        await self.send("Page.navigate", url=path.as_uri())
        async with asyncio.timeout(DEADLINE_S):
            await self._connection.loaded.wait()
        await self.evaluate(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"
        )

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page; a promise is awaited."""
        answer = await self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise ChromiumError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    async def photograph(self, path: Path) -> None:
        """The whole page as a PNG."""
        size = (await self.send("Page.getLayoutMetrics"))["cssContentSize"]
        clip = {
            "x": 0,
            "y": 0,
            "scale": 1,
            "width": size["width"],
            "height": min(size["height"], PHOTOGRAPH_HEIGHT_MAX_PX),
        }
        answer = await self.send("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    def complaints(self) -> list[str]:
        """Errors and warnings of the page: its script, its policy, its markup."""
        return [text for text in map(_complaint, self._connection.reported) if text is not None]

    def requests(self) -> list[str]:
        """Whatever the page asked for beyond itself."""
        urls = [
            event["params"]["request"]["url"]
            for event in self._connection.reported
            if event["method"] == "Network.requestWillBeSent"
            and event["params"].get("type") != "Document"
        ]
        return [url for url in urls if not url.startswith("data:")]


class _Connection:
    """The one socket to the browser: commands with their answers, and what it reports by itself."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.reported: list[dict[str, Any]] = []
        self.loaded = asyncio.Event()

    async def send(
        self, method: str, session: str | None = None, /, **parameters: Any
    ) -> dict[str, Any]:
        number = next(self._numbers)
        answered = asyncio.get_running_loop().create_future()
        self._waiting[number] = answered
        command: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session is not None:
            command["sessionId"] = session
        await self._socket.send_json(command)
        async with asyncio.timeout(DEADLINE_S):
            answer: dict[str, Any] = await answered
        if "error" in answer:
            raise ChromiumError(f"{method}: {answer['error']}")
        return dict(answer["result"])

    async def listen(self) -> None:
        async for message in self._socket:
            event = message.json()
            if "id" in event:
                self._waiting.pop(event["id"]).set_result(event)
                continue
            self.reported.append(event)
            if event["method"] == "Page.loadEventFired":
                self.loaded.set()


def _complaint(event: dict[str, Any]) -> str | None:
    parameters = event["params"]
    match event["method"]:
        case "Runtime.exceptionThrown":
            return f"exception: {parameters['exceptionDetails'].get('text')}"
        case "Runtime.consoleAPICalled" if parameters["type"] in ("error", "warning", "assert"):
            return f"console: {[argument.get('value') for argument in parameters['args']]}"
        case "Log.entryAdded" if parameters["entry"]["level"] in ("error", "warning"):
            return f"log: {parameters['entry']['text']}"
    return None


def main() -> int:
    """0 when there is a Chromium, 2 when there is none."""
    if find() is not None:
        return 0
    sys.stderr.write(MISSING + "\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
