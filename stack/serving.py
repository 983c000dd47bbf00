"""Serves until a signal stops the command, or a part of the stack cannot be kept running.

Guarantee: it returns on a signal that stops a command; SIGUSR1 makes the stack fail over and serve on; the failure of a part
is raised.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterable

from stack import interruption
from stack.waiting import first_of


async def until_stopped(
    failures: Callable[[], Iterable["asyncio.Future[None]"]],
    fail_over: Callable[[], Awaitable[None]],
) -> None:
    """`failures` are those of the parts that run now, which a failover changes. Raises `StackError`."""
    stopped, told_to_fail_over = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in interruption.signals():
        loop.add_signal_handler(number, stopped.set)
    loop.add_signal_handler(signal.SIGUSR1, told_to_fail_over.set)
    while not stopped.is_set():
        told = [asyncio.create_task(event.wait()) for event in (stopped, told_to_fail_over)]
        try:
            await first_of([*told, *failures()])
        finally:
            for each in told:
                each.cancel()
        if told_to_fail_over.is_set():
            told_to_fail_over.clear()
            await fail_over()
