"""While reads are full: what has changed nothing yet is refused, and what has been done is answered.

A request that was refused after its order was recorded or cancelled would leave its customer in doubt for no reason.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

import order_service.app
from order_service.app import TOO_MANY_READS
from order_service.settings import Settings
from service_kit.bounded_pool import Connections
from tests.evidence import BOUND_S
from tests.order_service.conftest import Network, Shop
from tests.order_service.test_cancel import pending_order
from tests.service_kit.http_guard.connection import next_turn

# One slot for reads, and so many more may wait for it.
SIZE_MAX = 3
WAITING_MAX = 32


@pytest.fixture
def patient(order_settings: Settings) -> Settings:
    """Its reads wait in the queue for longer than any test takes."""
    return order_settings.model_copy(
        update={
            "pool_size_max": SIZE_MAX,
            "transaction_timeout_s": BOUND_S,
            "attempt_timeout_s": BOUND_S,
            "lease_s": 3 * BOUND_S,
        }
    )


class Queue:
    """The reads of one process: full from `fill` to `empty`."""

    def __init__(self, app: Starlette) -> None:
        self._reads: Any = app.state.process.pool.reads
        self._waiting: list[asyncio.Task[None]] = []

    async def fill(self) -> None:
        """The slot is in use by something that has no deadline, and as many reads as may wait for it do."""
        if self._waiting:
            return
        await self._reads._slots.acquire()
        self._waiting = [asyncio.create_task(_read(self._reads)) for _ in range(WAITING_MAX)]
        while self._reads._waiting < WAITING_MAX:
            await next_turn()

    async def empty(self) -> None:
        if self._waiting:
            self._reads._slots.release()
            await asyncio.gather(*self._waiting)
            self._waiting = []


async def _read(reads: Connections) -> None:
    async with reads.connection():
        pass


def voids(request: httpx.Request) -> bool:
    return request.method == "DELETE" and request.url.path.startswith("/charges/")


class Tells(httpx.AsyncBaseTransport):
    """The network between the services; before billing is asked to void a key, it calls `first`."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.first: Callable[[], Awaitable[None]] | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.first is not None and voids(request):
            await self.first()
        return await self._network.handle_async_request(request)


@asynccontextmanager
async def process_of(
    settings: Settings, network: Network, serve: Any
) -> AsyncIterator[tuple[httpx.AsyncClient, Queue, Tells]]:
    """A process of the order service, its queue of reads, and its network."""
    tells = Tells(network)
    app = order_service.app.create(settings, lambda: tells)
    async with serve(app) as client:
        queue = Queue(app)
        try:
            yield client, queue, tells
        finally:
            await queue.empty()


def is_refused(response: httpx.Response) -> bool:
    return (response.status_code, response.json().get("detail")) == (503, TOO_MANY_READS)


async def test_a_cancellation_that_was_begun_is_answered(
    shop: Shop, patient: Settings, database: Any, serve: Any
) -> None:
    """200: reads became full while billing voided its key, and the order is cancelled."""
    order_id = await pending_order(shop, database)
    async with process_of(patient, shop.network, serve) as (client, queue, tells):
        tells.first = queue.fill
        response = await client.post(f"/orders/{order_id}/cancel")
        assert response.status_code == 200
        assert response.json()["status"] == "cancelled"
        assert any(map(voids, shop.network.requests))
        # Reads were full all the time.
        assert is_refused(await client.get(f"/orders/{order_id}"))


async def test_a_cancellation_that_was_not_begun_is_refused(
    shop: Shop, patient: Settings, database: Any, serve: Any
) -> None:
    """The counterpart: 503 and nothing was begun, so billing was not asked and the order is pending. Later it is cancelled."""
    order_id = await pending_order(shop, database)
    async with process_of(patient, shop.network, serve) as (client, queue, _):
        await queue.fill()
        assert is_refused(await client.post(f"/orders/{order_id}/cancel"))
        assert not any(map(voids, shop.network.requests))
        await queue.empty()
        assert (await client.get(f"/orders/{order_id}")).json()["status"] == "pending"
        assert (await client.post(f"/orders/{order_id}/cancel")).json()["status"] == "cancelled"


async def test_an_order_that_was_recorded_is_answered(
    shop: Shop, patient: Settings, serve: Any
) -> None:
    """202 while billing does not answer, and the same to a customer who repeats it with the same key."""
    away = Network(shop.network.services, lose_requests=10**9)
    body = {"customer": "alice", "amount_cents": 1, "item": "x"}
    key = {"Idempotency-Key": '"again"'}
    settings = patient.model_copy(update={"wait_budget_s": 0.02})
    async with process_of(settings, away, serve) as (client, queue, _):
        await queue.fill()
        placed, repeated = [await client.post("/orders", json=body, headers=key) for _ in range(2)]
        assert (placed.status_code, repeated.status_code) == (202, 202)
        assert placed.json()["order_id"] == repeated.json()["order_id"]
        assert is_refused(await client.get(placed.headers["Location"]))
