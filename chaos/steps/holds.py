"""Steps that hold a process at a point and let it go on.

Guarantee: a step waits for evidence that the point was reached, never for time.
"""

import asyncio
from dataclasses import dataclass
from typing import ClassVar

from chaos.faults.control import Seam
from chaos.harness.barriers import hold_retry
from chaos.harness.context import ONLY, Context
from chaos.harness.harness import BOUND_S
from chaos.steps.step import NOTHING, WRAPPED, Needs


@dataclass(frozen=True)
class HoldRetry:
    """Holds the caller before its second attempt, until `Release`."""

    needs: ClassVar[Needs] = NOTHING
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = await context.order(self.label)
        placed.retry = await hold_retry(context, placed)


@dataclass(frozen=True)
class Hold:
    """Holds the process that comes to a seam with this order, until `Release` of this name."""

    needs: ClassVar[Needs] = WRAPPED
    name: str
    service: str
    seam: Seam
    nth: int = 1
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = await context.order(self.label)
        context.rules[self.name] = context.control.hold(
            self.service, self.seam, placed.account, self.nth
        )


@dataclass(frozen=True)
class AwaitHeld:
    """Waits until a process is held at the named point."""

    needs: ClassVar[Needs] = WRAPPED
    name: str

    async def perform(self, context: Context) -> None:
        rule = context.rules[self.name]
        async with asyncio.timeout(BOUND_S):
            await rule.reached.wait()


@dataclass(frozen=True)
class Release:
    """Releases the process held at a named point or, without a name, the caller before its retry."""

    needs: ClassVar[Needs] = NOTHING
    name: str = ""
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        if self.name:
            context.rules[self.name].release()
        else:
            barrier = context.orders[self.label].retry
            if barrier is not None:
                await barrier.release()
