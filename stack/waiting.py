"""Asks again and again until something is so: how the harness waits for evidence.

Guarantee: it ends with the evidence or at its bound; the pause between two questions spares the processor and
synchronises nothing. What is long in coming is asked for more rarely: it is seen a twentieth of its time too late.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

T = TypeVar("T")

# Short against all that is waited for (a start of a process, a retry), long against a question.
PAUSE_S = 0.02
_SHARE = 1 / 20
# Short against every state that must not be missed: the shortest timeout of a lock is 0.3 s.
_PAUSE_MAX_S = 0.1


class NotSeen(Exception):
    """What was waited for did not come within its bound."""


async def until(
    question: Callable[[], Awaitable[T | None]],
    bound_s: float,
    waited_for: str,
    pause_s: float = PAUSE_S,
) -> T:
    """The first answer that is neither None nor false. Raises `NotSeen` after `bound_s` seconds. `pause_s` is the first pause."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(bound_s):
            while not (answer := await question()):  # noqa: ASYNC110 - another process sets no event here
                await asyncio.sleep(pause_s_after(time.monotonic() - began, pause_s))
            return answer
    except TimeoutError as exc:
        raise NotSeen(f"{waited_for}: not within {bound_s:g} s") from exc


def pause_s_after(waited_s: float, least_s: float = PAUSE_S) -> float:
    """The pause before the next question, in seconds, after so long a wait."""
    return max(least_s, min(waited_s * _SHARE, _PAUSE_MAX_S))


async def first_of(futures: "Iterable[asyncio.Future[Any]]") -> None:
    """Returns when one of the futures is done; raises what one that is done has raised."""
    awaited = list(futures)
    await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
    for future in awaited:
        if future.done():
            future.result()
