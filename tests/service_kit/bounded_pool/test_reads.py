"""Reads that give up or wait in vain leave nothing behind: no place in the queue, no slot, no connection."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from service_kit.bounded_pool import BoundedPool, DatabaseTrouble, ReadsFull, pool
from tests.evidence import BOUND_S, seen
from tests.service_kit.bounded_pool.conftest import Open
from tests.service_kit.http_guard.connection import next_turn

# A third of three connections is for reads, and so many more reads may wait for it.
SIZE_MAX = 3
WAITING_MAX = 32


async def read(opened: BoundedPool) -> int:
    async with opened.reads.connection() as connection:
        one: int = await connection.fetchval("SELECT 1")
        return one


async def cancelled(*reads: asyncio.Task[int]) -> None:
    for each in reads:
        each.cancel()
    await asyncio.wait(reads)
    assert all(each.cancelled() for each in reads)


async def several_turns() -> None:
    """More than a read needs to be refused, when the pause before a refusal is nothing."""
    for _ in range(10):
        await next_turn()


@pytest.mark.parametrize(("size_max", "slots"), [(1, 1), (2, 1), (3, 1), (5, 1), (6, 2)])
async def test_the_share_of_reads(open_pool: Open, size_max: int, slots: int) -> None:
    """A third of the connections, without what is left over; never none."""
    async with open_pool(size_max=size_max) as opened, AsyncExitStack() as reading:
        for _ in range(slots):
            assert not opened.reads._slots.locked()  # type: ignore[attr-defined]
            await reading.enter_async_context(opened.reads.connection())
        assert opened.reads._slots.locked()  # type: ignore[attr-defined]


async def test_reads_that_give_up_in_the_queue(
    open_pool: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many others may wait in their place, again and again."""
    monkeypatch.setattr(pool, "_REFUSAL_PAUSE_S", 0)
    async with open_pool(size_max=SIZE_MAX, deadline_s=BOUND_S) as opened:
        async with opened.reads.connection():
            for _ in range(3):
                queue = [asyncio.create_task(read(opened)) for _ in range(WAITING_MAX)]
                await several_turns()
                assert not any(each.done() for each in queue)
                with pytest.raises(ReadsFull):
                    await read(opened)
                await cancelled(*queue)
            queue = [asyncio.create_task(read(opened)) for _ in range(WAITING_MAX)]
            await several_turns()
        assert await asyncio.gather(*queue) == [1] * WAITING_MAX


@asynccontextmanager
async def waits_for_a_connection(opened: BoundedPool, _: Any) -> AsyncIterator[asyncio.Task[int]]:
    """It has its slot, and every connection is in use by a write."""
    raw: Any = opened._pool
    held = [await raw.acquire() for _ in range(SIZE_MAX)]
    yield asyncio.create_task(read(opened))
    for each in held:
        await raw.release(each)


@asynccontextmanager
async def waits_for_an_answer(opened: BoundedPool, owner: Any) -> AsyncIterator[asyncio.Task[int]]:
    """Its statement runs in Postgres."""

    async def sleep() -> int:
        async with opened.reads.connection() as connection:
            await connection.execute(
                "SET client_connection_check_interval = 10; SELECT pg_sleep(600) -- given up"
            )
        raise AssertionError("it was given up")

    reading = asyncio.create_task(sleep())
    runs = (
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        " AND query LIKE '%' || 'given up')"
    )
    await seen(lambda: owner.fetchval(runs), "the statement runs")
    yield reading


Waits = Callable[[BoundedPool, Any], AbstractAsyncContextManager[asyncio.Task[int]]]


@pytest.mark.parametrize("waits", [waits_for_a_connection, waits_for_an_answer])
async def test_a_read_that_gives_up_in_its_slot(open_pool: Open, owner: Any, waits: Waits) -> None:
    """The only slot is free again for the next read."""
    async with open_pool(size_max=SIZE_MAX, deadline_s=BOUND_S) as opened:
        async with waits(opened, owner) as reading:
            await several_turns()
            # It has the slot, or this would not be a test of it.
            assert opened.reads._slots.locked()  # type: ignore[attr-defined]
            await cancelled(reading)
        assert await read(opened) == 1


async def test_a_read_that_finds_no_slot_ends_at_its_deadline(open_pool: Open) -> None:
    """The wait for a slot is a part of its time, and its place in the queue is free again."""
    async with open_pool(size_max=SIZE_MAX, deadline_s=0.1) as opened:
        reads: Any = opened.reads
        # In use by something that has no deadline.
        await reads._slots.acquire()
        async with asyncio.timeout(BOUND_S):
            with pytest.raises(DatabaseTrouble, match="TimeoutError"):
                await read(opened)
        assert reads._waiting == 0


async def test_a_read_that_finds_no_connection_ends_at_its_deadline(
    open_pool: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same when writes have all connections."""
    async with open_pool(size_max=SIZE_MAX, deadline_s=4 * BOUND_S) as opened:
        reads: Any = opened.reads
        # Connecting has the deadline of the pool.
        monkeypatch.setattr(reads, "_deadline_s", 0.1)
        async with waits_for_a_connection(opened, None) as reading:
            async with asyncio.timeout(BOUND_S):
                with pytest.raises(DatabaseTrouble, match="TimeoutError"):
                    await reading
        assert not reads._slots.locked()
