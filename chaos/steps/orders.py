"""Steps of one order: its connection, placing it, the end of its first attempt, its settlement.

Guarantee: a step waits for evidence of the one before it, never for time.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from chaos.evidence.readings import Check
from chaos.harness.context import ONLY, Context
from chaos.steps.step import NOTHING, Needs
from order_service.wire import Status


@dataclass(frozen=True)
class Connection:
    """Leaves the caller without a pooled connection to billing (fresh), or with one that has carried an order (warm)."""

    needs: ClassVar[Needs] = NOTHING
    kind: Literal["fresh", "warm"] = "warm"

    async def perform(self, context: Context) -> None:
        if self.kind == "warm":
            await context.harness.warm_up()
        else:
            await context.harness.cool_down()


@dataclass(frozen=True)
class Place:
    """A customer places the order; the scenario goes on without waiting for the answer."""

    needs: ClassVar[Needs] = NOTHING
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        await context.place(self.label)


@dataclass(frozen=True)
class AwaitFirstAttemptEnd:
    """Waits until the first attempt is over: the caller is held before the second one, or has an answer, or has ended."""

    needs: ClassVar[Needs] = NOTHING
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = context.orders[self.label]

        async def given_up() -> bool:
            over = placed.placing is not None and placed.placing.done()
            return over or (placed.retry is not None and await placed.retry.reached())

        context.witness(
            "the caller gave up its first attempt or had its answer",
            seen=await context.until(given_up, "the first attempt is over"),
        )


@dataclass(frozen=True)
class AwaitSettled:
    """Waits until the order is settled, and records whether the stack did it within the bound."""

    needs: ClassVar[Needs] = NOTHING
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = context.orders[self.label]
        order = await context.settled(placed)
        if order is not None:
            placed.overdue = order.status is Status.PENDING
            # Checked here: the faults that the harness removes at the end of the scenario would not go away for a user.
            context.checks.append(
                Check(
                    "L1",
                    "the order was settled by the stack itself, without the harness's help",
                    order.status is not Status.PENDING,
                    f"{self.label} was still pending after {context.harness.bound_s:g} s, and {len(order.attempts)} attempts were over",
                    liveness=True,
                )
            )
