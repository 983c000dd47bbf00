"""The line to the wrapped services: every message asks here whether it may go on.

Guarantee: until the lab listens, and after it has closed, every message goes on as if nothing were wrapped.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from chaos.faults.control import Control
from stack.ports import LOOPBACK

Decide = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class Switchboard(Control):
    """`listen` names who decides."""

    def __init__(self, host: str = LOOPBACK, port: int = 0) -> None:
        super().__init__(host, port)
        self._decide: Decide | None = None

    def listen(self, decide: Decide) -> None:
        """From now on `decide` is asked; it may take its time and is cancelled when the service has gone."""
        self._decide = decide

    def close(self) -> None:
        """Nobody is asked any more."""
        self._decide = None

    async def decide(self, event: dict[str, Any]) -> dict[str, Any]:
        """What the service is told."""
        if self._decide is None:
            return {"do": "go"}
        return await self._decide(event)
