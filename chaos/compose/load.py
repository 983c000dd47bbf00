"""Customers who order without pause while containers are killed under them, and the account of it afterwards.

Guarantee: a customer keeps to one key for an order until it is acknowledged, as a careful one would; what was acknowledged
is compared with what was withdrawn, order by order.
"""

import asyncio
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from chaos.compose.deployment import AMOUNT_CENTS, Deployment
from chaos.compose.project import Project
from chaos.promises.audit import CLIENT, Audit, audit
from chaos.promises.verdict import Verdict
from stack.processes import StackError

# Enough that requests are under way at every hop when a container dies; two cores cannot use more.
CUSTOMERS = 8
# Killed one after the other, each in the middle of the load, and started again.
VICTIMS = (
    "billing_service",
    "order_service",
    "postgres",
    "toxiproxy",
    "notification_service",
    "gateway",
)
# A customer whose request failed tries again after this pause.
_CUSTOMER_PAUSE_S = 0.1
# Longer than any container needs to come back, on a busy machine, too.
_PATIENCE_S = 180.0


@dataclass
class Orders:
    """What the customers know: the acknowledged orders, and how often they had to ask again."""

    acknowledged: list[str] = field(default_factory=list)
    repeats: int = 0


@dataclass(frozen=True)
class Outage:
    """One container that was killed: how long from the kill to its health, and the orders acknowledged until then."""

    service: str
    healed_after_s: float
    acknowledged_before: int
    acknowledged_after: int


@dataclass(frozen=True)
class Loaded:
    """The result. `billed_once` counts acknowledged orders with exactly one withdrawal."""

    acknowledged: int
    billed_once: int
    moved: float
    repeats: int
    outages: tuple[Outage, ...]
    audit: Audit
    seconds: float

    @property
    def verdict(self) -> Verdict:
        """Unknown when a container did not die in the middle of the load."""
        if not self.acknowledged == self.billed_once == self.moved:
            return Verdict.FAIL
        if self.audit.verdict is not Verdict.PASS or self.audit.pending:
            return Verdict.FAIL
        in_the_middle = all(
            0 < outage.acknowledged_before <= outage.acknowledged_after < self.acknowledged
            for outage in self.outages
        )
        return Verdict.PASS if self.outages and in_the_middle else Verdict.UNKNOWN


async def play(project: Project, deployment: Deployment, orders: int) -> Loaded:
    """So many orders at the least, and on until every victim has died in the middle of them and is healthy again."""
    started_s = time.monotonic()
    account = await deployment.open_account("load")
    placed = Orders()
    async with asyncio.TaskGroup() as group:
        killing = group.create_task(_kill_all(project, deployment, placed, orders))
        for _ in range(CUSTOMERS):
            group.create_task(_order_until_killed(deployment, account, killing, placed))
    await deployment.until("every order is settled", lambda: _settled(deployment))
    return Loaded(
        acknowledged=len(placed.acknowledged),
        billed_once=await _billed_once(deployment, placed.acknowledged),
        moved=await deployment.effects(account),
        repeats=placed.repeats,
        outages=tuple(killing.result()),
        audit=await audit(deployment.target.owner),
        seconds=round(time.monotonic() - started_s, 1),
    )


async def _order_until_killed(
    deployment: Deployment, account: str, killing: "asyncio.Task[list[Outage]]", placed: Orders
) -> None:
    while not killing.done():
        key = str(uuid.uuid4())
        async with asyncio.timeout(_PATIENCE_S):
            placed.acknowledged.append(await _ordered(deployment, account, key, placed))


async def _ordered(deployment: Deployment, account: str, key: str, placed: Orders) -> str:
    """The id of the order, however often the customer has to ask."""
    while True:
        try:
            response = await deployment.place(account, key=key)
        except httpx.TransportError:
            response = None
        if response is not None and response.status_code in (201, 202):
            return str(response.json()["order_id"])
        if response is not None and response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            raise StackError(f"POST /orders: {response.status_code} {response.text}")
        placed.repeats += 1
        await asyncio.sleep(_CUSTOMER_PAUSE_S)


async def _kill_all(
    project: Project, deployment: Deployment, placed: Orders, orders: int
) -> list[Outage]:
    """One after the other, each when its share of the orders was acknowledged since the one before was healed."""
    share = orders // (len(VICTIMS) + 1)
    outages = []
    for service in VICTIMS:
        await _acknowledged(deployment, placed, share)
        before = len(placed.acknowledged)
        killed_s = time.monotonic()
        await project.kill(service)
        await project.start(service)
        healed_after_s = round(time.monotonic() - killed_s, 1)
        outages.append(Outage(service, healed_after_s, before, len(placed.acknowledged)))
        project.say(
            f"  {service} killed after {before} orders, healthy again in {healed_after_s} s"
        )
    await _acknowledged(deployment, placed, share)
    return outages


async def _acknowledged(deployment: Deployment, placed: Orders, more: int) -> None:
    """Until so many more orders are acknowledged."""
    wanted = len(placed.acknowledged) + more

    async def enough() -> bool:
        return len(placed.acknowledged) >= wanted

    await deployment.until(f"{wanted} orders are acknowledged", enough)


async def _settled(deployment: Deployment) -> bool:
    return not await deployment.fetch("SELECT count(*) FROM orders.orders WHERE status = 'pending'")


async def _billed_once(deployment: Deployment, acknowledged: list[str]) -> int:
    count: int = await deployment.fetch(
        """
        SELECT count(*) FROM unnest($1::uuid[]) AS o (order_id)
        WHERE (SELECT array_agg(amount_cents) FROM billing.ledger l WHERE l.order_id = o.order_id AND l.client = $3)
              = ARRAY[$2::bigint]
        """,
        acknowledged,
        AMOUNT_CENTS,
        CLIENT,
    )
    return count


def as_json(loaded: Loaded) -> Mapping[str, object]:
    """For result.json."""
    return {
        "verdict": loaded.verdict,
        "acknowledged": loaded.acknowledged,
        "billed_once": loaded.billed_once,
        "moved": loaded.moved,
        "repeats": loaded.repeats,
        "seconds": loaded.seconds,
        "outages": [vars(outage) for outage in loaded.outages],
        "audit": loaded.audit.as_json(),
    }
