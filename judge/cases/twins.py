"""Requests with one key at the same time: on many connections, duplicated by the network, across a slow handler."""

import asyncio
import time

from judge import causes
from judge.caller import Sending
from judge.cases.case import (
    Case,
    final_success,
    must_be_once,
    must_be_same,
    must_succeed,
    took,
    witness,
)
from judge.config.model import Config
from judge.errors import Broken, Untold
from judge.evidence import Attempt
from judge.play import Play
from judge.requests import Values
from stack.toxics import Latency

# Many enough to meet between two statements, few enough for a small pool of connections.
_TWINS = 8
_TWINS_SLOW = 4
_SLOW_S = 0.3
_ROUNDS = 5
_ROUNDS_END_S = 4.0
# Held until it is let go.
_HOLD = Latency(latency_ms=600_000, stream="upstream")
# A handler of which nothing is declared counts as slow from here on.
SLOW_BY_ITSELF_S = 0.5
# When twins are sent, in parts of the handler's time.
_SPACED = (0.15, 0.4, 0.65, 0.9)


async def _twins(play: Play) -> None:
    slow = play.bench.latency_s > _SLOW_S
    began = time.monotonic()
    for _ in range(_ROUNDS):
        await play.begin_again()
        values = play.new()
        attempts = await play.together([values] * (_TWINS_SLOW if slow else _TWINS), "twin")
        await _judge_twins(play, values, attempts)
        if time.monotonic() - began > _ROUNDS_END_S:
            break


async def _judge_twins(play: Play, values: Values, attempts: list[Attempt]) -> None:
    successes = [attempt for attempt in attempts if attempt.succeeded]
    retry = await play.until_final(values, "retry") if successes else None
    effects = await play.effects(1 if successes else 0)
    if effects > 1:
        # The control: one more retry, after all is over, tells a race from a key that nothing looks at.
        await play.until_final(values, "control: one more retry, alone")
        unprotected = await play.effects(int(effects)) > effects
        raise Broken(
            f"{len(attempts)} requests with one key at the same time, and a retry, {took(effects)}",
            play.bench.cause(causes.UNPROTECTED if unprotected else causes.CHECK_THEN_INSERT),
        )
    witness(play, "requests with the key were in flight at the same time", _overlapping(attempts))
    for attempt in attempts:
        _must_be_documented(play, attempt, len(attempts))
    if retry is None:
        if all(map(play.bench.answers.is_busy, attempts)):
            raise Untold("the service was too busy for every concurrent request")
        raise Broken(
            f"all of {len(attempts)} requests with one key at the same time are refused as in flight: none is executed",
            causes.STRANDED,
        )
    for attempt in successes[1:]:
        must_be_same(play, successes[0], attempt, "a concurrent request")
    await must_succeed(play, retry, "concurrent requests")
    must_be_same(play, successes[0], retry, "the retry after concurrent requests")
    must_be_once(
        play,
        effects,
        "requests with one key at the same time",
        causes.CHECK_THEN_INSERT,
        causes.LOST_EFFECT,
    )


def _must_be_documented(play: Play, attempt: Attempt, count: int) -> None:
    answers = play.bench.answers
    if attempt.succeeded or answers.is_waiting(attempt):
        return
    if attempt.answer is None:
        raise Untold(f"a concurrent request got no answer: {attempt.saw}")
    allowed = ", ".join(map(str, answers.expect.in_flight)) or "none"
    raise Broken(
        f"of {count} requests with one key at the same time, one is answered {attempt.saw}: "
        f"neither the same answer nor in flight ({allowed})",
        causes.CHECK_THEN_INSERT,
    )


def _overlapping(attempts: list[Attempt]) -> bool:
    """Whether two of them were complete on the wire before either had its answer."""
    complete = sorted(a.complete_ms for a in attempts if a.complete_ms is not None)
    heads = [a.head_ms if a.head_ms is not None else a.ended_ms for a in attempts]
    return (
        len(complete) > 1 and complete[1] <= min(head for head in heads if head is not None)
    ) or (sum(a.began_ms < min(h for h in heads if h is not None) for a in attempts) > 1)


async def _duplicate(play: Play) -> None:
    values = play.new()
    async with play.proxy() as proxy:
        await proxy.arm(_HOLD)
        copies = [
            play.start(play.send(values, name, proxy=proxy))
            for name in ("the request", "its duplicate")
        ]
        await asyncio.gather(*(_complete(play, number) for number in (0, 1)))
        witness(
            play,
            "both copies were on the way at the same time",
            not any(copy.done() for copy in copies) and await proxy.still_armed(_HOLD),
        )
        await proxy.heal(_HOLD)
        attempts: list[Attempt] = list(await asyncio.gather(*copies))
    # One more, long after: a duplicate may have waited somewhere.
    attempts.append(await play.until_final(values, "a later duplicate"))
    effects = await play.effects(1)
    if all(attempt.answer is None for attempt in attempts):
        raise Untold(f"no copy got an answer: {attempts[0].saw}")
    must_be_once(
        play,
        effects,
        "a request that the network delivered three times",
        causes.CHECK_THEN_INSERT,
        causes.LOST_EFFECT,
    )
    successes = [attempt for attempt in attempts if attempt.succeeded]
    if not successes:
        raise Broken(f"no copy of the request succeeds: {attempts[-1].saw}", causes.STRANDED)
    for attempt in successes[1:]:
        must_be_same(play, successes[0], attempt, "a duplicate")


async def _complete(play: Play, index: int) -> None:
    """Waits until the bytes of an attempt are with the proxy; the attempt's own deadline is the bound."""
    while True:
        attempts = play.evidence.attempts
        if len(attempts) > index and (
            attempts[index].complete_ms is not None or attempts[index].ended_ms is not None
        ):
            return
        await asyncio.sleep(0.005)


async def _slow_twins(play: Play) -> None:
    declared = play.bench.config.expect.slow_s
    slow_s = declared or play.bench.latency_s
    values = play.new()
    began = time.monotonic()
    original = play.start(play.send(values, "the request"))
    twins: list[asyncio.Task[Attempt]] = []
    late = 0
    for number, part in enumerate(_SPACED, start=1):
        await asyncio.wait([original], timeout=max(0.0, began + part * slow_s - time.monotonic()))
        if original.done():
            break
        late = number
        twins.append(
            play.start(play.send(values, f"twin {number}", sending=Sending(play.bench.deadline_s)))
        )
    attempts: list[Attempt] = [await original, *await asyncio.gather(*twins)]
    took_s = attempts[0].seconds
    effects = await play.effects(1)
    if effects > 1:
        raise Broken(
            f"a request whose handler takes {took_s:.1f} s, retried {late} times meanwhile, {took(effects)}",
            causes.LOCK_EXPIRES,
        )
    if declared and late < len(_SPACED):
        raise Untold(
            f"slow_s is {plain_s(declared)} s, but the handler answered within {took_s:.2f} s: no twin met it"
        )
    witness(play, f"{late} twins were sent while the request was being executed", late >= 2)
    answers = play.bench.answers
    for attempt in attempts:
        if attempt.answer is None:
            raise Untold(f"{attempt.label} got no answer: {attempt.saw}")
        if not attempt.succeeded and not answers.is_waiting(attempt):
            raise Broken(
                f"{attempt.label}, sent while the request is being executed, is answered {attempt.saw}: "
                "neither the same answer nor in flight",
                causes.LOCK_EXPIRES,
            )
    successes = [attempt for attempt in attempts if attempt.succeeded]
    retry = await final_success(play, values, "retry", "a slow handler")
    for attempt in successes:
        must_be_same(play, attempt, retry, "the retry after a slow handler")
    must_be_once(
        play,
        await play.effects(1),
        "a request with a slow handler",
        causes.LOCK_EXPIRES,
        causes.LOST_EFFECT,
    )


def plain_s(seconds: float) -> str:
    """Seconds without needless zeros."""
    return f"{seconds:g}"


def _needs_slow(config: Config) -> str:
    return "" if config.expect.slow_s else "expect.slow_s is not given, and the handler is fast"


CASES = (
    Case(
        "twins",
        "the same request on many connections at once",
        "Concurrent requests with one key take effect once; each gets the same answer or a documented in flight, and not all are refused.",
        "a single retry afterwards",
        _twins,
    ),
    Case(
        "duplicate",
        "the network delivers a request twice",
        "A request that arrives twice at the same moment, and once more later, takes effect once.",
        "the hold was read back from Toxiproxy, and both copies got an answer after it",
        _duplicate,
    ),
)
SLOW_CASES = (
    Case(
        "slow-twins",
        "retries while a slow handler still works",
        "Retries spaced across a slow handler cause no second effect: no lock expires under it.",
        "the twins were sent before the request was answered",
        _slow_twins,
        _needs_slow,
    ),
)
