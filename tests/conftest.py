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
import pytest_asyncio
from starlette.applications import Starlette

from chaos.harness.harness import Harness
from chaos.runner.run import open_harness
from service_kit.bounded_pool.informed import InformedConnection
from stack import environ
from stack.nursery import Nursery
from stack.postgres import PostgresCluster
from stack.servers import LentServers
from tests import lanes, migrated_cluster, spared_starts
from tests.databases import Database, Databases


def pytest_configure() -> None:
    """Removes settings for other servers that the shell may have, and makes connections cheap."""
    environ.settle_own()
    # The servers of the tests have no TLS. asyncpg would ask each time, and make a TLS context beforehand.
    os.environ["PGSSLMODE"] = "disable"
    # The connections of a test, too, learn from each other what arrays are: tests open thousands.
    defaults: Any = asyncpg.connect.__kwdefaults__
    defaults["connection_class"] = InformedConnection


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
def folder_of_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the processes of one run of the tests meet: a folder that all of them reach."""
    own = tmp_path_factory.getbasetemp()
    # Each process of pytest-xdist has a folder within that of the run.
    return own.parent if hasattr(request.config, "workerinput") else own


# Said in full, because tests run pytest with these fixtures and settings of their own.
@pytest_asyncio.fixture(scope="session", loop_scope="session", autouse=True)
async def spared() -> AsyncIterator[Nursery]:
    """Stacks of this process start only what differs between them; a test may fork from the same nursery."""
    async with spared_starts.spared() as nursery:
        yield nursery


@pytest.fixture(scope="session")
async def cluster(
    folder_of_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[PostgresCluster]:
    """A running cluster of this process, with the migrated template."""
    folder = tmp_path_factory.mktemp("postgres")
    await migrated_cluster.copy_to(folder, folder_of_run / "migrated")
    cluster = migrated_cluster.in_folder(folder)
    await cluster.start()
    yield cluster
    await cluster.stop()


@pytest.fixture(scope="session")
def template(cluster: PostgresCluster) -> str:
    """A migrated database without connections, to be cloned."""
    assert cluster.port
    return migrated_cluster.TEMPLATE


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
