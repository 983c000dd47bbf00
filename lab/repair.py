"""What is done to the stack for a person: when it fails, the page says one sentence and every fault is ended.

Guarantee: trouble with the stack never leaves a toxic armed, if Toxiproxy can be reached at all.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg
import httpx

from lab.held import Holds, NotPossible
from lab.network import Network
from stack.processes import StackError
from stack.toxics import ToxiproxyError
from stack.waiting import NotSeen

_TROUBLE = (
    ToxiproxyError,
    StackError,
    NotSeen,
    OSError,
    TimeoutError,
    httpx.TransportError,
    asyncpg.PostgresError,
)
T = TypeVar("T")


class Repair:
    """`complain` hears the sentence, `forget` that no fault is wanted any more."""

    def __init__(
        self,
        network: Network,
        holds: Holds,
        complain: Callable[[str], None],
        forget: Callable[[], None],
    ) -> None:
        self._network = network
        self._holds = holds
        self._complain = complain
        self._forget = forget

    async def attempt(self, doing: Awaitable[T]) -> T:
        """Does something to the stack. Raises `NotPossible` with one sentence when it fails; then everything is healed."""
        try:
            return await doing
        except _TROUBLE as exc:
            self._forget()
            self._holds.release()
            sentence = (
                f"That could not be done, and the faults were ended: {exc or type(exc).__name__}"
            )
            sentence = sentence.splitlines()[0].rstrip(".:") + "."
            try:
                await self._network.heal()
            except ToxiproxyError as trouble:
                sentence = f"Toxiproxy does not do what it is asked: {trouble}."
            self._complain(sentence)
            raise NotPossible(sentence) from exc

    async def start_clean(self) -> None:
        """Removes what an earlier order has left on the proxies. Raises `NotPossible`."""
        if await self.attempt(self._network.has_toxics()):
            await self.attempt(self._network.heal())
