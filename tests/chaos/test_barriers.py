"""The barrier before a second attempt, where nothing is wrapped: a trigger in a database that is not the harness's own."""

from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from chaos.harness.barriers import hold_retry

LEFT = """SELECT
    (SELECT count(*) FROM pg_proc WHERE proname = 'hold_retry')
    + (SELECT count(*) FROM pg_trigger WHERE tgname = 'hold_retry')
    + (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 471147)"""


@pytest.mark.parametrize("released", [False, True], ids=["breaks off", "to its end"])
async def test_nothing_of_it_is_left(database: Any, released: bool) -> None:
    """However the scenario ends: the next one can hold a retry again."""

    async def connect() -> Any:
        return await asyncpg.connect(database.owner)

    owner = await connect()
    placed: Any = SimpleNamespace(account="alice")
    try:
        for _ in range(2):
            context: Any = SimpleNamespace(
                harness=SimpleNamespace(wrapped=False),
                database=SimpleNamespace(connect=connect),
                cleanups=[],
            )
            barrier = await hold_retry(context, placed)
            assert await owner.fetchval(LEFT) == 3
            assert not await barrier.reached()
            if released:
                await barrier.release()
            for undo in reversed(context.cleanups):
                await undo()
            assert await owner.fetchval(LEFT) == 0
    finally:
        await owner.close()
