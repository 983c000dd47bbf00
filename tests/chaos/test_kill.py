"""kill -9 of real processes: nothing that was recorded is lost, nothing is doubled."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from chaos.control import Seam
from chaos.theatre import AMOUNT_CENTS, OPENING_CENTS, Theatre
from order_service.wire import Delivery

pytestmark = pytest.mark.chaos
BOUND_S = 60.0


async def settled(theatre: Theatre, account: str) -> dict[str, Any]:
    """The only order of an account when it is settled; asks until then, within a bound."""
    url = f"{theatre.stack.urls['order_service']}/orders"
    async with asyncio.timeout(BOUND_S), httpx.AsyncClient(timeout=BOUND_S) as client:
        while True:
            orders = (await client.get(url)).json()["orders"]
            mine = [order for order in orders if order["customer"] == account]
            assert len(mine) == 1
            if mine[0]["status"] != "pending":
                order: dict[str, Any] = mine[0]
                return order


@pytest.mark.parametrize(
    ("service", "seam", "sent_before"),
    [("order_service", "attempt", False), ("billing_service", "reply", True)],
    ids=["after the order is recorded, before it is sent", "after it is billed, before the answer"],
)
async def test_kill_9_of_order_service(
    theatre: Theatre, service: str, seam: Seam, sent_before: bool
) -> None:
    """The shopper got no answer; after the restart the order is billed once, as a retry of the recorded key."""
    account = await theatre.open_account("kill")
    point = theatre.control.hold(service, seam, account, nth=1)
    placing = asyncio.create_task(theatre.place(account, Delivery.EXACTLY_ONCE))
    async with asyncio.timeout(BOUND_S):
        await point.reached.wait()
    child = theatre.stack.children("order_service")[0]
    pid, deaths = child.pid, len(child.deaths)
    await child.crash()
    with pytest.raises(httpx.TransportError):
        await placing
    assert (await theatre.money(account))[0] == (1 if sent_before else 0)
    point.release()
    await theatre.stack.ready_after(child, deaths + 1)
    assert child.pid != pid
    order = await settled(theatre, account)
    assert order["status"] == "billed"
    assert [attempt["retry"] for attempt in order["attempts"]] == [False, True]
    assert order["attempts"][-1]["caller_saw"] == (
        "HTTP 201, replayed" if sent_before else "HTTP 201"
    )
    assert await theatre.money(account) == (1, 1)
    assert order["answer"]["balance_cents"] == OPENING_CENTS - AMOUNT_CENTS


async def test_kill_9_between_settling_and_notifying(theatre: Theatre) -> None:
    """The notification was marked attempted and is lost; no other process sends it, and the order stays billed."""
    account = await theatre.open_account("kill")
    point = theatre.control.hold("order_service", "notify", account, nth=1)
    response = await theatre.place(account, Delivery.EXACTLY_ONCE)
    assert response.status_code == 201
    async with asyncio.timeout(BOUND_S):
        await point.reached.wait()
    child = theatre.stack.children("order_service")[0]
    deaths = len(child.deaths)
    await child.crash()
    point.release()
    await theatre.stack.ready_after(child, deaths + 1)
    # An order that is placed and notified after the restart shows that the process is at its work again.
    other = await theatre.open_account("after")
    await theatre.place(other, Delivery.EXACTLY_ONCE)
    order = await settled(theatre, account)
    assert (order["status"], order["notification"]) == ("billed", "attempted")
    assert theatre.history.arrivals("notification_service", account) == []


async def test_kill_9_of_postgres(theatre: Theatre) -> None:
    """A charge that was acknowledged before the crash is there after it, and the services heal by themselves."""
    account = await theatre.open_account("crash")
    assert (await theatre.place(account, Delivery.EXACTLY_ONCE)).status_code == 201
    await theatre.stack.postgres.crash()
    assert await theatre.money(account) == (1, 1)
    async with asyncio.timeout(BOUND_S):
        for child in (
            *theatre.stack.children("order_service"),
            *theatre.stack.children("billing_service"),
        ):
            await theatre.stack.ready_after(child, deaths=0)
    again = await theatre.open_account("healed")
    assert (await theatre.place(again, Delivery.EXACTLY_ONCE)).status_code == 201
    assert await theatre.money(again) == (1, 1)


async def test_a_restart_is_described(theatre: Theatre) -> None:
    """stack.json names the new process as soon as it runs, and the service keeps its address."""
    child = theatre.stack.children("notification_service")[0]
    before = {row["name"]: row for row in theatre.stack.description["processes"]}
    deaths = len(child.deaths)
    await child.crash()
    await theatre.stack.ready_after(child, deaths + 1)
    described = json.loads(stack_json(theatre).read_text(encoding="utf-8"))
    after = {row["name"]: row for row in described["processes"]}
    assert after["notification_service"]["pid"] == child.pid
    assert after["notification_service"]["pid"] != before["notification_service"]["pid"]
    assert after["notification_service"]["url"] == before["notification_service"]["url"]
    assert described == theatre.stack.description


def stack_json(theatre: Theatre) -> Path:
    return theatre.history.journal.parent / "stack.json"
