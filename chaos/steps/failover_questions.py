"""Steps that ask every replica for what could be told as final, while the standby is cut off.

Guarantee: each route that rests on rows of another transaction is asked: replays, voided, forgotten and executed keys,
balances, orders by their id and by their customer's key, arrivals.
"""

import asyncio
import uuid
from dataclasses import dataclass
from typing import ClassVar

from chaos.harness.context import Context
from chaos.harness.failover import Failover
from chaos.harness.harness import BOUND_S
from chaos.steps.step import STANDBY, Needs


@dataclass(frozen=True)
class AskForFinals:
    """Asks for what was sent alone, and then every replica for everything that could be told as final, all at once.

    `charges_max`: so many charges of each path. Where their rows are not visible, each question waits for a lock.
    """

    needs: ClassVar[Needs] = STANDBY
    told_min: int = 0
    charges_max: int | None = None

    async def perform(self, context: Context) -> None:
        failover = context.failover
        await asyncio.wait(failover.sending, timeout=BOUND_S)
        # Each process answers one question alone first: later ones share a batch, and its seal.
        await asyncio.gather(
            *(
                failover.charge(each, url, "?1")
                for each, url in zip(failover.alone, failover.billing, strict=True)
            ),
            failover.place(failover.customer_keys[0], failover.orders[0]),
        )
        charges = [
            each
            for path in (failover.alone, failover.fast, failover.single)
            for each in path[: self.charges_max]
        ]
        order_ids = await _order_ids(failover)
        asks = [
            ask
            for url in failover.billing
            for ask in (
                *(failover.charge(each, url, "?1") for each in charges),
                *(
                    failover.key(method, each.key, url)
                    for each in (failover.fast[-1], failover.single[0], failover.voided)
                    for method in ("GET", "DELETE")
                ),
                failover.charge(failover.voided, url, "?1"),
                failover.balance(failover.customer, url),
                failover.balance(failover.single[0].account, url),
            )
        ]
        asks += [
            ask
            for url in failover.orders
            for ask in (
                *(failover.place(key, url) for key in failover.customer_keys),
                *(failover.order(order_id, url) for order_id in order_ids),
            )
        ]
        asks.append(failover.arrivals(context.target.urls["notification_service"]))
        await asyncio.gather(*asks)
        if self.told_min:
            told = len(failover.told)
            context.witness(
                f"at least {self.told_min} facts were told as final",
                seen=told >= self.told_min,
                instead=str(told),
            )


@dataclass(frozen=True)
class AskForForgotten:
    """Asks every replica for the key that was declared settled."""

    needs: ClassVar[Needs] = STANDBY

    async def perform(self, context: Context) -> None:
        failover = context.failover
        forgotten = failover.forgotten
        await asyncio.wait(failover.sending, timeout=BOUND_S)
        await asyncio.gather(
            *(
                ask
                for url in failover.billing
                for ask in (
                    failover.key("GET", forgotten.key, url),
                    failover.key("DELETE", forgotten.key, url),
                    failover.charge(forgotten, url, "?1"),
                )
            )
        )
        # Apart, because the mark is moved under a lock for which the others would wait.
        await asyncio.gather(
            *(
                failover.charge(forgotten, url, "?1", mark=forgotten.key + 1)
                for url in failover.billing
            )
        )


async def _order_ids(failover: Failover) -> list[uuid.UUID]:
    connection = await failover.connect()
    try:
        rows = await connection.fetch(
            "SELECT order_id FROM orders.orders WHERE customer = $1", failover.customer
        )
    finally:
        await connection.close()
    return [row["order_id"] for row in rows]
