"""The background work of the services: after each scenario every process is ready, and its loops go round again.

Guarantee: work that has stopped is one finding, which names the process, the loop and the scenario after which it
stopped. The process is replaced, so that later scenarios are judged by their own faults.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import httpx

from chaos.promises.catalogue import Finding, Kind
from stack.embedded import FACTORIES, Stack
from stack.http_client import http_client
from stack.processes import Child, StackError
from stack.waiting import NotSeen, until

PROMISE = "L8"
CLAIM = "after healing every process is ready, and its background loops go on"
# Longer than the longest statement, lease or pause that a loop may still be waiting for when the fault ends.
BOUND_S = 30.0
# What was reported before is not waited for as long again: many rounds of the slowest loop.
REPORTED_BOUND_S = 3.0
_QUESTION_TIMEOUT_S = 2.0
_READINESS = "readiness"


@dataclass(frozen=True)
class Loop:
    """A loop in a service; `metric` counts its rounds."""

    service: str
    name: str
    metric: str


LOOPS = (
    Loop("billing_service", "the collector of settled keys", "billing_collector_rounds_total"),
    Loop("order_service", "the takeover of orders", "order_takeover_rounds_total"),
)


@dataclass(frozen=True)
class Rounds:
    """How often each loop of one process had gone round, by the loop's metric."""

    pid: int
    counted: Mapping[str, float]


@dataclass(frozen=True)
class Stopped:
    """Work of one process that has stopped."""

    service: str
    child: Child
    work: str
    detail: str

    def __str__(self) -> str:
        return f"{self.child.name} (process {self.child.pid}): {self.detail}"


class Background:
    """Watches the services of one stack; where the stack was not started here, there is nothing to watch."""

    def __init__(self, stack: Stack | None, bound_s: float = BOUND_S) -> None:
        self._stack = stack
        self._usual_bound_s = bound_s
        # Service and work, as far as it was reported.
        self._reported: set[tuple[str, str]] = set()
        # Why no further scenario can be played; empty while they can.
        self.beyond_repair = ""

    async def rounds(self) -> dict[str, Rounds]:
        """The rounds of each process that answers, by its name: what `judge` compares with."""
        async with _client() as client:
            read = await asyncio.gather(
                *(self._read(client, service, child) for service, child in self._children())
            )
        names = [child.name for _, child in self._children()]
        return {name: rounds for name, rounds in zip(names, read, strict=True) if rounds}

    async def judge(self, scenario: str, before: Mapping[str, Rounds]) -> Finding | None:
        """The finding on what has stopped since `before`; None when there is nothing to say, or nothing new.

        What has stopped is replaced. Where that does not help, `beyond_repair` says so.
        """
        children = self._children()
        async with _client() as client:
            looked = await asyncio.gather(
                *(
                    self._look(client, service, child, before.get(child.name))
                    for service, child in children
                )
            )
        stopped = [each for of_child in looked for each in of_child]
        new = [each for each in stopped if (each.service, each.work) not in self._reported]
        self._reported.update((each.service, each.work) for each in new)
        if not children or (stopped and not new):
            await self._replace(stopped)
            return None
        detail = f"after {scenario}: {'; '.join(map(str, new))}" if new else ""
        await self._replace(stopped)
        return Finding(PROMISE, CLAIM, Kind.LIVENESS, not new, detail, whatever_struck=True)

    def _children(self) -> list[tuple[str, Child]]:
        if self._stack is None:
            return []
        return [
            (service, child) for service in FACTORIES for child in self._stack.children(service)
        ]

    async def _look(
        self, client: httpx.AsyncClient, service: str, child: Child, before: Rounds | None
    ) -> list[Stopped]:
        """What has stopped in one process."""
        last = ""

        async def ready() -> bool:
            nonlocal last
            last = await self._not_ready(client, child)
            return not last

        try:
            await until(ready, self._bound_s(service, _READINESS), "the process is ready")
        except NotSeen:
            return [Stopped(service, child, _READINESS, f"it is not ready ({last})")]
        loops = [loop for loop in LOOPS if loop.service == service]
        seen = await asyncio.gather(
            *(self._goes_round(client, loop, child, before) for loop in loops)
        )
        return [
            Stopped(service, child, loop.name, f"{loop.name} goes round no more ({loop.metric})")
            for loop, goes_round in zip(loops, seen, strict=True)
            if not goes_round
        ]

    async def _goes_round(
        self, client: httpx.AsyncClient, loop: Loop, child: Child, before: Rounds | None
    ) -> bool:
        """Whether a loop ends one more round; a process that is a new one is compared with itself."""
        first = before

        async def one_more() -> bool:
            nonlocal first
            now = await self._read(client, loop.service, child)
            if now is None:
                return False
            if loop.metric not in now.counted:
                # A service that has no such loop.
                return True
            if first is None or first.pid != now.pid:
                first = now
            return now.counted[loop.metric] > first.counted.get(loop.metric, 0.0)

        try:
            return await until(one_more, self._bound_s(loop.service, loop.name), "a round ends")
        except NotSeen:
            return False

    async def _read(self, client: httpx.AsyncClient, service: str, child: Child) -> Rounds | None:
        pid = child.pid
        try:
            response = await client.get(f"{self._url(child)}/metrics")
        except httpx.TransportError:
            return None
        counted = {}
        for loop in LOOPS:
            # One line for each set of labels.
            lines = re.findall(rf"^{loop.metric}(?:{{.*}})? (\S+)", response.text, re.MULTILINE)
            if loop.service == service and lines:
                counted[loop.metric] = sum(map(float, lines))
        return Rounds(pid, counted)

    async def _not_ready(self, client: httpx.AsyncClient, child: Child) -> str:
        """What keeps a process from being ready; empty when nothing does."""
        if child.failure.done():
            return "it ended again and again"
        try:
            response = await client.get(f"{self._url(child)}/readyz")
        except httpx.TransportError as exc:
            return type(exc).__name__
        return "" if response.status_code == httpx.codes.OK else response.text

    async def _replace(self, stopped: Iterable[Stopped]) -> None:
        """Kills what has stopped working and waits for the process that takes its place."""
        for child in {each.child.name: each.child for each in stopped}.values():
            deaths = len(child.deaths)
            try:
                await child.crash()
                if self._stack is not None:
                    await self._stack.ready_after(child, deaths + 1)
            except StackError as exc:
                self.beyond_repair = str(exc)

    def _bound_s(self, service: str, work: str) -> float:
        return REPORTED_BOUND_S if (service, work) in self._reported else self._usual_bound_s

    def _url(self, child: Child) -> str:
        if self._stack is None:
            raise RuntimeError("there is no process to ask")
        return self._stack.url_of(child)


def _client() -> httpx.AsyncClient:
    return http_client(timeout=_QUESTION_TIMEOUT_S)
