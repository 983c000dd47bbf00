"""What a stack does while it starts."""

import asyncio
import gc
import json
import sys
from functools import partial
from pathlib import Path

import pytest

from stack import targets
from stack.embedded import Stack
from stack.processes import Child, Command, StackError
from stack.readiness import or_failure
from stack.waiting import until

BOUND_S = 120.0


async def test_an_interruption_ends_the_request_for_readiness(tmp_path: Path) -> None:
    """Ctrl-C while a service starts: the request that waits for it ends, so that its failure is not reported."""
    asking, ended = asyncio.Event(), asyncio.Event()

    async def request() -> None:
        asking.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    child = Child("child", Command([sys.executable], {}, tmp_path), tmp_path / "child.log")
    waiting = asyncio.create_task(or_failure(child, request()))
    async with asyncio.timeout(60):
        await asking.wait()
        waiting.cancel()
        await ended.wait()


async def given_up(tmp_path: Path) -> str:
    """What is said of a service that gives up in the moment in which a request to it fails. Keeps no reference to either."""
    child = Child("child", Command([sys.executable], {}, tmp_path), tmp_path / "child.log")

    async def request() -> None:
        child.failure.set_exception(StackError("it gave up"))
        raise ConnectionResetError

    try:
        await or_failure(child, request())
    except StackError as exc:
        return str(exc)
    return "nothing"


async def test_a_request_that_fails_with_its_service_is_not_reported(tmp_path: Path) -> None:
    """The service's failure is what is said; a task whose exception was never retrieved would be reported when it is collected."""
    reported: list[str] = []
    loop = asyncio.get_running_loop()
    handler = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: reported.append(context["message"]))
    try:
        said = await given_up(tmp_path)
        gc.collect()
    finally:
        loop.set_exception_handler(handler)
    assert (said, reported) == ("it gave up", [])


@pytest.mark.chaos
async def test_the_description_is_true_as_long_as_it_is_there(tmp_path: Path) -> None:
    """It comes when the accounts can be read, follows every restart, and is gone when the stack is."""
    path = tmp_path / "stack.json"
    there_too_early: list[bool] = []

    class Watched(Stack):
        async def _open_accounts(self) -> None:
            # A process may die and be started again before the stack is up.
            self._write_description()
            await super()._open_accounts()
            there_too_early.append(path.exists())

    async with Watched(tmp_path, usual_ports=False) as stack:
        assert there_too_early == [False]
        (billing,) = stack.children("billing_service")
        for child in (stack.postgres.child, stack.toxiproxy_child, billing):
            before = child.pid
            # Postgres by its own immediate shutdown: kill -9 would leave processes in the way of the next start.
            await (stack.postgres.crash() if child is stack.postgres.child else child.crash())
            await child.running_after(1)
            assert child.pid != before
            # One after the other: the restart of one must not make up for another's.
            await until(partial(_tells, path, child), BOUND_S, f"{child.name} is in stack.json")
        assert (tmp_path / targets.FILE).exists()
    asked = tmp_path / targets.FILE
    assert not path.exists()
    assert not asked.exists()
    # Nor while it is being stopped.
    stack._write_description()
    assert not path.exists()
    assert not asked.exists()


async def _tells(path: Path, child: Child) -> bool:
    """Whether stack.json has the process that runs now."""
    described = json.loads(path.read_text(encoding="utf-8"))
    return child.pid in [row["pid"] for row in described["processes"]]
