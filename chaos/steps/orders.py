"""Steps of one order: its connection, placing it, its first attempt given up, its end.

Guarantee: a step waits for evidence of the one before it, never for time.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from chaos.evidence.readings import Check
from chaos.harness.context import ONLY, Context
from chaos.harness.harness import BOUND_S
from chaos.steps.step import NOTHING, Needs
from order_service.wire import Status


@dataclass(frozen=True)
class Connection:
    """The caller's pooled connection to billing: none, or one that has carried an order before."""

    needs: ClassVar[Needs] = NOTHING
    kind: Literal["fresh", "warm"] = "warm"

    async def perform(self, context: Context) -> None:
        if self.kind == "warm":
            await context.harness.warm_up()
        else:
            await context.harness.cool_down()


@dataclass(frozen=True)
class Place:
    """A customer sends the order; the scenario goes on meanwhile."""

    needs: ClassVar[Needs] = NOTHING
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        await context.place(self.label)


@dataclass(frozen=True)
class AwaitFirstAttemptEnd:
    """Until the caller has given its first attempt up: it stands before the second one, or has an answer, or ends."""

    needs: ClassVar[Needs] = NOTHING
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = context.orders[self.label]

        async def given_up() -> bool:
            over = placed.placing is not None and placed.placing.done()
            return over or (placed.retry is not None and await placed.retry.reached())

        context.witness(
            "the caller gave its first attempt up, or had its answer",
            seen=await context.until(given_up, "the first attempt is over"),
        )


@dataclass(frozen=True)
class AwaitSettled:
    """Until the order is settled; the judge says what it means when it is not."""

    needs: ClassVar[Needs] = NOTHING
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = context.orders[self.label]
        order = await context.settled(placed)
        if order is not None:
            placed.overdue = order.status is Status.PENDING
            # At this moment: what the harness takes away at the end of the scenario is no help that a user would have.
            context.checks.append(
                Check(
                    "L1",
                    "the order was settled by the stack itself, without the harness's help",
                    order.status is not Status.PENDING,
                    f"{self.label} was still pending after {BOUND_S:g} s, and {len(order.attempts)} attempts were over",
                    liveness=True,
                )
            )
