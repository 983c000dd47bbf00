"""Errors of the server that are caused by ending it: they are not the final answer of a key."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from judge import causes, processes
from judge.cases.aftermath import Pending, retry_all
from judge.cases.case import Case, took, witness
from judge.cases.crashes import needs_start
from judge.errors import Broken
from judge.evidence import Attempt
from judge.play import Play
from judge.requests import Values

_AT_ONCE = 4
# A supervisor starts a worker again within this time, or the judge starts the service.
_WORKER_BACK_S = 5.0
_PAUSE_S = 0.02


async def _errors(play: Play) -> None:
    await _ended(play, _terminated, "SIGTERM in the middle")
    if len(play.bench.service.pids()) > 1:
        await play.begin_again()
        await _ended(play, _worker_killed, "kill -9 of one process of the service")


async def _ended(play: Play, strike: Callable[[Play], Awaitable[None]], after: str) -> None:
    count = max(1, min(_AT_ONCE, play.bench.headroom // 12))
    values = [play.new() for _ in range(count)]
    tasks = [
        play.start(play.send(each, f"request {number}"))
        for number, each in enumerate(values, start=1)
    ]
    await _all_sent(play, tasks)
    await asyncio.sleep(play.chance.uniform(0.1, 0.6) * play.bench.latency_s)
    await strike(play)
    attempts: list[Attempt] = list(await asyncio.gather(*tasks))
    errors = sum(attempt.status >= 500 for attempt in attempts)
    await retry_all(play, _pending(values, attempts), after)
    effects = await play.effects(count)
    if effects != count:
        raise Broken(
            f"{count} requests were sent again after {after}: they {took(effects)}",
            play.bench.cause(causes.EFFECT_BEFORE_KEY)
            if effects > count
            else causes.KEY_BEFORE_EFFECT,
        )
    witness(play, f"every request was answered after {after}", True)
    if errors:
        play.evidence.note(
            f"{errors} of {count} requests were answered with an error of the server at {after}, and succeeded later."
        )


def _pending(values: list[Values], attempts: list[Attempt]) -> list[Pending]:
    return [Pending(each, attempt) for each, attempt in zip(values, attempts, strict=True)]


async def _all_sent(play: Play, tasks: list[asyncio.Task[Attempt]]) -> None:
    """Waits until all requests are complete on the wire, or over."""
    while not all(task.done() for task in tasks):
        sent = play.evidence.attempts[-len(tasks) :]
        if all(a.complete_ms is not None or a.ended_ms is not None for a in sent):
            return
        await asyncio.sleep(0.001)


async def _terminated(play: Play) -> None:
    await play.bench.service.terminate()
    play.evidence.fault("terminated", "SIGTERM")
    await play.restart()


async def _worker_killed(play: Play) -> None:
    """The last process that was started dies alone: what stands before it may answer an error for it."""
    service = play.bench.service
    pids = service.pids()
    # Until it is gone, it takes connections that it will not answer, and so looks ready.
    await processes.kill_alone(pids[-1])
    play.evidence.fault("killed", f"kill -9 of the last of {len(pids)} processes")
    ends = time.monotonic() + _WORKER_BACK_S
    while service.alive and time.monotonic() < ends:
        if await service.ready():
            return
        await asyncio.sleep(_PAUSE_S)
    await play.kill("what is left of it")
    await play.restart()


CASES = (
    Case(
        "server-error",
        "errors when the service is ended",
        "A request that the end of the service interrupts is not answered with an error for ever: its retry succeeds, with one effect.",
        "a new request succeeds",
        _errors,
        needs_start,
    ),
)
