"""The services on a Patroni cluster, and customers that place orders all the time.

Guarantee: each service is told all nodes and takes the one that can write; a customer repeats its order, under the same key,
until it is billed; what it was told is kept.
"""

import asyncio
import itertools
import socket
import sys
import time
import uuid
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import httpx

from chaos.patroni.cluster import Cluster
from stack import credentials, environ, ports, readiness, service_environ
from stack.embedded import ACCOUNTS, FACTORIES, OPENING_BALANCE_CENTS
from stack.http_client import http_client
from stack.processes import Child, Command
from stack.schema import PROJECT, migrate
from stack.waiting import until

DATABASE = "billed_once"
_REPLICAS = 2
_CUSTOMERS = 6
_CENTS = 3
_PAUSE_S = 0.05
_BOUND_S = 180.0
_STOP_GRACE_S = 15.0


class Deployment:
    """Two replicas of each service. Use as `async with Deployment(cluster, directory) as deployment`."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self._cluster = cluster
        self._directory = directory
        self._exit = AsyncExitStack()
        self._credentials = credentials.read_or_make(directory / "secrets.json")
        self._client = http_client(timeout=20.0)
        self._listeners: dict[str, socket.socket] = {}
        self._customers: list[asyncio.Task[None]] = []
        self._stopped = asyncio.Event()
        # When each order was told to be billed, by its id.
        self.billed_at_s: dict[str, float] = {}

    async def __aenter__(self) -> "Deployment":
        try:
            await self._start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopped.set()
        for each in self._customers:
            each.cancel()
        await asyncio.gather(*self._customers, return_exceptions=True)
        await self._exit.aclose()
        await self._client.aclose()

    @property
    def owner_url(self) -> str:
        """Of the services' database, at the leader."""
        return self._cluster.owner_url(DATABASE)

    async def billed_after(self, since_s: float, orders: int) -> float:
        """Returns when so many orders were billed after a moment; the seconds until the first of them."""

        async def found() -> float | None:
            later = sorted(at_s for at_s in self.billed_at_s.values() if at_s > since_s)
            return later[0] - since_s if len(later) >= orders else None

        return await until(found, _BOUND_S, f"{orders} orders are billed")

    async def settled(self) -> None:
        """Lets the customers have their last answers, and returns when no order is pending."""
        connection = await asyncpg.connect(self.owner_url, timeout=10)

        async def none_pending() -> bool:
            pending: int = await connection.fetchval(
                "SELECT count(*) FROM orders.orders WHERE status = 'pending' AND created_at < now() - interval '1 s'"
            )
            return pending == 0

        try:
            await until(none_pending, _BOUND_S, "every order is settled")
        finally:
            await connection.close()

    async def lost(self) -> list[str]:
        """Orders that were told as billed and are not, or whose money has not moved."""
        told = list(self.billed_at_s)
        connection = await asyncpg.connect(self.owner_url, timeout=10)
        try:
            rows = await connection.fetch(
                """
                SELECT orders.order_id::text
                FROM orders.orders JOIN billing.ledger USING (order_id)
                WHERE status = 'billed' AND orders.order_id = ANY ($1::uuid[])
                """,
                told,
            )
        finally:
            await connection.close()
        return sorted(set(told) - {row["order_id"] for row in rows})

    async def _start(self) -> None:
        connection = await asyncpg.connect(self._cluster.owner_url("postgres"), timeout=10)
        await connection.execute(f'CREATE DATABASE "{DATABASE}"')
        await connection.close()
        leader = await self._cluster.whole()
        # SQLAlchemy takes one host: migrations run at the leader.
        url = self._cluster.owner_url(DATABASE).partition("?")[0]
        hosts = url.rpartition("@")[2].partition("/")[0]
        await migrate(url.replace(hosts, leader.address), self._credentials.passwords)
        await self._let_rewind_in()
        for service in FACTORIES:
            self._listeners[service] = self._exit.enter_context(ports.listen("", None))
        for service in FACTORIES:
            for replica in range(_REPLICAS):
                await self._start_service(service, replica)
        for account in ACCOUNTS:
            await self._open_account(account)
        self._customers = [asyncio.create_task(self._shop(n)) for n in range(_CUSTOMERS)]

    async def _let_rewind_in(self) -> None:
        """Patroni looks at the leader as its role for pg_rewind, in the database that migration 0008 closes to all roles."""
        connection = await asyncpg.connect(self._cluster.owner_url("postgres"), timeout=10)
        await connection.execute("GRANT CONNECT ON DATABASE postgres TO rewind")
        await connection.close()

    async def _start_service(self, service: str, replica: int) -> None:
        own = self._exit.enter_context(ports.listen("", None))
        fds = [self._listeners[service].fileno(), own.fileno()]
        argv = [sys.executable, "-m", "stack.serve", FACTORIES[service], *map(str, fds)]
        command = Command(argv, self._environ(service), PROJECT, inherited_fds=fds)
        log = self._directory / f"{service}-{replica}.log"
        child = Child(f"{service}-{replica}", command, log)
        self._exit.push_async_callback(child.stop, _STOP_GRACE_S)
        await child.start()
        await readiness.wait(child, ports.url_of(own), _BOUND_S)

    def _environ(self, service: str) -> dict[str, str]:
        role = service.removesuffix("_service")
        peers = {
            name: f"{ports.LOOPBACK}:{ports.port_of(self._listeners[f'{name}_service'])}"
            for name in ("billing", "notification")
        }
        url = ports.url_of(self._listeners[service])
        password = self._credentials.passwords[role]
        return {
            **environ.of_child(inherited=("HTTP_",)),
            f"{role.upper()}_DATABASE_URL": self._cluster.url(
                f"{role}_service", password, DATABASE
            ),
            **service_environ.settings(service, self._credentials.tokens, peers, public_url=url),
        }

    async def _open_account(self, account: str) -> None:
        token = self._credentials.tokens["billing_service"]["curl"]
        response = await self._client.put(
            f"{ports.url_of(self._listeners['billing_service'])}/accounts/{account}",
            json={"opening_balance_cents": OPENING_BALANCE_CENTS},
            headers={"Authorization": f"Bearer {token}"},
        )
        response.raise_for_status()

    async def _shop(self, number: int) -> None:
        url = f"{ports.url_of(self._listeners['order_service'])}/orders"
        for place in itertools.count():
            if self._stopped.is_set():
                return
            body = {
                "customer": ACCOUNTS[place % len(ACCOUNTS)],
                "amount_cents": _CENTS,
                "item": f"book {number}",
            }
            headers = {"Idempotency-Key": f'"{uuid.uuid4()}"'}
            while True:
                try:
                    response = await self._client.post(url, json=body, headers=headers)
                    if response.status_code == httpx.codes.CREATED:
                        self.billed_at_s[response.json()["order_id"]] = time.monotonic()
                        break
                except httpx.TransportError:
                    pass
                await asyncio.sleep(_PAUSE_S)
