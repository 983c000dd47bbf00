"""What a stack does while it starts."""

import asyncio
import gc
import sys
from pathlib import Path

from chaos.processes import Child, Command, StackError
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


async def test_a_request_that_fails_with_its_service_is_told_to_nobody(tmp_path: Path) -> None:
    """The service gives up in the same moment: its failure is what is said, and nothing of the request beside it."""
    reported: list[str] = []
    loop = asyncio.get_running_loop()
    handler = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: reported.append(context["message"]))

    async def request() -> None:
        child.failure.set_exception(StackError("it gave up"))
        raise ConnectionResetError

    child = Child("child", Command([sys.executable], {}, tmp_path), tmp_path / "child.log")
    said = ""
    try:
        # Not pytest.raises: it keeps the frame, and with it the request whose end is looked for.
        try:
            await Stack(tmp_path)._or_failure(child, request())
        except StackError as exc:
            said = str(exc)
        gc.collect()
    finally:
        loop.set_exception_handler(handler)
    assert (said, reported) == ("it gave up", [])
