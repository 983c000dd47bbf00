"""The system under measurement: Postgres with its default durability, and services as processes beside it.

Guarantee: every run begins with a fresh cluster and leaves no process; services connect to Postgres directly, without
Toxiproxy, because the services are what is measured.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx

from stack import ports
from stack.environ import of_child
from stack.http_client import http_client
from stack.postgres import PostgresCluster
from stack.processes import Child, Command
from stack.schema import PROJECT, migrate

DATABASE = "bench"
# These services exist for one measurement only.
TOKEN = "bench-billing-token"  # noqa: S105
_NOTIFICATION_TOKEN = "bench-notification-token"  # noqa: S105
_PASSWORDS = {"order": "o", "billing": "b", "notification": "n"}
_READY_TIMEOUT_S = 60.0
_PROBE_PAUSE_S = 0.05
_STOP_GRACE_S = 30.0


@dataclass(frozen=True)
class Service:
    """One running process."""

    url: str
    child: Child

    def memory_mib(self) -> float:
        """Resident memory now."""
        for line in Path(f"/proc/{self.child.pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("the kernel reports no VmRSS")


class Testbed:
    """A cluster with one migrated database."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._served = 0
        self._database = DATABASE
        self.postgres = PostgresCluster(
            directory / "data", directory / "postgres.log", lambda: ports.choose("", None)
        )

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Testbed"]:
        """Runs the cluster for the length of the block."""
        await self.postgres.start()
        try:
            await self.postgres.create_database(DATABASE)
            await migrate(self.postgres.url(DATABASE), _PASSWORDS)
            yield self
        finally:
            await self.postgres.stop()

    async def clone(self, database: str) -> "Testbed":
        """A testbed on the same cluster with a migrated database of its own. It must not be opened."""
        other = Testbed(self.directory / database)
        other.directory.mkdir()
        other.postgres, other._database = self.postgres, database
        await self.postgres.create_database(database)
        await migrate(self.postgres.url(database), _PASSWORDS)
        return other

    @asynccontextmanager
    async def owner(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """A connection as the owner of the database."""
        connection = await asyncpg.connect(self.owner_url)
        try:
            yield connection
        finally:
            await connection.close()

    @asynccontextmanager
    async def serving(
        self, factory: str, environ: Mapping[str, str] | None = None, port: int | None = None
    ) -> AsyncIterator[Service]:
        """Runs one ASGI factory in a process of its own, on `port` or any free one, for the length of the block."""
        self._served += 1
        name = f"{self._served}-{factory.replace(':', '.')}"
        with ports.listen("", port) as listener:
            argv = [sys.executable, "-m", "stack.serve", factory, str(listener.fileno())]
            command = Command(
                argv,
                of_child({**self.environ(), **(environ or {})}),
                PROJECT,
                inherited_fds=[listener.fileno()],
            )
            child = Child(name, command, self.directory / f"{name}.log")
            url = ports.url_of(listener)
            await child.start()
            try:
                await _answers(url)
                yield Service(url, child)
            finally:
                await child.stop(_STOP_GRACE_S)

    @property
    def owner_url(self) -> str:
        """The database's URL for the owner."""
        return self.postgres.url(self._database)

    def environ(self) -> dict[str, str]:
        """The settings that all services of this testbed share."""
        return {
            "BILLING_DATABASE_URL": self._url("billing"),
            "BILLING_TOKENS": json.dumps({"order_service": TOKEN}),
            "ORDER_DATABASE_URL": self._url("order"),
            "ORDER_BILLING_TOKEN": TOKEN,
            "ORDER_NOTIFICATION_TOKEN": _NOTIFICATION_TOKEN,
            "ORDER_BILLING_URL": "http://127.0.0.1:9",
            "ORDER_NOTIFICATION_URL": "http://127.0.0.1:9",
            "NOTIFICATION_DATABASE_URL": self._url("notification"),
            "NOTIFICATION_TOKENS": json.dumps({"order_service": _NOTIFICATION_TOKEN}),
        }

    def _url(self, role: str) -> str:
        return self.postgres.url(self._database, f"{role}_service", _PASSWORDS[role])


async def _answers(url: str) -> None:
    async with asyncio.timeout(_READY_TIMEOUT_S), http_client() as client:
        while True:
            try:
                # Any path: the baselines have no probes.
                await client.get(url + "/openapi.json")
            except httpx.TransportError:
                await asyncio.sleep(_PROBE_PAUSE_S)
            else:
                return
