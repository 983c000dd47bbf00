"""A real Postgres for the whole session, and a migrated database of its own for each test.

Its durability is the default. A test's database is a clone of a template, which takes a tenth of a second. Chaos tests share one wrapped stack.
"""

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from chaos.harness.harness import Harness
from chaos.runner.run import open_harness
from stack import environ, ports
from stack.postgres import PostgresCluster
from stack.schema import migrate

PASSWORDS = {"order": "o", "billing": "b", "notification": "n"}
TEMPLATE = "template_billed_once"


def pytest_configure() -> None:
    """Removes settings for other servers that the shell may have."""
    environ.settle_own()


@dataclass(frozen=True)
class Database:
    """One test's database: a connection URL for each role."""

    owner: str
    order: str
    billing: str
    notification: str


@pytest.fixture(scope="session")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PostgresCluster]:
    """A running cluster without any database of the services."""
    directory: Path = tmp_path_factory.mktemp("postgres")
    cluster = PostgresCluster(
        directory / "data", directory / "postgres.log", lambda: ports.choose("", None)
    )
    await cluster.start()
    yield cluster
    await cluster.stop()


@pytest.fixture(scope="session")
async def template(cluster: PostgresCluster) -> str:
    """A migrated database without connections, to be cloned."""
    await cluster.create_database(TEMPLATE)
    await migrate(cluster.url(TEMPLATE), PASSWORDS)
    return TEMPLATE


@pytest.fixture
async def database(cluster: PostgresCluster, template: str) -> AsyncIterator[Database]:
    """A migrated database for this test alone."""
    name = f"test_{uuid.uuid4().hex}"
    await cluster.create_database(name, template)
    yield Database(
        owner=cluster.url(name),
        order=cluster.url(name, "order_service", "o"),
        billing=cluster.url(name, "billing_service", "b"),
        notification=cluster.url(name, "notification_service", "n"),
    )
    await cluster.drop_database(name)


Serve = Callable[[Starlette], AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def serve() -> Serve:
    """Runs an application in this process, with its lifespan; gives a client for it."""

    @asynccontextmanager
    async def serving(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
        ):
            yield client

    return serving


@pytest.fixture(scope="session")
async def harness(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Harness]:
    """The running stack: the three wrapped services behind the real Toxiproxy and Postgres."""
    async with open_harness(
        tmp_path_factory.mktemp("stack"), lambda _: None, usual_ports=False
    ) as harness:
        yield harness
