"""The five situations of the headline table, played on containers.

Guarantee: the fault strikes the first attempt and is seen to have struck before it is healed; the cell is money, read
from the balance. Without its witnesses a cell is unknown, never a pass.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from chaos.compose.deployment import Deployment
from chaos.compose.pause import Where, paused
from chaos.compose.project import Project
from chaos.promises.verdict import Verdict
from chaos.scenarios.effects import effects_computed
from order_service.wire import Delivery
from report.situations import SITUATIONS, Situation
from stack.toxics import LimitData, Stream, Toxiproxy


@dataclass(frozen=True)
class Cell:
    """One cell: what was computed, what was measured, and which witnesses were seen (claim to seen)."""

    situation: str
    delivery: str
    expected: int
    measured: float
    attempts: int
    caller_saw: str
    witnesses: Mapping[str, bool]
    verdict: Verdict
    seconds: float


async def play_all(project: Project, deployment: Deployment) -> AsyncIterator[Cell]:
    """The fifteen cells, one after the other."""
    for situation in SITUATIONS:
        for delivery in Delivery:
            yield await play(project, deployment, situation, delivery)


async def play(
    project: Project, deployment: Deployment, situation: Situation, delivery: Delivery
) -> Cell:
    """One cell, from a fresh account and a fresh proxy."""
    started_s = time.monotonic()
    toxiproxy = Toxiproxy(deployment.target.toxiproxy)
    await toxiproxy.proxies()
    await toxiproxy.recreate("billing")
    # The caller's pooled connection is a living one when the fault strikes.
    (await deployment.place(await deployment.open_account("warm"))).raise_for_status()
    account = await deployment.open_account("cell")
    witnesses: dict[str, bool] = {}
    async with _struck(project, deployment, toxiproxy, situation, account, delivery) as placing:
        first = await _first_attempt(deployment, account)
        answered = first["outcome"] == "acknowledged"
        witnesses["answered" if situation.answered else "not answered"] = (
            answered == situation.answered
        )
        executed = await deployment.effects(account) >= 1
        witnesses["money moved before healing" if situation.executed else "no money moved"] = (
            executed == situation.executed
        )
    order = (await placing).json()
    order = order.get("order", order)
    expected = effects_computed(
        executed=situation.executed, answered=situation.answered, delivery=delivery
    )
    measured = await deployment.effects(account)
    attempts = len(order["attempts"])
    return Cell(
        situation.name,
        delivery,
        expected,
        measured,
        attempts,
        str(first["caller_saw"]),
        witnesses,
        judge(witnesses, expected, measured, delivery),
        round(time.monotonic() - started_s, 2),
    )


def judge(
    witnesses: Mapping[str, bool], expected: int, measured: float, delivery: Delivery
) -> Verdict:
    """At least once may do more than is computed while the fault lasts, because nothing holds its retries here."""
    if not witnesses or not all(witnesses.values()):
        return Verdict.UNKNOWN
    duplicates = delivery is Delivery.AT_LEAST_ONCE and expected > 1
    agrees = measured >= expected if duplicates else measured == expected
    return Verdict.PASS if agrees else Verdict.FAIL


@asynccontextmanager
async def _struck(
    project: Project,
    deployment: Deployment,
    toxiproxy: Toxiproxy,
    situation: Situation,
    account: str,
    delivery: Delivery,
) -> AsyncIterator["asyncio.Task[httpx.Response]"]:
    """Places the order with its fault; inside the block the fault has struck, after it all is healed."""
    match situation.name:
        case "response_lost" | "request_lost":
            stream: Stream = "downstream" if situation.executed else "upstream"
            await toxiproxy.arm("billing", LimitData(bytes=0, stream=stream))
            yield asyncio.create_task(deployment.place(account, delivery))
            await toxiproxy.recreate("billing")
        case "crash_after_execution" | "crash_before_execution":
            where: Where = "inside commit" if situation.executed else "before execution"
            async with paused(deployment, where, account) as pause:
                placing = asyncio.create_task(deployment.place(account, delivery))
                await pause.reached()
                await project.kill("billing_service")
                # What the dead process had sent goes on in Postgres: a COMMIT is carried out, an INSERT without one is not.
                await pause.resume()
            yield placing
            await project.start("billing_service")
        case _:
            yield asyncio.create_task(deployment.place(account, delivery))


async def _first_attempt(deployment: Deployment, account: str) -> dict[str, Any]:
    """How the first attempt ended, as order_service recorded it."""
    found: dict[str, Any] = {}

    async def ended() -> bool:
        connection = await deployment.connected()
        try:
            row = await connection.fetchrow(
                """
                SELECT outcome, caller_saw FROM orders.attempts JOIN orders.orders USING (order_id)
                WHERE customer = $1 AND attempt = 1
                """,
                account,
            )
        finally:
            await connection.close()
        found.update(row or {})
        return row is not None

    await deployment.until("the first attempt is over", ended)
    return found
