"""The three services as processes of their own; and no connection of a test outlives it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.databases import Database
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
    database_of_module: Database,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Server]:
    """Each of the three, as its documents say: a plain `uvicorn` without a flag of the guard."""
    directory: Path = tmp_path_factory.mktemp("http_guard")
    factory = f"{request.param}.app:create"
    async with running(factory, directory, environ(database_of_module), options=()) as server:
        yield server


def environ(database: Database) -> dict[str, str]:
    """The settings of all three."""
    tokens = json.dumps({"order_service": "token-of-order_service"})
    return {
        "ORDER_DATABASE_URL": database.order,
        "ORDER_BILLING_URL": "http://127.0.0.1:9",
        "ORDER_BILLING_TOKEN": "token-of-order_service",
        "ORDER_NOTIFICATION_URL": "http://127.0.0.1:9",
        "ORDER_NOTIFICATION_TOKEN": "token-for-notification",
        "BILLING_DATABASE_URL": database.billing,
        "BILLING_TOKENS": tokens,
        "NOTIFICATION_DATABASE_URL": database.notification,
        "NOTIFICATION_TOKENS": tokens,
    }
