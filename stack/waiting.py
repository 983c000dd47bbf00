"""Asks again and again until something is so: how the harness waits for evidence.

Guarantee: it ends with the evidence or at its bound; the pause between two questions spares the processor and
synchronises nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

T = TypeVar("T")

# Short against all that is waited for (a start of a process, a retry), long against a question.
PAUSE_S = 0.02


class NotSeen(Exception):
    """What was waited for did not come within its bound."""


async def until(
    question: Callable[[], Awaitable[T | None]],
    bound_s: float,
    waited_for: str,
    pause_s: float = PAUSE_S,
) -> T:
    """The first answer that is neither None nor false. Raises `NotSeen` after `bound_s` seconds."""
    try:
        async with asyncio.timeout(bound_s):
            while not (answer := await question()):  # noqa: ASYNC110 - another process sets no event here
                await asyncio.sleep(pause_s)
            return answer
    except TimeoutError as exc:
        raise NotSeen(f"{waited_for}: not within {bound_s:g} s") from exc


async def first_of(futures: "Iterable[asyncio.Future[Any]]") -> None:
    """Returns when one of the futures is done; raises what one that is done has raised."""
    awaited = list(futures)
    await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
    for future in awaited:
        if future.done():
            future.result()
