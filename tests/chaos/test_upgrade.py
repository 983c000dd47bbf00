"""A rolling upgrade under load: the services of an earlier revision beside the new ones, on the new schema, then without them.

The earlier revision is a fixed commit of this repository, before migrations 0009 to 0012, checked out as a git worktree.
"""

import asyncio
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import httpx
import pytest

from chaos.promises.audit import audit
from stack import environ
from stack.beside import beside
from stack.embedded import ACCOUNTS, FACTORIES, Stack
from stack.http_client import http_client
from stack.processes import StackError
from stack.programs import run_to_end
from stack.schema import PROJECT
from stack.waiting import NotSeen, until

pytestmark = pytest.mark.chaos

# "Roles reach no further than their work": the schema ends with migration 0008.
EARLIER = "48b7d9bb96a55152d4e77cc1c0971f826b205034"
_CUSTOMERS = 6
_BOUND_S = 60.0
# A hundred times what a connection and an order take. Old processes that cannot work at all are waited for in vain.
_SERVED_WITHIN_S = 20.0
# Any revision can be served like this: on sockets that are open already.
_SERVE = """
import socket, sys, uvicorn
sockets = [socket.socket(fileno=int(number)) for number in sys.argv[2:]]
uvicorn.Server(uvicorn.Config(sys.argv[1], factory=True)).run(sockets=sockets)
"""
# Orders that are billed in each of the phases: enough for each process to have served some.
_MORE = 30


@pytest.fixture
async def earlier(tmp_path: Path) -> AsyncIterator[Path]:
    """The earlier revision in a folder of its own."""
    directory = tmp_path / "earlier"
    found = environ.of_child()
    added = await run_to_end(
        ["git", "-C", str(PROJECT), "worktree", "add", "--detach", str(directory), EARLIER], found
    )
    if added.return_code != 0:
        pytest.skip(f"the revision {EARLIER} is not there: this is no clone with the whole history")
    yield directory
    await run_to_end(
        ["git", "-C", str(PROJECT), "worktree", "remove", "--force", str(directory)], found
    )


class Load:
    """Customers that place one order after the other, each until it is billed."""

    def __init__(self, url: str) -> None:
        self._url = url
        # A connection for each request: whichever process accepts it serves it.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = http_client(timeout=30, limits=limits)
        self._stopped = asyncio.Event()
        self._customers = [asyncio.create_task(self._shop(n)) for n in range(_CUSTOMERS)]
        self.billed: list[str] = []
        self.refused: Counter[int] = Counter()

    async def more(self, orders: int) -> None:
        """Returns when so many more are billed."""
        wanted = len(self.billed) + orders

        async def billed() -> bool:
            return len(self.billed) >= wanted

        await until(billed, _BOUND_S, f"{orders} more orders are billed")

    async def stop(self) -> None:
        """Each customer ends with its last answer."""
        self._stopped.set()
        await asyncio.wait(self._customers, timeout=_BOUND_S)
        for each in self._customers:
            each.cancel()
        await asyncio.gather(*self._customers, return_exceptions=True)
        await self._client.aclose()

    async def _shop(self, number: int) -> None:
        while not self._stopped.is_set():
            key = str(uuid.uuid4())
            while True:
                status = await self._place(number, key)
                if status == httpx.codes.CREATED:
                    break
                self.refused[status] += 1
                if status not in (0, 202, 503) or self._stopped.is_set():
                    return

    async def _place(self, number: int, key: str) -> int:
        try:
            response = await self._client.post(
                f"{self._url}/orders",
                json={
                    "customer": ACCOUNTS[number % len(ACCOUNTS)],
                    "amount_cents": 3,
                    "item": "book",
                },
                headers={"Idempotency-Key": f'"{key}"'},
            )
        except httpx.TransportError:
            return 0
        if response.status_code == httpx.codes.CREATED:
            self.billed.append(response.json()["order_id"])
        return response.status_code


async def upgraded(tmp_path: Path, earlier: Path, migration: str = "SELECT 1") -> list[str]:
    """What went wrong, one sentence each, when the load ran through the upgrade after this migration."""
    (tmp_path / "stack").mkdir()
    async with Stack(tmp_path / "stack", usual_ports=False) as stack:
        await _execute(stack, migration)
        load = Load(stack.urls["order_service"])
        try:
            async with AsyncExitStack() as opened:
                own: dict[str, AsyncExitStack] = {}
                urls: dict[str, str] = {}
                for service in ("billing_service", "notification_service", "order_service"):
                    old = AsyncExitStack()
                    await opened.enter_async_context(old)
                    log = tmp_path / f"{service}.log"
                    argv = [sys.executable, "-c", _SERVE, FACTORIES[service]]
                    urls[service] = await old.enter_async_context(
                        beside(stack, service, log, directory=earlier, argv=argv, shared=True)
                    )
                    own[service] = old
                await load.more(_MORE)
                await until(
                    lambda: _all_served(stack, urls),
                    _SERVED_WITHIN_S,
                    "every old process serves requests",
                )
                for service in ("order_service", "billing_service", "notification_service"):
                    await own[service].aclose()
                    await load.more(_MORE)
        except (NotSeen, StackError) as exc:
            return [str(exc)]
        finally:
            await load.stop()
        return await _wrong(stack, load)


async def _all_served(stack: Stack, urls: Mapping[str, str]) -> bool:
    """Whether each of the processes has served requests; if not, order_service has to connect to its service anew.

    It keeps connections, which may all be to the new process.
    """
    served = {
        "order": await _counted(urls["order_service"], "order_settled_total"),
        "billing": await _counted(urls["billing_service"], "billing_charges_total"),
        "notification": await _counted(urls["notification_service"], "notification"),
    }
    for name in ("billing", "notification"):
        if not served[name]:
            await stack.toxiproxy.recreate(name)
    return min(served.values()) > 0


async def _counted(url: str, metric: str) -> float:
    """What a process has counted since its start, over all labels."""
    async with http_client() as client:
        lines = (await client.get(f"{url}/metrics")).text.splitlines()
    found = [line for line in lines if line.startswith(metric) and "_created" not in line]
    return sum(float(line.rpartition(" ")[2]) for line in found)


async def _execute(stack: Stack, migration: str) -> None:
    connection = await asyncpg.connect(stack.databases["owner"])
    await connection.execute(migration)
    await connection.close()


async def _wrong(stack: Stack, load: Load) -> list[str]:
    owner = stack.databases["owner"]
    connection = await asyncpg.connect(owner)

    async def settled() -> bool:
        pending: int = await connection.fetchval(
            "SELECT count(*) FROM orders.orders WHERE status = 'pending'"
        )
        return pending == 0

    await until(settled, _BOUND_S, "every order is settled")
    told = set(load.billed)
    there = await connection.fetch(
        "SELECT order_id::text FROM orders.orders WHERE status = 'billed'"
    )
    failed = await connection.fetchval(
        "SELECT count(*) FROM orders.orders WHERE status <> 'billed'"
    )
    await connection.close()
    wrong = [f"{f.kind} {f.subject}: {f.detail}" for f in (await audit(owner)).findings]
    wrong += [
        f"order {each} was told as billed and is not" for each in told - {r[0] for r in there}
    ]
    wrong += [f"{failed} orders are not billed"] if failed else []
    wrong += [
        f"customers were answered {status}"
        for status in load.refused
        if status not in (0, 202, 503)
    ]
    return wrong


async def test_nothing_is_lost_or_doubled(tmp_path: Path, earlier: Path) -> None:
    """Old and new services share the load; then the old ones stop one by one."""
    assert await upgraded(tmp_path, earlier) == []


@pytest.mark.mutants
async def test_a_migration_that_old_services_cannot_bear(tmp_path: Path, earlier: Path) -> None:
    """The negative control: a column that the old service does not know must be given."""
    wrong = await upgraded(
        tmp_path, earlier, "ALTER TABLE orders.orders ALTER COLUMN client DROP DEFAULT"
    )
    assert wrong != []
