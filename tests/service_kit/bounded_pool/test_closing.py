"""A pool that is closed waits for what is in use, but not for ever."""

import asyncio
from typing import Any

import pytest

from service_kit.bounded_pool import BoundedPool
from tests.evidence import BOUND_S, seen
from tests.service_kit.bounded_pool.conftest import APPLICATION
from tests.service_kit.http_guard.connection import next_turn

GONE = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)"


async def opened(database: Any) -> BoundedPool:
    pool = BoundedPool(
        database.billing,
        application=APPLICATION,
        size_max=2,
        deadline_s=BOUND_S,
        lock_timeout_s=5,
        idle_in_transaction_timeout_s=5,
    )
    await pool.open()
    return pool


async def test_a_connection_that_never_ends_is_cut_off(
    database: Any, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the deadline its socket is closed, so neither the process nor Postgres keeps its session."""
    pool = await opened(database)
    raw: Any = pool._pool
    # In use by something that has no deadline.
    held = await raw.acquire()
    # Only now, because connecting has the deadline of the pool.
    monkeypatch.setattr(pool, "_deadline_s", 0.1)
    pid = held.get_server_pid()
    assert not await owner.fetchval(GONE, pid)
    async with asyncio.timeout(BOUND_S):
        await pool.close()
    await seen(lambda: owner.fetchval(GONE, pid), "the session ends")


async def test_a_connection_that_ends_in_time_is_not_cut_off(database: Any) -> None:
    """The control: what is begun when the pool is closed has its answer."""
    pool = await opened(database)
    async with pool.connection() as connection:
        closing = asyncio.create_task(pool.close())
        for _ in range(10):
            await next_turn()
        assert not closing.done()
        assert await connection.fetchval("SELECT 1") == 1
    await closing
