"""What a stack does while it starts."""

import asyncio
import sys
from pathlib import Path

from chaos.processes import Child, Command
from chaos.stack import Stack


async def test_whoever_is_interrupted_asks_no_more(tmp_path: Path) -> None:
    """Ctrl-C while a service starts: the request that waits for it ends, so that its failure is told to nobody."""
    asking, ended = asyncio.Event(), asyncio.Event()

    async def request() -> None:
        asking.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    child = Child("child", Command([sys.executable], {}, tmp_path), tmp_path / "child.log")
    waiting = asyncio.create_task(Stack(tmp_path)._or_failure(child, request()))
    async with asyncio.timeout(10):
        await asking.wait()
        waiting.cancel()
        await ended.wait()
