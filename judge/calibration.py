"""The calibration: shows that the probe counts, and how fast, before anything is judged.

Guarantee: a run goes on only when one request changed the reading by one step, two keys by two, and nothing changed it
while nothing was sent.
"""

import asyncio
import statistics
import time

from judge.cases.case import plain
from judge.errors import JudgeError, Untold
from judge.evidence import Attempt
from judge.play import Play

# The reading is watched without a request for so long.
_IDLE_S = 0.5
# The lag of the readings is not known yet: an effect is waited for this long, and must then stay alone for this long.
_FIRST_EFFECT_S = 10.0
_FIRST_QUIET_S = 0.7
_PAUSE_S = 0.01
# Where readings lag by more, further requests find out how far.
_LAG_S = 0.15
_MORE = 2


async def calibrate(play: Play) -> None:
    """Sets latency, lag and sample answer of the bench.

    Raises `Untold` when the service or the probe cannot be judged by, `JudgeError` when another user moves the reading.
    """
    meter = play.bench.meter
    await meter.once()
    await meter.begin(play.evidence)
    if await meter.changes_within(_IDLE_S):
        raise JudgeError(
            "the reading changes while nothing is sent: another user, or the clock, changes what the probe reads."
        )
    await play.begin_again()
    attempts, lags = [], []
    first, lag_s = await _one(play, 1)
    attempts.append(first)
    lags.append(lag_s)
    effects = await play.effects(1, _FIRST_QUIET_S)
    if effects != 1:
        raise Untold(_no_step(play, first, "one request"))
    play.bench.meter.pace.lag_s = lag_s
    for number in (2, 3, *((4, 5)[:_MORE] if lag_s > _LAG_S else ())):
        attempt, lag_s = await _one(play, number)
        attempts.append(attempt)
        # One that was not seen at all says nothing of the lag; it is not waited for several times as long.
        lags += [lag_s] if lag_s < _FIRST_EFFECT_S else []
        play.bench.meter.pace.lag_s = max(lags)
        if await play.effects(number) != number:
            raise Untold(_no_step(play, attempt, f"{number} requests with {number} keys"))
    play.bench.sample = attempts[-1]
    play.bench.latency_s = statistics.median(attempt.seconds for attempt in attempts[1:])
    play.bench.work_s = statistics.median(map(_work_s, attempts))
    play.evidence.witness("one request changed the reading by one step", True)
    play.evidence.witness("two keys changed it by two steps", True)
    play.evidence.witness("it did not change while nothing was sent", True)


async def _one(play: Play, effects: int) -> tuple[Attempt, float]:
    """A new request, and how long after its answer its effect was read, in seconds."""
    attempt = await play.until_final(play.new(), f"calibration {effects}")
    if not attempt.succeeded:
        raise Untold(f"a new request does not succeed, so nothing can be judged: {attempt.saw}")
    answered = time.monotonic()
    meter = play.bench.meter
    while time.monotonic() - answered < _FIRST_EFFECT_S:
        if meter.effects_of(await meter.value()) >= effects:
            break
        await asyncio.sleep(_PAUSE_S)
    return attempt, time.monotonic() - answered


def _work_s(attempt: Attempt) -> float:
    """From the last byte of the request to the first one of the answer, in seconds."""
    if attempt.complete_ms is None or attempt.head_ms is None:
        return attempt.seconds
    return max(0.0, attempt.head_ms - attempt.complete_ms) / 1000


def _no_step(play: Play, attempt: Attempt, what: str) -> str:
    meter = play.bench.meter
    value = meter.last if meter.last is not None else meter.base
    moved = value - meter.base
    if moved == 0:
        return (
            f"{what} was answered {attempt.saw}, but the reading stayed {plain(value)}: "
            "the probe does not see this effect, or there is none"
        )
    return (
        f"{what} changed the reading from {plain(meter.base)} to {plain(value)}, by {plain(moved)}; "
        f"step says {plain(meter.step)} for each"
    )
