"""All three services, the same way: a phase in which the database only reads, reads without end, and a pooler."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette

import billing_service.app
import billing_service.settings
import notification_service.app
import notification_service.settings
import order_service.app
import order_service.settings
from service_kit.bounded_pool import BoundedPool
from tests import pgbouncer
from tests.evidence import seen

TOKENS = {"order_service": (SecretStr("token-of-order_service"),)}
SERVICES = ("billing_service", "notification_service", "order_service")
# After the database writes again, all must be well within this time.
RECOVERY_S = 5
# What a page or a client asks; each service's own reads.
READS = {
    "billing_service": ("/charges/1", "/accounts/alice"),
    "notification_service": ("/notifications", f"/notifications?order_id={uuid4()}"),
    "order_service": ("/orders?limit=100", f"/orders/{uuid4()}", f"/orders?before={uuid4()}"),
}


class Unreachable(httpx.AsyncBaseTransport):
    """The network of an order_service that is alone: orders are recorded and stay pending."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)


@dataclass
class Service:
    """One service, and the request that writes."""

    name: str
    client: httpx.AsyncClient
    pool: BoundedPool
    sequence_key: int = field(default=0)

    async def write(self) -> httpx.Response:
        if self.name == "billing_service":
            self.sequence_key += 1
            return await self.client.post(
                "/charges",
                json={"order_id": str(uuid4()), "account": "alice", "amount_cents": 1},
                headers={"Idempotency-Key": f'"{self.sequence_key}"'},
            )
        if self.name == "notification_service":
            body = {"customer": "alice", "text": "Billed."}
            ids = {"notification_id": str(uuid4()), "order_id": str(uuid4())}
            return await self.client.post("/notifications", json={**ids, **body})
        order = {"customer": "alice", "amount_cents": 1, "item": "book"}
        return await self.client.post("/orders", json=order)


def application(name: str, url: str, password: str = "") -> Starlette:
    """The service on a database."""
    where: dict[str, Any] = {
        "database_url": SecretStr(url),
        "database_password": SecretStr(password),
        # What is held here is let go by the test and not by a deadline, however busy the machine is.
        "transaction_timeout_s": 30,
    }
    if name == "billing_service":
        settings = billing_service.settings.Settings(tokens=TOKENS, **where)
        return billing_service.app.create(settings)
    if name == "notification_service":
        return notification_service.app.create(
            notification_service.settings.Settings(tokens=TOKENS, **where)
        )
    return order_service.app.create(
        order_service.settings.Settings(
            billing_url="http://billing",
            billing_token=SecretStr("token-of-order_service"),
            notification_url="http://notification",
            notification_token=SecretStr("token-for-notification"),
            wait_budget_s=0.01,
            lease_s=60,
            **where,
        ),
        Unreachable,
    )


def pool_of(app: Starlette) -> BoundedPool:
    (held,) = (
        each
        for each in vars(app.state)["_state"].values()
        if isinstance(getattr(each, "pool", None), BoundedPool)
    )
    pool: BoundedPool = held.pool
    return pool


Serve = Callable[[Starlette], AbstractAsyncContextManager[httpx.AsyncClient]]


@asynccontextmanager
async def serving(serve: Serve, name: str, url: str, password: str = "") -> AsyncIterator[Service]:
    app = application(name, url, password)
    async with serve(app) as client:
        client.headers["Authorization"] = "Bearer token-of-order_service"
        if name == "billing_service":
            opened = await client.put("/accounts/alice", json={"opening_balance_cents": 10_000})
            assert opened.status_code == 200
        yield Service(name, client, pool_of(app))


def url_for(database: Any, name: str) -> str:
    url: str = getattr(database, name.removesuffix("_service"))
    return url


@pytest.fixture(params=SERVICES)
async def service(
    request: pytest.FixtureRequest, database: Any, serve: Serve
) -> AsyncIterator[Service]:
    async with serving(serve, request.param, url_for(database, request.param)) as service:
        yield service


@asynccontextmanager
async def new_sessions_only_read(owner: Any, database: str) -> AsyncIterator[None]:
    """Every session was ended, and those that come are made read-only: a failover, seen from behind a stable address."""
    await owner.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    try:
        await owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()",
            database,
        )
        yield
    finally:
        await owner.execute(f"ALTER DATABASE {database} RESET default_transaction_read_only")


@asynccontextmanager
async def all_sessions_only_read(owner: Any, _: str) -> AsyncIterator[None]:
    """The sessions live on and only read from now on."""
    await owner.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    try:
        await owner.execute("SELECT pg_reload_conf()")
        await _until_the_default_is(owner, "on")
        yield
    finally:
        await owner.execute("ALTER SYSTEM RESET default_transaction_read_only")
        await owner.execute("SELECT pg_reload_conf()")
        await _until_the_default_is(owner, "off")


async def _until_the_default_is(owner: Any, wanted: str) -> None:
    reads = "SELECT current_setting('default_transaction_read_only') = $1"
    await seen(lambda: owner.fetchval(reads, wanted), "the configuration is read again")


@pytest.mark.parametrize("phase", [new_sessions_only_read, all_sessions_only_read])
async def test_a_phase_in_which_the_database_only_reads(
    service: Service, database: Any, phase: Callable[[Any, str], AbstractAsyncContextManager[None]]
) -> None:
    """503 with a reason at /readyz while it lasts; after it every request succeeds, at once and without a restart."""
    owner = await asyncpg.connect(database.owner)
    try:
        assert (await service.write()).status_code in (201, 202)
        async with phase(owner, database.owner.rpartition("/")[2]):
            refused = await asyncio.gather(*(service.write() for _ in range(12)))
            assert {response.status_code for response in refused} == {503}
            assert all(int(response.headers["Retry-After"]) >= 1 for response in refused)
            ready = await service.client.get("/readyz")
            assert ready.status_code == 503
            assert "can only read" in ready.json()["missing"]
        async with asyncio.timeout(RECOVERY_S):
            assert (await service.client.get("/readyz")).status_code == 200
            answers = await asyncio.gather(*(service.write() for _ in range(20)))
            assert {response.status_code for response in answers} <= {201, 202}
    finally:
        await owner.close()


async def test_a_role_that_may_not_write_any_more(service: Service, database: Any) -> None:
    """Readiness speaks of this service's own tables: the reason names the first that it cannot write to."""
    owner = await asyncpg.connect(database.owner)
    table = {
        "billing_service": "billing.ledger",
        "notification_service": "notifications.arrivals",
        "order_service": "orders.orders",
    }[service.name]
    try:
        assert (await service.client.get("/readyz")).status_code == 200
        await owner.execute(f"REVOKE INSERT ON {table} FROM {service.name}")
        ready = await service.client.get("/readyz")
        assert ready.status_code == 503
        assert f"permission denied for table {table.partition('.')[2]}" in ready.json()["missing"]
    finally:
        await owner.close()


# What a charge, an order and a notification write. A column beside them that is renamed is no reason not to be ready.
WRITTEN = {
    "billing_service": {
        "billing.processed_keys": "client sequence_key fingerprint status body",
        "billing.accounts": "balance_cents",
        "billing.ledger": "client sequence_key order_id account amount_cents balance_cents",
    },
    "notification_service": {
        "notifications.arrivals": "notification_id client order_id customer text"
    },
    "order_service": {
        "orders.sequence_counter": "last_key",
        "orders.attempts": "order_id attempt sequence_key retry outcome caller_saw seconds",
        "orders.orders": "order_id customer item amount_cents delivery sequence_key shopper_key fingerprint lease_owner "
        "lease_until client status answer notification settled_at attempts",
    },
}
NOT_WRITTEN = {
    "billing_service": ("billing.accounts", "opening_balance_cents"),
    "notification_service": ("notifications.arrivals", "arrived_at"),
    "order_service": ("orders.orders", "created_at"),
}


async def test_readiness_names_each_column_that_is_written(service: Service, database: Any) -> None:
    """A schema without one of them is one that the service cannot work with; and no other column matters."""
    owner = await asyncpg.connect(database.owner)
    tables = WRITTEN[service.name]
    written = {(table, column) for table, columns in tables.items() for column in columns.split()}
    try:
        for table, column in [*written, NOT_WRITTEN[service.name]]:
            await owner.execute(f"ALTER TABLE {table} RENAME COLUMN {column} TO renamed")
            try:
                ready = (await service.client.get("/readyz")).status_code
            finally:
                await owner.execute(f"ALTER TABLE {table} RENAME COLUMN renamed TO {column}")
            assert ready == (503 if (table, column) in written else 200), (table, column)
            assert (await service.client.get("/readyz")).status_code == 200
    finally:
        await owner.close()


async def test_readiness_leaves_nothing_behind(service: Service, database: Any) -> None:
    """A probe that comes every second, for years, writes no row and burns no transaction number."""
    owner = await asyncpg.connect(database.owner)
    try:
        await service.client.get("/readyz")
        before = await owner.fetchval("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
        for _ in range(20):
            assert (await service.client.get("/readyz")).status_code == 200
        after = await owner.fetchval("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
    finally:
        await owner.close()
    # The services' own background work writes a little, never as much as a probe each time.
    assert int(after) - int(before) < 20


async def test_reads_that_are_held(service: Service) -> None:
    """200 reads come while the connections for reads are held: some wait, the rest are told at once; writes go on."""
    paths = READS[service.name]
    slots = 1 if service.name == "notification_service" else 3
    waiting = slots * 32
    async with AsyncExitStack() as held:
        for _ in range(slots):
            await held.enter_async_context(service.pool.reads.connection())
        reads = [asyncio.create_task(service.client.get(paths[n % len(paths)])) for n in range(200)]
        while sum(read.done() for read in reads) < 200 - waiting:
            await asyncio.wait(
                [read for read in reads if not read.done()], return_when="FIRST_COMPLETED"
            )
        told = [read.result() for read in reads if read.done()]
        assert {response.status_code for response in told} == {503}
        assert all(int(response.headers["Retry-After"]) >= 1 for response in told)
        assert all("Nothing was begun" in response.json()["detail"] for response in told)
        writes = await asyncio.gather(*(service.write() for _ in range(5)))
        assert {response.status_code for response in writes} <= {201, 202}
        assert (await service.client.get("/readyz")).status_code == 200
        assert sum(not read.done() for read in reads) == waiting
    answered = [response.status_code for response in await asyncio.gather(*reads)]
    assert answered.count(503) == 200 - waiting
    assert set(answered) <= {200, 404, 503}


@pgbouncer.needed
@pytest.mark.parametrize("ignored", ["", pgbouncer.IGNORING])
@pytest.mark.parametrize("name", SERVICES)
async def test_behind_a_pooler_in_session_mode(
    database: Any, serve: Serve, tmp_path: Path, name: str, ignored: str
) -> None:
    """Each service works, is ready, and its server-side bounds hold."""
    async with (
        pgbouncer.pgbouncer(tmp_path, database.owner, ignore_startup_parameters=ignored) as urls,
        serving(serve, name, urls[name]) as service,
    ):
        answers = await asyncio.gather(*(service.write() for _ in range(20)))
        assert {response.status_code for response in answers} <= {201, 202}
        assert (await service.client.get("/readyz")).status_code == 200
        async with service.pool.connection() as connection:
            assert await connection.fetchval("SHOW statement_timeout") != "0"
            assert await connection.fetchval("SHOW lock_timeout") != "0"
            assert await connection.fetchval("SHOW enable_seqscan") == "off"


@pytest.mark.parametrize("name", SERVICES)
async def test_a_password_that_no_url_can_hold(database: Any, serve: Serve, name: str) -> None:
    """It has a variable of its own."""
    password = "a/b@c?d#e:f%2Fg[h"
    usual = name[0]
    owner = await asyncpg.connect(database.owner)
    await owner.execute(f"ALTER ROLE {name} PASSWORD '{password}'")
    try:
        url = url_for(database, name).replace(f":{usual}@", "@")
        async with serving(serve, name, url, password) as service:
            assert (await service.write()).status_code in (201, 202)
    finally:
        await owner.execute(f"ALTER ROLE {name} PASSWORD '{usual}'")
        await owner.close()
