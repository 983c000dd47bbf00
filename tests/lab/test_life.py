"""How a lab starts and ends: a second one says where the first one is, Ctrl-C leaves nothing behind."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from stack.schema import PROJECT
from tests.lab.running import BOUND_S, RunningLab, running

pytestmark = pytest.mark.chaos


async def test_a_second_lab_says_what_runs(one_lab: RunningLab) -> None:
    """One sentence with the address of the first, exit code 2; the first one is not disturbed."""
    second = await asyncio.create_subprocess_exec(
        *(sys.executable, "-E", "-m", "lab", "--own-ports", "--run-dir", str(one_lab.run_dir)),
        cwd=PROJECT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(BOUND_S):
        _, errors = await second.communicate()
    assert second.returncode == 2
    assert errors.decode() == (
        f"lab: the lab runs already at {one_lab.url} (process {one_lab.process.pid}).\n"
    )
    await one_lab.quiet()
    assert (await one_lab.ordered("success"))["round"]["over"]


async def test_ctrl_c_in_the_middle_of_an_order(tmp_path: Path) -> None:
    """With messages held, a page open and a toxic armed it ends with 0, and no process of it is left."""
    async with running(tmp_path) as lab:
        pids = [process["pid"] for process in lab.description["processes"]]
        await lab.do("cut", on=True)
        await lab.do("step", on=True)
        stream = lab.events()
        assert (await anext(stream))[0] == "hello"
        lab.process.send_signal(2)
        async with asyncio.timeout(BOUND_S):
            assert await lab.process.wait() == 0
        await stream.aclose()
        assert [pid for pid in pids if _runs(pid)] == []
        assert not (tmp_path / "stack.json").exists()
        assert not (tmp_path / "lab.json").exists()


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
