"""What a scenario is: a short list of acts, and what is computed of it.

Guarantee: an entry says what strikes and what must be seen, and nothing else; how it is played and judged is the same
for all of them, and every promise is put to every one of them.
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
# Far longer than any caller waits: a toxic that ends by itself would heal behind the scenario's back.
BEYOND_ANY_TIMEOUT_MS = 600_000
# What many entries share: the first attempt is lost and the caller stands before its second one; and it goes on, healed.
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
        """What a stack that was only described cannot give."""
        return self.also_needs.union(*(step.needs for step in self.steps))
