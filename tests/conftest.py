"""A real Postgres for the whole session, and a migrated database for each test; chaos tests share one wrapped stack.

Its durability is the default.
"""

import gc
import os
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from starlette.applications import Starlette

from chaos.harness.harness import Harness
from chaos.runner.run import open_harness
from stack import environ, ports
from stack.postgres import PostgresCluster
from stack.schema import migrate
from stack.servers import LentServers
from tests import known_types, lanes
from tests.databases import Database, Databases

PASSWORDS = {"order": "o", "billing": "b", "notification": "n"}
TEMPLATE = "template_billed_once"


def pytest_configure() -> None:
    """Removes settings for other servers that the shell may have; connections learn from each other."""
    environ.settle_own()
    # The servers of the tests have no TLS. asyncpg would ask each time, and make a TLS context beforehand.
    os.environ["PGSSLMODE"] = "disable"
    known_types.share()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Each worker collects all by itself, so it pays to read only what its lane plays."""
    return lanes.leaves_out(config.option.markexpr, collection_path) or None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collecting makes many objects and no garbage: looking for garbage among them takes a sixth of its time, here and in every test after it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test has its lane and its turn."""
    lanes.arrange(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> lanes.ByModule:
    """Every worker has whole modules."""
    return lanes.ByModule(config, log)


_OPEN = pytest.StashKey[dict[str, tuple[pytest.FixtureDef[Any], Any]]]()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: Any
) -> Generator[None, object, object]:
    """Remembers what is to end before the session does."""
    made = yield
    if fixturedef.argname in lanes.DEAR:
        request.session.stash.setdefault(_OPEN, {})[fixturedef.argname] = (fixturedef, request)
    return made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    """Ends a dear fixture with its last test: otherwise its processes would go on to the end of the session."""
    ended = yield
    opened = item.session.stash.get(_OPEN, {})
    for name in [name for name in opened if lanes.is_over(name, item, nextitem)]:
        fixturedef, request = opened.pop(name)
        fixturedef.finish(request)
    return ended


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
    await with_cheap_passwords(cluster)
    return TEMPLATE


async def with_cheap_passwords(cluster: PostgresCluster) -> None:
    """The same passwords, hashed once instead of 4,096 times at both ends of each connection; tests open thousands."""
    owner = await asyncpg.connect(cluster.url(TEMPLATE))
    try:
        await owner.execute("SET scram_iterations = 1")
        for role, password in PASSWORDS.items():
            await owner.execute(f"ALTER ROLE {role}_service PASSWORD '{password}'")
        (own,) = (part.rpartition(":")[2] for part in cluster.url(TEMPLATE).split("@")[:1])
        await owner.execute(f"ALTER ROLE CURRENT_USER PASSWORD '{own}'")
    finally:
        await owner.close()


@pytest.fixture(scope="session")
async def databases(cluster: PostgresCluster, template: str) -> AsyncIterator[Databases]:
    """The databases of the tests of this process."""
    databases = Databases(cluster, template)
    yield databases
    await databases.close()


_PASSED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tells the fixtures of a test whether it has passed."""
    report = yield
    if call.when == "call":
        item.stash[_PASSED] = report.passed
    return report


def passed(request: pytest.FixtureRequest) -> bool:
    """For the end of a fixture: whether its test has passed."""
    return bool(request.node.stash.get(_PASSED, False))


@pytest.fixture(scope="module")
async def database_of_module(databases: Databases) -> AsyncIterator[Database]:
    """A migrated database for all tests of a module that leave nothing in it."""
    name = await databases.take()
    yield databases.urls(name)
    await databases.give_back(name, spoilt=True)


@pytest.fixture
async def database(request: pytest.FixtureRequest, databases: Databases) -> AsyncIterator[Database]:
    """A migrated database for this test alone."""
    name = await databases.take()
    yield databases.urls(name)
    await databases.give_back(name, spoilt=not passed(request))


Serve = Callable[[Starlette], AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture(scope="session")
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
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LentServers]:
    """Postgres and Toxiproxy for the tests that start a stack of their own."""
    async with LentServers(tmp_path_factory.mktemp("servers")) as servers:
        yield servers


@pytest.fixture(scope="session")
async def harness(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Harness]:
    """The running stack: the three wrapped services behind the real Toxiproxy and Postgres."""
    async with open_harness(
        tmp_path_factory.mktemp("stack"), lambda _: None, usual_ports=False
    ) as harness:
        yield harness
