"""kill -9 at four moments, then a start and a retry: one effect, and "in flight" ends.

Guarantee: a crash counts only when every process of the service was dead and a request had been sent and not answered,
or, where the case says so, just answered.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Coroutine
from typing import Any

from judge import causes
from judge.caller import Sending
from judge.cases.aftermath import Pending, retry_all
from judge.cases.case import (
    Case,
    first_success,
    must_be_once,
    must_be_same,
    must_succeed,
    plain,
    took,
    witness,
)
from judge.cases.load import Load
from judge.config.model import Config
from judge.errors import Broken, Untold
from judge.play import Play

# Requests in flight at one kill: each is at another point of its work.
_IN_FLIGHT = 10
_IN_FLIGHT_MIN = 2
# All of them one after the other, on a service that serves one at a time, in seconds.
_LOAD_S = 3.0
# Kills in the middle: each meets a window of half of the work with a probability of a half at least.
_ROUNDS = 7
_ROUNDS_MIN = 4
_ROUNDS_END_S = 16.0
_HASTE = 0.3
_ARRIVALS = 2
# As long as the service has answered everything before each kill: a busy machine lets the judge wait for its turn.
_ARRIVALS_MAX = 5
# A service that takes longer to start is killed less often, so that the run stays short.
_SLOW_START_S = 1.5
_AT_ONCE = 4


async def _acknowledged(play: Play) -> None:
    values = play.new()
    first = await first_success(play, values)
    before = await play.effects(1)
    witness(play, "the request was answered and took effect before the kill", before == 1)
    await play.kill("after the answer")
    await play.restart()
    kept = await play.effects(1)
    if kept < 1:
        raise Broken(
            f"an effect that was acknowledged is gone after kill -9 and a new start: the reading shows {plain(kept)} in place of 1",
            causes.NOT_DURABLE,
        )
    retry = await play.until_final(values, "retry")
    effects = await play.effects(1)
    if effects > 1:
        raise Broken(
            f"a request that had been answered was sent again after kill -9 and a new start: it {took(effects)}",
            play.bench.cause(causes.MEMORY_ONLY),
        )
    await must_succeed(play, retry, "kill -9 after the answer")
    must_be_same(play, first, retry, "a retry after kill -9")


async def _arrival(play: Play) -> None:
    met: list[int] = []
    while len(met) < _arrivals(play) or (not any(met) and len(met) < _ARRIVALS_MAX):
        met.append(await _strike(play, min(_AT_ONCE, _load(play)), _nothing, "on arrival"))
    _must_have_met(play, met)


async def _nothing(_: Load) -> None:
    """The kill comes with the last byte of the request."""


async def _middle(play: Play) -> None:
    began = time.monotonic()
    met: list[int] = []
    haste = 1.0
    while len(met) < _ROUNDS_MIN or (
        len(met) < _ROUNDS and time.monotonic() - began < _ROUNDS_END_S
    ):
        # A machine on which all is answered before the kill comes gives every second kill to a stream.
        flowing = haste < 1 and len(met) % 2 == 1
        moment = _at_request if flowing else _moment(play, len(met), haste)
        met.append(await _strike(play, _load(play), moment, "in the middle", flowing=flowing))
        # A service that had answered everything is faster than was thought.
        haste = haste if met[-1] else haste * _HASTE
    _must_have_met(play, met)


def _arrivals(play: Play) -> int:
    return _ARRIVALS if play.bench.service.start_s < _SLOW_START_S else 1


def _must_have_met(play: Play, met: list[int]) -> None:
    kills = sum(unanswered > 0 for unanswered in met)
    play.evidence.witness(
        f"requests were in flight when the service was killed ({kills} of {len(met)} kills, {sum(met)} requests)",
        kills > 0,
    )


async def _reply(play: Play) -> None:
    for _ in range(_arrivals(play)):
        await play.begin_again()
        values = play.new()
        headed: list[bool] = []

        async def on_head(headed: list[bool] = headed) -> None:
            headed.append(True)
            await play.kill("when the answer starts")

        sending = Sending(play.bench.deadline_s, on_head=on_head)
        answered = await play.send(values, "the request", sending=sending)
        if not headed:
            raise Untold(f"no answer started: {answered.saw}")
        witness(
            play, "the answer had started when the service was killed", not play.bench.service.alive
        )
        await play.restart()
        pending = Pending(values, None)
        await retry_all(play, [pending], "kill -9 when the answer starts")
        effects = await play.effects(1)
        must_be_once(
            play,
            effects,
            "a request whose service was killed when its answer started, and that was sent again,",
            causes.EFFECT_BEFORE_KEY,
            causes.LOST_EFFECT,
        )


Moment = Callable[[Load], Coroutine[Any, Any, None]]


def _moment(play: Play, number: int, haste: float) -> Moment:
    """When to kill: at a part of the time of one request, at an answer, or when the first effect is read.

    `haste` below 1 shortens the first, and leaves the others out.
    """
    chance, work_s = play.chance, play.bench.work_s
    by_effect = play.bench.config.effect.kind == "sql"

    async def at_part(_: Load) -> None:
        # Several requests may be served one after the other.
        await asyncio.sleep(chance.uniform(0.05, 0.95) * chance.choice((1, 1, 3)) * haste * work_s)

    async def at_answer(load: Load) -> None:
        await load.answered(chance.randint(1, max(1, len(load.values) // 3)))
        await asyncio.sleep(chance.uniform(0.0, 0.7) * min(work_s, 0.05))

    async def at_effect(_: Load) -> None:
        meter = play.bench.meter
        while await meter.value() == meter.base:  # noqa: ASYNC110 - a database sets no event
            await asyncio.sleep(0)

    if haste < 1:
        return at_part
    kinds: tuple[Moment, ...] = (
        (at_part, at_answer, at_effect) if by_effect else (at_part, at_answer)
    )
    return kinds[number % len(kinds)]


async def _at_request(load: Load) -> None:
    """When a request of a stream is complete on the wire, while those before it are answered."""
    first = len(load.complete) + 1
    await load.completed(load.play.chance.randint(first, max(first, len(load.values))))


async def _strike(
    play: Play, count: int, moment: Moment, when: str, *, flowing: bool = False
) -> int:
    """Sends requests, kills the service at a moment, starts it again, retries them all, and counts.

    `flowing`: half of them at the same moment, each other one when one is answered. Gives how many requests were complete on the
    wire, and had no answer, when the service died.
    """
    await play.begin_again()
    load = Load(play, count)
    await load.send(count // 2 if flowing else count)
    trigger, everything = play.start(moment(load)), play.start(load.ended())
    # Whichever comes first: the moment, or the end of all requests, which makes the kill meet nothing.
    await asyncio.wait([trigger, everything], return_when=asyncio.FIRST_COMPLETED)
    load.stop()
    complete = set(load.complete)
    await play.kill(when)
    witness(play, f"the service was dead after kill -9 {when}", not play.bench.service.alive)
    attempts = await asyncio.gather(*load.tasks)
    trigger.cancel()
    unanswered = sum(attempts[number].answer is None for number in complete)
    await play.restart()
    # What the stream had not come to is sent now, and has to take effect as well.
    pending = [
        Pending(each, attempt) for each, attempt in itertools.zip_longest(load.values, attempts)
    ]
    await retry_all(play, pending, f"kill -9 {when}")
    effects = await play.effects(count)
    what = f"{count} requests, of which {unanswered} had no answer when the service was killed {when}, were sent again"
    if effects > count:
        raise Broken(
            f"{what}: they {took(effects)}",
            play.bench.cause(causes.EFFECT_BEFORE_KEY),
        )
    if effects < count:
        raise Broken(
            f"{what}: all are answered with success, but {plain(effects)} of them took effect",
            causes.KEY_BEFORE_EFFECT,
        )
    return unanswered


def _load(play: Play) -> int:
    """How many requests are in flight: fewer when they take long, or when the account is nearly empty."""
    by_time = int(_LOAD_S / max(play.bench.latency_s, 0.001))
    by_account = play.bench.headroom // 12
    return max(_IN_FLIGHT_MIN, min(_IN_FLIGHT, by_time, by_account))


def needs_start(config: Config) -> str:
    """Only a service that the judge starts can be killed by it."""
    return "" if config.service.start else "service.start is not given"


CASES = (
    Case(
        "kill-acknowledged",
        "kill -9 after the answer",
        "What was answered is still known after a crash: the retry gets the same answer and takes no effect.",
        "the effect was read before the kill",
        _acknowledged,
        needs_start,
    ),
    Case(
        "kill-arrival",
        "kill -9 on arrival",
        "The service dies as requests arrive; after a new start each retry succeeds, with one effect.",
        "no process of the service was left",
        _arrival,
        needs_start,
    ),
    Case(
        "kill-middle",
        "kill -9 in the middle",
        "The service dies while it executes requests; after a new start each retry succeeds, with one effect, and in flight ends.",
        "requests without an answer at the moment of the kill",
        _middle,
        needs_start,
    ),
    Case(
        "kill-reply",
        "kill -9 when the answer starts",
        "The service dies with the first byte of its answer; after a new start the retry succeeds, with one effect.",
        "the head of the answer had been read",
        _reply,
        needs_start,
    ),
)
