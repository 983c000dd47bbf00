"""Databases of the examples: each test makes its own schema in one, so the next test may have it again."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from stack.postgres import PostgresCluster
from tests.conftest import passed
from tests.databases import Database


@dataclass
class Made:
    """The databases of this process, and those of them that no test uses now."""

    all: list[str] = field(default_factory=list)
    idle: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
async def made(cluster: PostgresCluster) -> AsyncIterator[Made]:
    """Dropped at the end: the server may be another process's."""
    made = Made()
    yield made
    for name in made.all:
        await cluster.drop_database(name)


@pytest.fixture
async def database(
    request: pytest.FixtureRequest, cluster: PostgresCluster, made: Made
) -> AsyncIterator[Database]:
    """A database for this test alone, with whatever an earlier test has left in it."""
    if not made.idle:
        name = f"examples_{uuid.uuid4().hex}"
        await cluster.create_database(name)
        made.all.append(name)
        made.idle.append(name)
    name = made.idle.pop()
    url = cluster.url(name)
    yield Database(owner=url, order=url, billing=url, notification=url)
    # What a failed test has started may go on in its database.
    if passed(request):
        made.idle.append(name)
