"""What the steps of one failover share: accounts, keys, requests to each replica, and what was told.

Guarantee: every answer that a service gives here is kept in `told`; a request that finds no process counts as unanswered.
"""

import asyncio
import uuid
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
import httpx

from chaos.evidence.told import Told
from chaos.harness.harness import BOUND_S, Harness
from stack.http_client import http_client
from stack.waiting import until

CLIENT = "curl"
CENTS = 7
# "Not now, ask again": in flight, or the outcome is unknown.
OPEN = (httpx.codes.CONFLICT, httpx.codes.SERVICE_UNAVAILABLE)
# What a connection meets while its server restarts.
RESTARTING = (
    OSError,
    TimeoutError,
    asyncpg.CannotConnectNowError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
)
# A service answers within its own deadline; this one only ends what hangs.
_TIMEOUT_S = 20.0


@dataclass
class Charging:
    """One charge: its key and its body."""

    key: int
    account: str
    order_id: str = field(default_factory=lambda: str(uuid.uuid4()))


class Failover:
    """One failover in progress."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.told = Told()
        self.client = http_client(timeout=_TIMEOUT_S)
        self.billing = [
            harness.stack.url_of(child) for child in harness.stack.children("billing_service")
        ]
        self.orders = [
            harness.stack.url_of(child) for child in harness.stack.children("order_service")
        ]
        # Of the fast path: one account, because a batch holds many charges of one. Of the single path: one for each charge,
        # because a charge that waits for the standby holds its account.
        self.fast: list[Charging] = []
        self.single: list[Charging] = []
        # One of the fast path and one of the single path, each with an account of its own, sent before all others.
        self.alone: list[Charging] = []
        # Charges of keys that are voided, and that are declared settled, in the cut.
        self.voided: Charging
        self.forgotten: Charging
        self.customer = ""
        self.customer_keys: list[str] = []
        self.placed: set[UUID] = set()
        self.notification = uuid.uuid4()
        self.sending: list[asyncio.Task[Any]] = []
        # Of customers that place one order after the other.
        self.stopped = asyncio.Event()
        self.billed = 0

    @property
    def charges(self) -> list[Charging]:
        """Those that have to be executed in the end."""
        return [*self.alone, *self.fast, *self.single]

    async def close(self) -> None:
        """Ends what is still being sent."""
        for each in self.sending:
            each.cancel()
        await asyncio.gather(*self.sending, return_exceptions=True)
        await self.client.aclose()

    async def connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        """The owner's, at the server that is primary now; waits while it restarts."""

        async def try_once() -> "asyncpg.Connection[asyncpg.Record] | None":
            server = self.harness.stack.postgres
            try:
                return await asyncpg.connect(server.url("billed_once"), timeout=5)
            except RESTARTING:
                return None

        return await until(try_once, BOUND_S, "the primary accepts connections")

    async def ask(
        self, method: str, url: str, *, headers: dict[str, str] | None = None, json: Any = None
    ) -> httpx.Response | None:
        """One request; None when no process answered it."""
        sent = {**self.harness.authorized(CLIENT), **(headers or {})}
        try:
            return await self.client.request(method, url, headers=sent, json=json)
        except httpx.TransportError:
            return None

    async def charge(
        self, charging: Charging, url: str, retry: str = "?0", mark: int | None = None
    ) -> httpx.Response | None:
        """POST /charges at one replica."""
        headers = {"Idempotency-Key": f'"{charging.key}"', "Idempotency-Retry": retry}
        if mark is not None:
            headers["Idempotency-First-Incomplete"] = str(mark)
        body = {
            "order_id": charging.order_id,
            "account": charging.account,
            "amount_cents": CENTS,
        }
        response = await self.ask("POST", f"{url}/charges", headers=headers, json=body)
        if response is not None:
            self.told.charge(CLIENT, charging.key, response)
        return response

    async def key(self, method: str, key: int, url: str) -> httpx.Response | None:
        """GET or DELETE /charges/{key} at one replica."""
        response = await self.ask(method, f"{url}/charges/{key}")
        if response is not None and response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            self.told.key(CLIENT, key, response)
        return response

    async def balance(self, account: str, url: str) -> httpx.Response | None:
        """GET /accounts/{account} at one replica."""
        response = await self.ask("GET", f"{url}/accounts/{account}")
        if response is not None:
            self.told.balance(account, response)
        return response

    async def place(self, customer_key: str, url: str) -> httpx.Response | None:
        """POST /orders at one replica, under the customer's key."""
        response = await self._of_order(
            "POST",
            f"{url}/orders",
            headers={"Idempotency-Key": f'"{customer_key}"'},
            json={"customer": self.customer, "amount_cents": CENTS, "item": "book"},
        )
        if response is not None and response.status_code in (201, 202):
            self.placed.add(UUID(response.json()["order_id"]))
        return response

    async def order(self, order_id: UUID, url: str) -> httpx.Response | None:
        """GET /orders/{id} at one replica."""
        return await self._of_order("GET", f"{url}/orders/{order_id}")

    async def notify(self, url: str) -> httpx.Response | None:
        """POST /notifications, with the scenario's own notification."""
        body = {
            "notification_id": str(self.notification),
            "order_id": str(self.notification),
            "customer": self.customer,
            "text": "told",
        }
        token = self.harness.stack.description["notification_tokens"][CLIENT]
        headers = {"Authorization": f"Bearer {token}"}
        response = await self.ask("POST", f"{url}/notifications", headers=headers, json=body)
        if response is not None:
            self.told.arrival(response)
        return response

    async def arrivals(self, url: str) -> httpx.Response | None:
        """GET /notifications of the scenario's own notification."""
        response = await self.ask("GET", f"{url}/notifications?order_id={self.notification}")
        if response is not None:
            self.told.arrivals(response)
        return response

    async def _of_order(self, method: str, url: str, **sent: Any) -> httpx.Response | None:
        # order_service knows no clients here.
        try:
            response = await self.client.request(method, url, **sent)
        except httpx.TransportError:
            return None
        self.told.order(response)
        return response
