"""Databases of the examples: each test makes its own schema in one, so the next test may have it again."""

import uuid
from collections.abc import AsyncIterator

import pytest

from stack.postgres import PostgresCluster
from tests.conftest import passed
from tests.databases import Database


@pytest.fixture(scope="session")
def idle() -> list[str]:
    """Databases that no test uses now."""
    return []


@pytest.fixture
async def database(
    request: pytest.FixtureRequest, cluster: PostgresCluster, idle: list[str]
) -> AsyncIterator[Database]:
    """A database for this test alone, with whatever an earlier test has left in it."""
    if not idle:
        name = f"examples_{uuid.uuid4().hex}"
        await cluster.create_database(name)
        idle.append(name)
    name = idle.pop()
    url = cluster.url(name)
    yield Database(owner=url, order=url, billing=url, notification=url)
    # What a failed test has started may go on in its database.
    if passed(request):
        idle.append(name)
