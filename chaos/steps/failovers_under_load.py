"""Steps of a failover while customers place orders at two replicas of each service.

Guarantee: every answer is kept until the new primary was asked for what it says; a customer repeats its order, under the
same key, until it is billed.
"""

import asyncio
import itertools
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

import httpx

from chaos.harness.context import Context
from chaos.harness.failover import Failover
from chaos.steps.step import STANDBY, Needs

# Enough for orders in every phase of their delivery at any moment, and few enough for two cores.
_CUSTOMERS = 8
# Between two tries of a customer whose order has no answer yet.
_PAUSE_S = 0.05


@dataclass(frozen=True)
class StartCustomers:
    """Customers place one order after the other until they are stopped."""

    needs: ClassVar[Needs] = STANDBY

    async def perform(self, context: Context) -> None:
        failover = context.failover
        failover.stopped = asyncio.Event()
        failover.sending = [
            asyncio.create_task(_shop(failover, place)) for place in range(_CUSTOMERS)
        ]


@dataclass(frozen=True)
class AwaitBilled:
    """Waits until so many more orders are billed."""

    needs: ClassVar[Needs] = STANDBY
    more: int

    async def perform(self, context: Context) -> None:
        failover = context.failover
        wanted = failover.billed + self.more

        async def billed() -> bool:
            return failover.billed >= wanted

        seen = await context.until(billed, "orders are billed")
        context.witness(f"{self.more} more orders are billed", seen=seen)


@dataclass(frozen=True)
class FailOverUnderLoad:
    """Kills the primary with SIGKILL, promotes the standby, and waits for the next order that is billed."""

    needs: ClassVar[Needs] = STANDBY

    async def perform(self, context: Context) -> None:
        failover, servers = context.failover, context.services.database_servers
        old = servers.primary
        await servers.end_primary()
        await servers.promote()
        promoted_s = time.monotonic()
        context.harness.refresh_target()
        # An answer that had left before the kill may still be on its way.
        before = failover.billed + _CUSTOMERS

        async def billed() -> bool:
            return failover.billed > before

        seen = await context.until(billed, "an order is billed on the new primary")
        context.witness(
            f"the primary was killed ({-(old.child.return_code or 0)}) and another one took its place",
            seen=servers.primary is not old and old.child.return_code == -9,
        )
        context.witness(
            f"orders are billed on the new primary, {time.monotonic() - promoted_s:.1f} s after the promotion",
            seen=seen,
        )


@dataclass(frozen=True)
class JoinAgain:
    """Makes the place of the killed server a synchronous standby of the new primary."""

    needs: ClassVar[Needs] = STANDBY

    async def perform(self, context: Context) -> None:
        await context.services.rejoin()
        context.harness.refresh_target()
        context.witness(
            "the standby follows again", seen=context.services.database_servers.standby is not None
        )


@dataclass(frozen=True)
class StopCustomers:
    """Each customer ends with the answer to its last order."""

    needs: ClassVar[Needs] = STANDBY

    async def perform(self, context: Context) -> None:
        context.failover.stopped.set()
        done, pending = await asyncio.wait(context.failover.sending, timeout=30)
        context.witness("every customer has the answer to its last order", seen=not pending)
        for each in done:
            each.result()


async def _shop(failover: Failover, place: int) -> None:
    replicas = itertools.cycle(failover.orders[place % 2 :] + failover.orders[: place % 2])
    while not failover.stopped.is_set():
        customer_key = str(uuid.uuid4())
        while True:
            response = await failover.place(customer_key, next(replicas))
            if response is not None and response.status_code == httpx.codes.CREATED:
                failover.billed += 1
                break
            with suppress(TimeoutError):
                async with asyncio.timeout(_PAUSE_S):
                    await failover.stopped.wait()
