"""The fixture of a run: the stack under test, its journal, and the ways to strike it.

Guarantee: a stack that was only described (stack.json) is struck through its Toxiproxy and its Postgres alone; a step
that needs wrapped services or processes runs only on a stack that was started here.
"""

import dataclasses
import json
import re
import uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from typing import Any
from uuid import UUID

import httpx

from chaos.evidence import readings
from chaos.evidence.journal import Journal
from chaos.faults.control import Control
from chaos.harness.background import Background
from chaos.harness.target import Target
from order_service.wire import Delivery, Order
from stack.embedded import Stack
from stack.http_client import http_client
from stack.processes import Child
from stack.toxics import Toxiproxy
from stack.waiting import until

OPENING_CENTS = 1_000_000
AMOUNT_CENTS = 1_999
# B of the promises: everything must be settled this long after healing. A lease, a restart and a capped pause fit into it.
BOUND_S = 30.0
# Far above what any request needs, the restart of a process included: a bound, not a measure.
REQUEST_TIMEOUT_S = 30.0

OpenHarness = Callable[[], AbstractAsyncContextManager["Harness"]]


class Unplayable(Exception):
    """The stack cannot be struck in this way: it was not started here."""


class Harness:
    """`control` and `stack` are there when the stack was started here with wrapped services.

    `attempt_deadline_s` is the order service's setting, where it is known. `bound_s` is how long a scenario waits for evidence,
    and for work that has to come to its end by itself; what the harness needs to go on has `BOUND_S`.
    """

    def __init__(
        self,
        target: Target,
        journal: Journal,
        *,
        control: Control | None = None,
        stack: Stack | None = None,
        attempt_deadline_s: float | None = None,
        bound_s: float = BOUND_S,
    ) -> None:
        self.target = target
        self.journal = journal
        self.toxiproxy = Toxiproxy(target.toxiproxy) if stack is None else stack.toxiproxy
        self.attempt_deadline_s = attempt_deadline_s
        self.bound_s = bound_s
        self.background = Background(stack, bound_s)
        # What the audit finds in a database that had been used before: none of it is this run's.
        self.found_before: frozenset[tuple[str, str]] = frozenset()
        self._control = control
        self._stack = stack
        self._client = http_client(timeout=REQUEST_TIMEOUT_S)
        # How the stack with a standby is opened, and that stack once a scenario needed it.
        self.open_with_standby: OpenHarness | None = None
        self._beside: Harness | None = None
        self._exit = AsyncExitStack()

    async def close(self) -> None:
        """Closes the harness's own connections, and the stack with a standby."""
        await self._exit.aclose()
        await self._client.aclose()

    async def with_standby(self) -> "Harness":
        """The harness of the stack with a standby, which is started for the first scenario that needs it; or this one.

        Raises `Unplayable` and `StackError`.
        """
        if self._stack is not None and self._stack.has_standby:
            return self
        if self._beside is None:
            if self.open_with_standby is None:
                raise Unplayable("it needs a stack with a standby")
            self._beside = await self._exit.enter_async_context(self.open_with_standby())
        return self._beside

    @property
    def all_opened(self) -> "list[Harness]":
        """This one, and that of the stack with a standby once it was started."""
        return [self] if self._beside is None else [self, self._beside]

    def refresh_target(self) -> None:
        """After a failover the owner's database is on another server."""
        owner = self.stack.databases["owner"]
        self.target = dataclasses.replace(self.target, owner=owner)

    @property
    def wrapped(self) -> bool:
        """Whether the services write the journal and obey the control server."""
        return self._control is not None

    @property
    def control(self) -> Control:
        """The line to the wrapped services. Raises `Unplayable`."""
        if self._control is None:
            raise Unplayable("it needs wrapped services")
        return self._control

    @property
    def stack(self) -> Stack:
        """The processes. Raises `Unplayable`."""
        if self._stack is None:
            raise Unplayable("it needs processes that were started here")
        return self._stack

    def child(self, service: str, pid: int) -> Child:
        """The replica that has this process id, or had it last."""
        for child in self.stack.children(service):
            if pid in (child.pid, *(death.pid for death in child.deaths)):
                return child
        raise RuntimeError(f"{service} has no process {pid}")

    def is_alive(self, service: str, pid: int) -> bool:
        """Whether a process of a service runs; taken for true where the stack was not started here."""
        if self._stack is None:
            return True
        return any(c.pid == pid and c.running for c in self._stack.children(service))

    async def all_ready(self) -> None:
        """Returns when every replica does its job again."""
        if self._stack is not None:
            await self._stack.all_ready()

    async def reset_network(self) -> None:
        """Recreates every proxy that an earlier scenario left with toxics."""
        hops = {"billing", "notification", "billing-db", "order-db", "notification-db"}
        for name in sorted(hops.intersection(await self.toxiproxy.proxies())):
            if await self.toxiproxy.toxics(name):
                await self.toxiproxy.recreate(name)

    async def cool_down(self) -> None:
        """Recreates billing's proxy: the caller has no connection to billing and nothing left to declare."""
        await self._all_declared()
        await self.toxiproxy.recreate("billing")

    async def warm_up(self) -> None:
        """Recreates billing's proxy and bills one order over it: the caller's pooled connection is open and idle."""
        await self.toxiproxy.recreate("billing")
        account = await self.open_account("warm")

        async def billed() -> bool:
            placed = await self.place(account, Delivery.EXACTLY_ONCE)
            return placed.status_code == httpx.codes.CREATED

        # The service may still be busy with finding new connections to its database.
        await until(billed, BOUND_S, "an order is billed without any fault")
        await self._all_declared()

    async def _all_declared(self) -> None:
        """Returns when billing knows which keys are settled: the caller declares it unasked, over the same pool."""
        connection = await readings.connect(self.target.owner)

        async def declared() -> bool:
            found: bool = await connection.fetchval(
                """
                SELECT coalesce((SELECT first_incomplete FROM billing.clients WHERE client = 'order_service'), 1)
                       >= (SELECT coalesce(min(orders.sequence_key), max(sequence_counter.last_key) + 1)
                           FROM orders.sequence_counter
                           LEFT JOIN orders.orders ON orders.status = 'pending')
                """
            )
            return found

        try:
            await until(declared, BOUND_S, "billing hears which keys are settled")
        finally:
            await connection.close()

    async def open_account(self, prefix: str, opening_cents: int = OPENING_CENTS) -> str:
        """Opens an account of its own for one order, so that its balance tells of that order alone."""
        account = f"{prefix}-{uuid.uuid4().hex[:12]}"
        url = f"{self.target.urls['billing_service']}/accounts/{account}"
        body, headers = {"opening_balance_cents": opening_cents}, self.authorized("curl")

        async def opened() -> bool:
            # Billing may have just closed an idle connection; the same account once more changes nothing.
            with suppress(httpx.TransportError):
                return (await self._client.put(url, json=body, headers=headers)).is_success
            return False

        await until(opened, BOUND_S, "billing opens an account")
        return account

    async def place(
        self, account: str, delivery: Delivery, customer_key: str = ""
    ) -> httpx.Response:
        """POST /orders; the wait budget of a wrapped stack is long enough for the final answer."""
        return await self._client.post(
            f"{self.target.urls['order_service']}/orders",
            json={
                "customer": account,
                "amount_cents": AMOUNT_CENTS,
                "item": "book",
                "delivery": delivery,
            },
            headers={
                **self.target.placing(),
                **({"Idempotency-Key": f'"{customer_key}"'} if customer_key else {}),
            },
        )

    async def cancel(self, order_id: UUID) -> httpx.Response:
        """POST /orders/{id}/cancel."""
        return await self._client.post(
            f"{self.target.urls['order_service']}/orders/{order_id}/cancel",
            headers=self.target.placing(),
        )

    async def read_order(self, order_id: Any) -> Order | None:
        """GET /orders/{id}; waits while the order service restarts."""

        async def read() -> httpx.Response | None:
            try:
                response = await self._client.get(
                    f"{self.target.urls['order_service']}/orders/{order_id}",
                    headers=self.target.placing(),
                )
            except httpx.TransportError:
                return None
            return None if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR else response

        response = await until(read, BOUND_S, "the order service answers")
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        return Order.model_validate_json(response.content)

    async def charge(
        self,
        body: dict[str, Any],
        sequence_key: str,
        client: str,
        retry: str = "?0",
        url: str | None = None,
    ) -> httpx.Response:
        """A charge that the harness itself sends straight to billing (or to the process at `url`); key as on the wire."""
        return await self._client.post(
            f"{url or self.target.urls['billing_service']}/charges",
            content=json.dumps(body),
            headers={
                **self.authorized(client),
                "Content-Type": "application/json",
                "Idempotency-Key": sequence_key,
                "Idempotency-Retry": retry,
            },
        )

    async def open_orders_counted(self) -> set[float]:
        """How many open orders the order service processes counted last, by their own metrics."""
        return set((await self._counted("order_service", "order_unsettled")).values())

    async def failed_takeover_rounds(self) -> dict[str, float]:
        """How many takeover rounds have failed in each order service process, by its own metrics."""
        return await self._counted("order_service", 'order_takeover_rounds_total{end="failed"}')

    async def collector_rounds(self) -> dict[str, float]:
        """How many rounds the collector of each billing process has finished, by the process's own metrics."""
        return await self._counted("billing_service", "billing_collector_rounds_total")

    async def charges_waiting(self) -> float:
        """How many charges wait for a transaction, in all billing processes together, by their own metrics."""
        return sum((await self._counted("billing_service", "billing_queue_length")).values())

    async def _counted(self, service: str, metric: str) -> dict[str, float]:
        counted = {}
        for child in self.stack.children(service):
            response = await self._client.get(f"{self.stack.url_of(child)}/metrics")
            found = re.search(rf"^{re.escape(metric)} (\S+)", response.text, re.MULTILINE)
            counted[child.name] = float(found[1]) if found else 0.0
        return counted

    def authorized(self, client: str) -> dict[str, str]:
        """The header that names one of the clients of stack.json."""
        return {"Authorization": f"Bearer {self.target.tokens[client]}"}

    async def money(self, account: str, client: str = readings.CLIENT) -> tuple[float, int]:
        """A client's effects by the account's balance, and its committed withdrawals; read past all proxies."""
        connection = await readings.connect(self.target.owner)
        try:
            shot = await readings.read_snapshot(connection, account, AMOUNT_CENTS, 0, client)
        finally:
            await connection.close()
        return shot.effects, shot.commits
