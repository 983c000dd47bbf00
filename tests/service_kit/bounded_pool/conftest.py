"""Pools on a database of the session's cluster, and a connection of the owner that inspects their sessions."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import asyncpg
import pytest

from service_kit.bounded_pool import BoundedPool

Open = Callable[..., AbstractAsyncContextManager[BoundedPool]]
APPLICATION = "pool under test"


@pytest.fixture
def open_pool(database: Any) -> Open:
    """Opens a pool as billing_service's role; each bound can be changed."""

    @asynccontextmanager
    async def opened(url: str = database.billing, **changes: Any) -> AsyncIterator[BoundedPool]:
        bounds = {
            "size_max": 2,
            "deadline_s": 10,
            "lock_timeout_s": 5,
            "idle_in_transaction_timeout_s": 5,
        }
        pool = BoundedPool(url, application=APPLICATION, **{**bounds, **changes})
        await pool.open()
        yield pool
        await pool.close()

    return opened


@pytest.fixture
async def owner(database: Any) -> AsyncIterator[Any]:
    """A connection that may do everything."""
    connection = await asyncpg.connect(database.owner)
    yield connection
    await connection.close()
