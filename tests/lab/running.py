"""A lab in a process of its own, as `make lab` starts it, and its HTTP interface as the page uses it.

Guarantee: every wait has a bound; a lab that does not start shows what it printed.
"""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from stack.http_client import http_client
from stack.schema import PROJECT

START_BOUND_S = 120.0
BOUND_S = 90.0
State = dict[str, Any]


class RunningLab:
    """One running process; `url` and `token` are those of its page."""

    def __init__(self, process: asyncio.subprocess.Process, run_dir: Path, url: str) -> None:
        self.process = process
        self.run_dir = run_dir
        self.url = url
        self.token = ""
        self.client = http_client(base_url=url, timeout=BOUND_S)

    @property
    def description(self) -> dict[str, Any]:
        """stack.json of its stack."""
        found: dict[str, Any] = json.loads(
            (self.run_dir / "stack.json").read_text(encoding="utf-8")
        )
        return found

    async def do(self, command: str, **body: Any) -> httpx.Response:
        """One action of the page."""
        return await self.client.post(
            f"/do/{command}", json=body, headers={"X-Lab-Token": self.token}
        )

    async def state(self, reached: Callable[[State], Any] = lambda _: True) -> State:
        """The first state of which `reached` is true."""
        async with asyncio.timeout(BOUND_S), aclosing(self.events()) as events:
            async for kind, what in events:
                if kind == "state" and reached(what):
                    state: State = what
                    return state
        raise AssertionError("the stream ended")

    async def events(self, last_heard: str = "") -> AsyncGenerator[tuple[str, Any], None]:
        """Kind and content of each server-sent event; ids come as the kind `id`."""
        headers = {"Last-Event-ID": last_heard} if last_heard else {}
        async with self.client.stream("GET", "/events", headers=headers) as response:
            kind = ""
            async for line in response.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    yield "id", value
                elif name == "event":
                    kind = value
                elif name == "data":
                    yield kind, json.loads(value)

    async def ordered(self, situation: str) -> State:
        """Places an order and waits until it is over: the state then."""
        response = await self.do("order", situation=situation)
        assert response.status_code == 200, response.text
        return await self.over(response.json()["number"])

    async def over(self, number: int) -> State:
        """The state in which the order of this number is over."""
        return await self.state(
            lambda state: (
                state["round"] and state["round"]["number"] == number and state["round"]["over"]
            )
        )

    async def quiet(self) -> None:
        """Healed, nothing planted, no order under way."""
        await self.do("heal")
        await self.state(lambda s: not s["busy"] and (not s["round"] or s["round"]["over"]))
        if (await self.state())["bug"]:
            assert (await self.do("plant", bug="")).status_code == 204

    async def moved_cents(self, account: str) -> int:
        """Money that has left an account, asked of Postgres past everything."""
        connection = await asyncpg.connect(self.description["databases"]["owner"])
        try:
            moved: int = await connection.fetchval(
                "SELECT opening_balance_cents - balance_cents FROM billing.accounts WHERE account = $1",
                account,
            )
        finally:
            await connection.close()
        return moved

    async def stop(self) -> int:
        """Ctrl-C; the exit code."""
        await self.client.aclose()
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(BOUND_S):
            return await self.process.wait()


async def start(run_dir: Path, port: str = "") -> RunningLab:
    """Starts a lab, at a port if one is named, and returns when its page can be used."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-E", "-m", "lab", "--own-ports", "--no-browser", "--exit-with-parent"),
        *("--run-dir", str(run_dir)),
        cwd=PROJECT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **({"LAB_PORT": port} if port else {})},
    )
    assert process.stdout is not None
    said = b""
    async with asyncio.timeout(START_BOUND_S):
        while (found := re.search(rb"The lab is at (\S+)\. ", said)) is None:
            line = await process.stdout.readline()
            assert line, said.decode()
            said += line
    lab = RunningLab(process, run_dir, found[1].decode())
    page = (await lab.client.get("/")).text
    token = re.search(r'name="lab-token" content="([^"]+)"', page)
    assert token is not None
    lab.token = token[1]
    return lab


@asynccontextmanager
async def running(run_dir: Path, port: str = "") -> AsyncIterator[RunningLab]:
    """A lab for the length of a block."""
    lab = await start(run_dir, port)
    try:
        yield lab
    finally:
        await lab.stop()
