"""Short commands of judge.toml, run by the shell to their end.

Guarantee: a command that does not end in time is killed with all that it started in its group.
"""

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_OUTPUT_BYTES_MAX = 1_000_000


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    return_code: int
    output: str
    errors: str


async def run_bounded(
    command: str, folder: Path, environ: Mapping[str, str], timeout_s: float
) -> Ended | None:
    """Runs a command; None when it did not end in time."""
    process = await asyncio.create_subprocess_shell(
        command,
        cwd=folder,
        env=dict(environ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(timeout_s):
            output, errors = await process.communicate()
    except TimeoutError:
        return None
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    return Ended(
        process.returncode or 0,
        output[:_OUTPUT_BYTES_MAX].decode(errors="replace"),
        errors[:_OUTPUT_BYTES_MAX].decode(errors="replace"),
    )
