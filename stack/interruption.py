"""How a command ends early: by Ctrl-C, SIGTERM, a hang-up, a closed pipe, or a defect of its own.

Guarantee: a signal never shows a traceback, whenever it comes; under nohup a hang-up changes nothing; a crash of the
command has exit code 2, because 1 says that a promise was broken.
"""

import asyncio
import os
import signal
import sys
import traceback
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")

# 128 + SIGINT, as shells write it.
INTERRUPTED = 130
# The command could not do its work.
UNKNOWN = 2


def signals() -> tuple[signal.Signals, ...]:
    """Those that stop a command; SIGHUP is one unless the start asked to ignore it, as nohup does."""
    ignores_hangup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM, *(() if ignores_hangup else (signal.SIGHUP,)))


async def until_signalled(command: Coroutine[Any, Any, T]) -> T:
    """Runs a command; a signal, wherever it strikes, ends it in order, and a second one does not disturb that."""
    running = asyncio.ensure_future(command)
    loop = asyncio.get_running_loop()
    signalled = False

    def stop() -> None:
        nonlocal signalled
        if not signalled:
            signalled = True
            running.cancel()

    for number in signals():
        loop.add_signal_handler(number, stop)
    return await running


def exit_with(main: Callable[[], int]) -> NoReturn:
    """Runs a command line to its end and exits with its code."""
    try:
        code = main()
        sys.stdout.flush()
    except (KeyboardInterrupt, asyncio.CancelledError):
        # The event loop gives Ctrl-C back to Python when it closes.
        code = INTERRUPTED
    except BrokenPipeError:
        # The reader of the output has gone. What is still in the buffer must not fail again at the very end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = UNKNOWN
    except Exception:  # noqa: BLE001 - shown, and never taken for a broken promise
        traceback.print_exc()
        sys.stderr.write("This is a defect of the command, and no verdict.\n")
        raise SystemExit(UNKNOWN) from None
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(code)
