"""The scenarios: what strikes, what is promised, which witness proves it.

Guarantee: an entry says what happens to the first attempt and nothing else; how it is played and judged is the same
for all of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from chaos.control import Seam
from chaos.toxics import LimitData, Toxic
from order_service.wire import Delivery


@dataclass(frozen=True)
class Armed:
    """A toxic on one proxy, from before the first attempt until the caller has given it up."""

    proxy: str
    toxic: Toxic


@dataclass(frozen=True)
class Dies:
    """billing_service's process ends at one of its seams, on the first request of the order."""

    seam: Seam


@dataclass(frozen=True)
class Situation:
    """A row of the headline table: what happened to the first attempt."""

    name: str
    title: str
    executed: bool
    answered: bool


SITUATIONS = (
    Situation("success", "success", executed=True, answered=True),
    Situation("response_lost", "response lost", executed=True, answered=False),
    Situation(
        "crash_after_execution",
        "crash after executing, before responding",
        executed=True,
        answered=False,
    ),
    Situation("crash_before_execution", "crash before executing", executed=False, answered=False),
    Situation("request_lost", "request never received", executed=False, answered=False),
)

Fault = Armed | Dies | None

# The family decides what the caller sees: here a connection that ends without an answer.
FAMILIES: Mapping[str, Mapping[str, Fault]] = MappingProxyType(
    {
        "disconnect": MappingProxyType(
            {
                "success": None,
                "response_lost": Armed("billing", LimitData(bytes=0, stream="downstream")),
                "crash_after_execution": Dies("reply"),
                "crash_before_execution": Dies("arrival"),
                "request_lost": Armed("billing", LimitData(bytes=0, stream="upstream")),
            }
        )
    }
)


@dataclass(frozen=True)
class Scenario:
    """One cell: a situation under one delivery semantics, in one family."""

    situation: Situation
    delivery: Delivery
    family: str
    # The caller's pooled connection has carried another order before; nothing depends on whether it is found closed.
    connection: str = "warm"

    @property
    def name(self) -> str:
        """As `python -m chaos list` prints it."""
        return f"{self.family}/{self.situation.name}/{self.delivery}"

    @property
    def fault(self) -> Fault:
        """What strikes the first attempt."""
        return FAMILIES[self.family][self.situation.name]


SCENARIOS = tuple(
    Scenario(situation, delivery, family)
    for family in FAMILIES
    for situation in SITUATIONS
    for delivery in Delivery
)
