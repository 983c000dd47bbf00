"""Messages that stand at a barrier until a person decides.

Guarantee: a message is released once; one whose service has died or whose deadline has passed stands there no longer.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from lab.plans import POSSIBLE, Action, Seam
from lab.rounds import Attempt, Lane

# Far above three columns with copies; no play holds more.
HELD_MAX = 24


class NotPossible(Exception):
    """What was asked for cannot be done now; the message says why."""


@dataclass
class Held:
    """One message; `number` is its name on the page."""

    number: int
    lane: Lane
    attempt: Attempt
    seam: Seam
    pid: int
    decision: "asyncio.Future[Action]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def shown(self) -> dict[str, Any]:
        """For the page."""
        return {
            "number": self.number,
            "column": self.lane.column.name,
            "attempt": self.attempt.number,
            "key": self.attempt.key,
            "seam": self.seam.name.lower(),
            "pid": self.pid,
            "actions": [action.name.lower() for action in POSSIBLE[self.seam]],
        }


class Holds:
    """`changed` is called whenever a message is held or let go."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._held: dict[int, Held] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Held]:
        return iter(list(self._held.values()))

    async def wait(self, lane: Lane, attempt: Attempt, seam: Seam, pid: int) -> Action:
        """Holds a message; what a person decides. It passes when too many are held."""
        if len(self._held) >= HELD_MAX:
            return Action.PASS
        self._count += 1
        held = Held(self._count, lane, attempt, seam, pid)
        self._held[held.number] = held
        self._changed()
        try:
            return await held.decision
        finally:
            self._held.pop(held.number, None)
            self._changed()

    def decide(self, number: int, action: Action) -> Held:
        """Lets one message go. Raises `NotPossible`."""
        held = self._held.get(number)
        if held is None or held.decision.done():
            raise NotPossible("That message is not held any more.")
        if action not in POSSIBLE[held.seam]:
            raise NotPossible(
                f"A message cannot be struck so at that point: {action.name.lower()}."
            )
        held.decision.set_result(action)
        return held

    def release(self) -> None:
        """Lets all messages pass."""
        for held in self:
            if not held.decision.done():
                held.decision.set_result(Action.PASS)
