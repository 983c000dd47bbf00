"""Two processes of each service behind one address, killed again and again under load: nothing lost, nothing doubled."""

import asyncio
import random
from pathlib import Path
from typing import Any

import httpx
import pytest

from chaos.promises.audit import audit
from stack.embedded import Stack
from stack.http_client import http_client
from stack.servers import LentServers
from tests.evidence import seen

pytestmark = pytest.mark.chaos
ORDERS = 200
KILLS = 8
# Half a minute on an idle machine.
BOUND_S = 600.0


async def place(
    client: httpx.AsyncClient, url: str, number: int, slots: asyncio.Semaphore
) -> dict[str, Any]:
    """One customer: sends the same order under the same key until a replica acknowledges it."""
    body = {"customer": "alice", "amount_cents": 10 + number % 7, "item": f"item {number}"}
    headers = {"Idempotency-Key": f'"customer-{number}"'}

    async def acknowledged() -> dict[str, Any] | None:
        try:
            response = await client.post(f"{url}/orders", json=body, headers=headers)
        except httpx.TransportError:
            return None
        if response.status_code in (201, 202):
            return dict(response.json())
        assert response.status_code == 503, response.text
        return None

    async with slots:
        order: dict[str, Any] = await seen(acknowledged, "the order is acknowledged")
        return order


async def settled(client: httpx.AsyncClient, url: str, order_id: str) -> dict[str, Any]:
    async def final() -> dict[str, Any] | None:
        try:
            response = await client.get(f"{url}/orders/{order_id}")
        except httpx.TransportError:
            return None
        if response.status_code != 200 or response.json()["status"] == "pending":
            return None
        return dict(response.json())

    order: dict[str, Any] = await seen(final, "the order is settled")
    return order


async def test_kill_9_again_and_again(tmp_path: Path, servers: LentServers) -> None:
    """Every order that was acknowledged is billed once; the audit of the whole database finds nothing."""
    chance = random.Random(4711)
    async with (
        asyncio.timeout(BOUND_S),
        Stack(tmp_path, replicas=2, usual_ports=False, servers=servers, forked=True) as stack,
        http_client(timeout=20, limits=httpx.Limits(max_connections=40)) as client,
    ):
        url = stack.urls["order_service"]
        slots = asyncio.Semaphore(20)
        customers = [asyncio.create_task(place(client, url, n, slots)) for n in range(ORDERS)]
        victims = [
            child
            for service in ("order_service", "billing_service", "notification_service")
            for child in stack.children(service)
        ]
        for kill in range(KILLS):
            # The next kill comes when some more orders went through, so each one strikes under load.
            enough = (kill + 1) * ORDERS // (KILLS + 2)
            while sum(customer.done() for customer in customers) < enough:
                await asyncio.wait(
                    [customer for customer in customers if not customer.done()],
                    return_when=asyncio.FIRST_COMPLETED,
                )
            victim = chance.choice(victims)
            await victim.crash()
        acknowledged = await asyncio.gather(*customers)
        for child in victims:
            await stack.ready_after(child, len(child.deaths))
        orders = [await settled(client, url, order["order_id"]) for order in acknowledged]
        assert {order["status"] for order in orders} == {"billed"}
        assert len({order["order_id"] for order in orders}) == ORDERS
        assert sum(len(child.deaths) for child in victims) == KILLS
        found = await audit(stack.databases["owner"])
    assert found.findings == []
    assert (found.orders, found.withdrawals, found.pending) == (ORDERS, ORDERS, 0)


async def test_duplicates_on_two_replicas_of_billing(tmp_path: Path, servers: LentServers) -> None:
    """The same key to both replicas at the same moment: one charge, one answer, whichever came first."""
    async with (
        Stack(tmp_path, replicas=2, usual_ports=False, servers=servers, forked=True) as stack,
        http_client(timeout=20) as client,
    ):
        urls = [stack.url_of(child) for child in stack.children("billing_service")]
        client.headers["Authorization"] = f"Bearer {stack.tokens['curl']}"
        for key in range(1, 41):
            answers = await asyncio.gather(
                *(
                    client.post(
                        f"{urls[n % 2]}/charges",
                        json={"order_id": f"{key:032x}", "account": "bob", "amount_cents": 3},
                        headers={"Idempotency-Key": f'"{key}"', "Idempotency-Retry": f"?{n // 2}"},
                    )
                    for n in range(4)
                )
            )
            assert {answer.status_code for answer in answers} == {201}
            assert len({answer.content for answer in answers}) == 1
        account = await client.get(f"{urls[0]}/accounts/bob")
    assert account.json()["balance_cents"] == 1_000_000 - 40 * 3
