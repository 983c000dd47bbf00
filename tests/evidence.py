"""Waits for evidence in tests: asks again and again, with a pause that leaves the processor to what is waited for.

Guarantee: the wait ends with the evidence, or fails after a bound that no busy machine reaches; its length decides nothing.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from stack.waiting import until

# A hundred times what any of it takes on an idle machine.
BOUND_S = 60.0
# Short against everything that a test must not miss: the shortest lock timeout is 0.3 s.
_PAUSE_S = 0.005


async def seen(question: Callable[[], Awaitable[Any]], what: str) -> Any:
    """The first answer that is neither None, nor false, nor 0. Raises `NotSeen`, which names `what` was waited for."""
    return await until(question, BOUND_S, what, _PAUSE_S)
