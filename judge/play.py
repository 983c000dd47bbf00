"""The context of one case: how it sends, strikes and counts.

Guarantee: everything that a case does leaves an entry in its evidence.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from judge.answers import Answers
from judge.caller import Caller, Hold, Sending
from judge.config.model import Config
from judge.errors import ServiceError
from judge.evidence import Attempt, Evidence
from judge.network import Network, Proxy
from judge.probe.meter import Meter
from judge.requests import USUAL, Change, Requests, Values
from judge.service import Service

T = TypeVar("T")

# A retry that is answered with errors only, this long and this often, will not get well.
_ERRORS_END_S = 4.0
_ERRORS_MIN = 4
_RETRY_PAUSE_S = 0.05
_RETRY_PAUSE_MAX_S = 1.0
_DIRECT = "directly"
_PROXIED = "through Toxiproxy"


@dataclass
class Bench:
    """What all cases of a run share. Times are in seconds."""

    config: Config
    requests: Requests
    caller: Caller
    meter: Meter
    network: Network
    service: Service
    answers: Answers
    seed: int
    # From the calibration: how long one request takes, and an answer to compare others with.
    latency_s: float = 0.05
    # The service's own part of it: from the last byte of the request to the first one of the answer.
    work_s: float = 0.05
    sample: Attempt | None = None
    # What has failed so far: the name of the case to its usual cause.
    failed: dict[str, str] = field(default_factory=dict)

    def cause(self, usual: str) -> str:
        """The usual cause of a second effect, unless an earlier case has shown a simpler one."""
        for name in ("replay", "kill-acknowledged"):
            if self.failed.get(name):
                return f"As in the case {name}: {self.failed[name]}"
        return usual

    @property
    def deadline_s(self) -> float:
        """How long one attempt may take: twins may wait for each other."""
        expect = self.config.expect
        slow_s = 3 * (expect.slow_s or 0.0)
        return max(12 * self.latency_s + 5, slow_s + max(15.0, expect.in_flight_ends_s))

    @property
    def headroom(self) -> int:
        """How many more effects the service can take, when the reading counts down to nothing."""
        meter = self.meter
        if meter.step < 0 and meter.last is not None and meter.last > 0:
            return int(meter.last / -meter.step)
        return 1_000_000


@dataclass
class Play:
    """One case being played."""

    bench: Bench
    evidence: Evidence
    chance: random.Random
    # Set when the case is played again because of a late effect: readings must stay the same for this long.
    patience_s: float = 0.0
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    def new(self) -> Values:
        """The values of a new logical request, with a key of its own."""
        return self.bench.requests.new()

    async def send(
        self,
        values: Values,
        label: str,
        change: Change = USUAL,
        *,
        proxy: Proxy | None = None,
        sending: Sending | None = None,
    ) -> Attempt:
        """One attempt, directly or through a proxy."""
        rendered = self.bench.requests.render(values, change)
        attempt = self.evidence.begin(label, _PROXIED if proxy else _DIRECT, rendered)
        address = proxy.address if proxy else None
        how = sending or Sending(self.bench.deadline_s)
        how = Sending(how.deadline_s, address, how.hold, how.on_complete, how.on_head)
        return await self.bench.caller.send(attempt, how)

    async def until_final(
        self,
        values: Values,
        label: str,
        change: Change = USUAL,
        *,
        proxy: Proxy | None = None,
        waits_s: float | None = None,
    ) -> Attempt:
        """Sends the same request again until its answer is final, as a caller does; gives the last attempt.

        Final is a success or a refusal. "In flight", "busy", errors and silence are not, up to a bound.
        """
        began = time.monotonic()
        pause_s, errors = _RETRY_PAUSE_S, 0
        expect = self.bench.config.expect
        slow_s = expect.slow_s or 0.0
        waits = expect.in_flight_ends_s if waits_s is None else waits_s
        while True:
            attempt = await self.send(values, label, change, proxy=proxy)
            passed = time.monotonic() - began
            if self.bench.answers.is_waiting(attempt):
                ended = passed > waits + 2 * slow_s
            elif attempt.succeeded or attempt.refused:
                return attempt
            else:
                errors += 1
                ended = errors >= _ERRORS_MIN and passed > _ERRORS_END_S
            if ended:
                return attempt
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.7, _RETRY_PAUSE_MAX_S)

    async def together(
        self, values: list[Values], label: str, *, proxy: Proxy | None = None
    ) -> list[Attempt]:
        """One attempt for each of the values, all complete on the wire at the same moment."""
        hold = Hold(len(values))
        sending = Sending(self.bench.deadline_s, hold=hold)
        tasks = [
            self.start(self.send(each, f"{label} {number}", proxy=proxy, sending=sending))
            for number, each in enumerate(values, start=1)
        ]
        await hold.all_held.wait()
        hold.released.set()
        return list(await asyncio.gather(*tasks))

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Runs something beside the case; `close` ends it if the case does not."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Ends what still runs."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @asynccontextmanager
    async def proxy(self) -> AsyncIterator[Proxy]:
        """A fresh proxy to the service."""
        async with self.bench.network.proxy(self.evidence) as proxy:
            yield proxy

    async def effects(self, at_least: int = 0, quiet_s: float = 0.0) -> Decimal:
        """The settled count of effects since the case began."""
        quiet = max(quiet_s, self.patience_s)
        return await self.bench.meter.effects(self.evidence, at_least, quiet)

    async def begin_again(self) -> None:
        """Effects are counted from here."""
        await self.bench.meter.begin(self.evidence)

    async def kill(self, why: str) -> None:
        """kill -9 for all processes of the service."""
        await self.bench.service.kill()
        self.evidence.fault("killed", f"kill -9 {why}")

    async def restart(self) -> None:
        """Starts the service again and waits until it is ready."""
        await self.bench.service.restart()
        self.evidence.fault("started", "started again")

    async def ensure_up(self) -> None:
        """Starts the service again when it died by itself. Raises `ServiceError` when it cannot be reached."""
        service = self.bench.service
        if service.can_start and not service.alive:
            await self.restart()
        elif not await service.until_ready(10.0):
            raise ServiceError(f"nothing answers at {self.bench.config.service.url} any more.")
