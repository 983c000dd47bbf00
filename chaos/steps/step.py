"""What a step of a scenario is."""

from typing import ClassVar, Protocol

from chaos.harness.context import Context

Needs = frozenset[str]


NOTHING: Needs = frozenset()


WRAPPED: Needs = frozenset({"wrapped services"})


PROCESSES: Needs = frozenset({"wrapped services", "processes"})


STANDBY: Needs = PROCESSES | {"a standby"}


class Step(Protocol):
    """One step. `needs` is what a stack that was only described does not have."""

    needs: ClassVar[Needs]

    async def perform(self, context: Context) -> None:
        """Does it, and returns when it is done."""
