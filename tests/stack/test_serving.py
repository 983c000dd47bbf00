"""What ends the serving of a stack."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from stack import interruption
from stack.processes import StackError
from stack.serving import until_stopped


async def no_failover() -> None:
    raise AssertionError("it was told to fail over")


@pytest.fixture
async def handled() -> AsyncIterator[None]:
    """Gives the signals back to the process of the tests."""
    names = (*interruption.signals(), signal.SIGUSR1)
    before = {number: signal.getsignal(number) for number in names}
    yield
    for number, handler in before.items():
        asyncio.get_running_loop().remove_signal_handler(number)
        signal.signal(number, handler)


class Parts:
    """What is served; it is looked at when the signals are handled."""

    def __init__(self) -> None:
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.served = asyncio.Event()

    def failures(self) -> list["asyncio.Future[None]"]:
        self.served.set()
        return [self.failure]


@pytest.mark.usefixtures("handled")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_it(number: signal.Signals) -> None:
    """Ctrl-C, and what a supervisor sends; a closed terminal stops the stack of another test."""
    parts = Parts()
    serving = asyncio.create_task(until_stopped(parts.failures, no_failover))
    await parts.served.wait()
    assert not serving.done()
    os.kill(os.getpid(), number)
    async with asyncio.timeout(60):
        await serving


@pytest.mark.usefixtures("handled")
async def test_a_failed_part_ends_it() -> None:
    """With the sentence of that part."""
    parts = Parts()
    serving = asyncio.create_task(until_stopped(parts.failures, no_failover))
    await parts.served.wait()
    parts.failure.set_exception(StackError("Postgres died five times in a minute"))
    with pytest.raises(StackError, match="five times"):
        await serving
