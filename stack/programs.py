"""Programs that are run to their end: initdb, Alembic, go, pip, docker.

Guarantee: when the caller is interrupted, the program and all that it has started in its session are killed; and two
callers that want the same thing made do not make it at the same moment.
"""

import asyncio
import fcntl
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from stack.processes import die_with

_LOCK_PAUSE_S = 0.1
_PIPE_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Ended:
    """How a program ended, and what it said on standard output (and on standard error, unless that was apart)."""

    return_code: int
    output: str
    errors: str = ""

    def end(self, lines: int) -> str:
        """The last lines of what it said."""
        return "\n".join(self.output.rstrip().splitlines()[-lines:])


async def run_to_end(
    argv: Sequence[str],
    environ: Mapping[str, str],
    directory: Path | None = None,
    *,
    errors_apart: bool = False,
) -> Ended:
    """Runs a program without input. Raises `OSError` when there is no such program."""
    starting = asyncio.create_task(
        asyncio.create_subprocess_exec(
            *argv,
            env=dict(environ),
            cwd=directory,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE if errors_apart else asyncio.subprocess.STDOUT,
            # Its own session: Ctrl-C at the terminal reaches the parent alone, and the whole group can be killed.
            start_new_session=True,
            preexec_fn=die_with(os.getpid(), signal.SIGKILL),
        )
    )
    try:
        # A start that is interrupted is not given up half-way: what runs already would not be known.
        process = await asyncio.shield(starting)
        output, errors = await process.communicate()
    except asyncio.CancelledError:
        await _kill(await starting)
        raise
    return Ended(
        process.returncode or 0,
        output.decode(errors="replace"),
        (errors or b"").decode(errors="replace"),
    )


async def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    # To the end of its output, which comes with its end, unless it has given the pipe to another session.
    with suppress(TimeoutError):
        async with asyncio.timeout(_PIPE_TIMEOUT_S):
            await process.communicate()


@asynccontextmanager
async def alone(lock: Path, waits: Callable[[], None]) -> AsyncIterator[None]:
    """One at a time, among all processes; `waits` is called once when another one is first. Can be interrupted."""
    with lock.open("w", encoding="utf-8") as file:
        told = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told:
                    told = True
                    waits()
                await asyncio.sleep(_LOCK_PAUSE_S)
            else:
                break
        # The lock goes with the file, and so with the process.
        yield
