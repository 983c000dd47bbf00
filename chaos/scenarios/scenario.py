"""What a scenario is: a short list of steps, and the effects to expect.

An entry says which faults strike and what must be seen, and nothing else; all scenarios are played and judged in the same way, against
every promise.
"""

from dataclasses import dataclass
from typing import Literal

from chaos.steps.holds import HoldRetry, Release
from chaos.steps.network import Heal
from chaos.steps.orders import AwaitFirstAttemptEnd, Place
from chaos.steps.step import Needs, Step
from order_service.wire import Delivery
from report.situations import Situation

ConnectionKind = Literal["fresh", "warm"]
# Far longer than any caller waits: a toxic that ended by itself would heal the fault unnoticed.
BEYOND_ANY_TIMEOUT_MS = 600_000
# What many entries share: the first attempt is lost and the caller held before its second; then the retry, healed.
FIRST_ATTEMPT_LOST = (HoldRetry(), Place(), AwaitFirstAttemptEnd())
HEAL_AND_RETRY = (Heal(), Release())


@dataclass(frozen=True)
class Scenario:
    """One entry. `effects` are computed from the situation; None where only the promises judge."""

    name: str
    title: str
    steps: tuple[Step, ...]
    delivery: Delivery = Delivery.EXACTLY_ONCE
    effects: int | None = 1
    situation: Situation | None = None
    family: str | None = None
    connection: ConnectionKind = "warm"
    also_needs: Needs = frozenset()

    @property
    def needs(self) -> frozenset[str]:
        """What the scenario needs that a stack which was only described does not have."""
        return self.also_needs.union(*(step.needs for step in self.steps))
