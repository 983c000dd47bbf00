"""The three services as processes of their own; and no connection of a test outlives it."""

import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stack.postgres import PostgresCluster
from tests.service_kit.http_guard import connection
from tests.service_kit.http_guard.server import Server, running


@pytest.fixture(autouse=True)
async def closed() -> AsyncIterator[None]:
    """Closes what the test has opened."""
    yield
    while connection.opened:
        await connection.opened.pop().close()


@pytest.fixture(scope="module", params=["order_service", "billing_service", "notification_service"])
async def service(
    request: pytest.FixtureRequest,
    cluster: PostgresCluster,
    template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Server]:
    """Each of the three, on a database of its own."""
    directory: Path = tmp_path_factory.mktemp("http_guard")
    database = f"test_{uuid.uuid4().hex}"
    await cluster.create_database(database, template)
    async with running(
        f"{request.param}.app:create", directory, environ(cluster, database), options=()
    ) as server:
        yield server
    await cluster.drop_database(database)


def environ(cluster: PostgresCluster, database: str) -> dict[str, str]:
    """The settings of all three."""
    tokens = json.dumps({"order_service": "token-of-order_service"})
    return {
        "ORDER_DATABASE_URL": cluster.url(database, "order_service", "o"),
        "ORDER_BILLING_URL": "http://127.0.0.1:9",
        "ORDER_BILLING_TOKEN": "token-of-order_service",
        "ORDER_NOTIFICATION_URL": "http://127.0.0.1:9",
        "ORDER_NOTIFICATION_TOKEN": "token-for-notification",
        "BILLING_DATABASE_URL": cluster.url(database, "billing_service", "b"),
        "BILLING_TOKENS": tokens,
        "NOTIFICATION_DATABASE_URL": cluster.url(database, "notification_service", "n"),
        "NOTIFICATION_TOKENS": tokens,
    }
