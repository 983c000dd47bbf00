"""After a crash: every request is sent again until its answer is final."""

import asyncio
import time
from dataclasses import dataclass

from judge import causes
from judge.cases.case import must_succeed
from judge.errors import Broken
from judge.evidence import Attempt
from judge.play import Play
from judge.requests import Values

_ERRORS_END_S = 4.0
_PAUSE_S = 0.1
_PAUSE_MAX_S = 1.0


@dataclass
class Pending:
    """One request, what its caller saw before the crash, and the last retry."""

    values: Values
    before: Attempt | None
    retry: Attempt | None = None


async def retry_all(play: Play, pending: list[Pending], after: str) -> None:
    """Retries all, in rounds, so that those which wait do so together.

    Raises `Broken` when one does not come to a success, or to another answer than before the crash.
    """
    began = time.monotonic()
    pause_s = _PAUSE_S
    slow_s = play.bench.config.expect.slow_s or 0.0
    open_ones = pending
    while open_ones:
        await asyncio.gather(*(_retried(play, each, after) for each in open_ones))
        passed = time.monotonic() - began
        open_ones = [each for each in open_ones if not _is_final(play, each)]
        if any(play.bench.answers.is_waiting(_retry(each)) for each in open_ones):
            over = passed > play.bench.config.expect.in_flight_ends_s + 2 * slow_s
        else:
            over = passed > _ERRORS_END_S
        if over:
            break
        if open_ones:
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.6, _PAUSE_MAX_S)
    for each in pending:
        await must_succeed(play, _retry(each), after)
        before = each.before
        if before is not None and before.succeeded:
            difference = play.bench.answers.difference(before, _retry(each))
            if difference:
                raise Broken(
                    f"an answer from before {after} is another one afterwards: {difference}",
                    play.bench.cause(causes.MEMORY_ONLY),
                )


async def _retried(play: Play, each: Pending, after: str) -> None:
    each.retry = await play.send(each.values, f"retry after {after}")


def _is_final(play: Play, each: Pending) -> bool:
    retry = _retry(each)
    return retry.succeeded or (retry.refused and not play.bench.answers.is_waiting(retry))


def _retry(each: Pending) -> Attempt:
    if each.retry is None:
        raise RuntimeError("a request was not retried")
    return each.retry
