"""No connection outlives its test."""

from collections.abc import AsyncIterator

import pytest

from tests.http_guard import connection


@pytest.fixture(autouse=True)
async def closed() -> AsyncIterator[None]:
    """Closes what the test has opened."""
    yield
    while connection.opened:
        await connection.opened.pop().close()
