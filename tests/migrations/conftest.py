"""A database without any schema of ours."""

import uuid
from collections.abc import AsyncIterator

import pytest

from stack.postgres import PostgresCluster


@pytest.fixture
async def empty(cluster: PostgresCluster) -> AsyncIterator[str]:
    """Its URL, for the owner of the cluster."""
    name = f"empty_{uuid.uuid4().hex}"
    await cluster.create_database(name)
    yield cluster.url(name)
    await cluster.drop_database(name)
