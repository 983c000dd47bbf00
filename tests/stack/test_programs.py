"""Programs that are run to their end leave nothing behind when the caller is interrupted."""

import asyncio
import os
import select
from contextlib import suppress
from pathlib import Path

import pytest

from stack.environ import of_child
from stack.programs import alone, run_to_end

BOUND_S = 120.0


async def test_an_interrupted_program(tmp_path: Path) -> None:
    """It is killed, and so is what it has started."""
    told = tmp_path / "told"
    os.mkfifo(told)
    script = f"sleep 1000 & echo $$ $! > {told}; wait"
    running = asyncio.create_task(run_to_end(["/bin/sh", "-c", script], of_child()))
    pids = (await asyncio.to_thread(told.read_text, encoding="utf-8")).split()
    assert len(pids) == 2
    handles = [os.pidfd_open(int(pid)) for pid in pids]
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    for handle in handles:
        assert (await asyncio.to_thread(select.select, [handle], [], [], BOUND_S))[0]
        os.close(handle)


async def test_what_a_program_says() -> None:
    """Its exit code, its output and its errors, together or apart."""
    argv = ["/bin/sh", "-c", "echo out; echo error >&2; exit 3"]
    together = await run_to_end(argv, of_child())
    assert (together.return_code, together.output) == (3, "out\nerror\n")
    assert together.end(1) == "error"
    apart = await run_to_end(argv, of_child(), errors_apart=True)
    assert (apart.output, apart.errors) == ("out\n", "error\n")


async def test_one_at_a_time(tmp_path: Path) -> None:
    """The second one says that it waits, can be interrupted while it does, and gets its turn otherwise."""
    lock = tmp_path / "lock"
    waits = asyncio.Event()

    async def second() -> str:
        async with alone(lock, waits.set):
            return "done"

    async with asyncio.timeout(BOUND_S):
        async with alone(lock, waits.set):
            assert not waits.is_set()
            interrupted = asyncio.create_task(second())
            await waits.wait()
            interrupted.cancel()
            with pytest.raises(asyncio.CancelledError):
                await interrupted
            patient = asyncio.create_task(second())
        assert await patient == "done"
