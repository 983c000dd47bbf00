"""kill -9 of real processes: nothing that was recorded is lost, nothing is doubled."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from chaos.faults.control import Seam
from chaos.harness.harness import AMOUNT_CENTS, Harness
from order_service.wire import Delivery
from stack.http_client import http_client
from tests.evidence import seen

pytestmark = pytest.mark.chaos
BOUND_S = 120.0


async def settled(harness: Harness, account: str) -> dict[str, Any]:
    """The only order of an account when it is settled; asks until then, within a bound."""
    url = f"{harness.stack.urls['order_service']}/orders"
    async with http_client(timeout=BOUND_S) as client:

        async def final() -> dict[str, Any] | None:
            orders = (await client.get(url)).json()["orders"]
            mine = [order for order in orders if order["customer"] == account]
            assert len(mine) == 1
            return None if mine[0]["status"] == "pending" else dict(mine[0])

        order: dict[str, Any] = await seen(final, "the order is settled")
        return order


@pytest.mark.parametrize(
    ("service", "seam", "sent_before"),
    [("order_service", "attempt", False), ("billing_service", "reply", True)],
    ids=["after the order is recorded, before it is sent", "after it is billed, before the answer"],
)
async def test_kill_9_of_order_service(
    harness: Harness, service: str, seam: Seam, sent_before: bool
) -> None:
    """The customer got no answer; after the restart the order is billed once, as a retry of the recorded key."""
    account = await harness.open_account("kill")
    point = harness.control.hold(service, seam, account, nth=1)
    placing = asyncio.create_task(harness.place(account, Delivery.EXACTLY_ONCE))
    async with asyncio.timeout(BOUND_S):
        await point.reached.wait()
    child = harness.stack.children("order_service")[0]
    pid, deaths = child.pid, len(child.deaths)
    await child.crash()
    with pytest.raises(httpx.TransportError):
        await placing
    assert (await harness.money(account))[0] == (1 if sent_before else 0)
    point.release()
    await harness.stack.ready_after(child, deaths + 1)
    assert child.pid != pid
    order = await settled(harness, account)
    assert order["status"] == "billed"
    assert [attempt["retry"] for attempt in order["attempts"]] == [False, True]
    assert order["attempts"][-1]["caller_saw"] == (
        "HTTP 201, replayed" if sent_before else "HTTP 201"
    )
    assert await harness.money(account) == (1, 1)
    assert order["answer"]["amount_cents"] == AMOUNT_CENTS


async def test_kill_9_between_settling_and_notifying(harness: Harness) -> None:
    """The notification was marked attempted and is lost; no other process sends it, and the order stays billed."""
    account = await harness.open_account("kill")
    point = harness.control.hold("order_service", "notify", account, nth=1)
    response = await harness.place(account, Delivery.EXACTLY_ONCE)
    assert response.status_code == 201
    async with asyncio.timeout(BOUND_S):
        await point.reached.wait()
    child = harness.stack.children("order_service")[0]
    deaths = len(child.deaths)
    await child.crash()
    point.release()
    await harness.stack.ready_after(child, deaths + 1)
    # An order that is placed and notified after the restart shows that the process is at its work again.
    other = await harness.open_account("after")
    await harness.place(other, Delivery.EXACTLY_ONCE)
    order = await settled(harness, account)
    assert (order["status"], order["notification"]) == ("billed", "attempted")
    assert harness.journal.arrivals("notification_service", account) == []


async def test_kill_9_of_postgres(harness: Harness) -> None:
    """A charge that was acknowledged before the crash is there after it, and the services heal by themselves."""
    account = await harness.open_account("crash")
    assert (await harness.place(account, Delivery.EXACTLY_ONCE)).status_code == 201
    await harness.stack.postgres.crash()
    assert await harness.money(account) == (1, 1)
    async with asyncio.timeout(BOUND_S):
        for child in (
            *harness.stack.children("order_service"),
            *harness.stack.children("billing_service"),
        ):
            await harness.stack.ready_after(child, deaths=0)
    again = await harness.open_account("healed")
    assert (await harness.place(again, Delivery.EXACTLY_ONCE)).status_code == 201
    assert await harness.money(again) == (1, 1)


async def test_a_restart_is_described(harness: Harness) -> None:
    """stack.json names the new process as soon as it runs, and the service keeps its address."""
    child = harness.stack.children("notification_service")[0]
    before = {row["name"]: row for row in harness.stack.description["processes"]}
    deaths = len(child.deaths)
    await child.crash()
    await harness.stack.ready_after(child, deaths + 1)
    described = json.loads(stack_json(harness).read_text(encoding="utf-8"))
    after = {row["name"]: row for row in described["processes"]}
    assert after["notification_service"]["pid"] == child.pid
    assert after["notification_service"]["pid"] != before["notification_service"]["pid"]
    assert after["notification_service"]["url"] == before["notification_service"]["url"]
    assert described == harness.stack.description


def stack_json(harness: Harness) -> Path:
    return harness.journal.path.parent / "stack.json"
