"""What a run of the tests tells: the lane, failures by name, the slowest, and what an interruption has left."""

import asyncio
import os
import select
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.rules import PROJECT
from tests.commands import PYTEST
from tests.evidence import BOUND_S, seen

TESTS = """
import os

def test_one():
    pass

def test_two():
    assert False

def test_three():
    if os.environ.get("INTERRUPT"):
        raise KeyboardInterrupt

def test_four():
    pass
"""


# A program of the stack, which a test has started when Ctrl-C comes.
WAITING = """
import asyncio, os, pathlib, sys
from stack.processes import Child, Command

async def test_that_waits():
    here = pathlib.Path(os.environ["HERE"])
    argv = [sys.executable, "-c", "import signal; signal.pause()"]
    child = Child("program", Command(argv, {}, here), here / "program.log")
    await child.start()
    draft = here / "draft"
    draft.write_text(str(child.pid), encoding="utf-8")
    draft.rename(here / "pid")
    await asyncio.Event().wait()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four tests of their own, of which the second fails."""
    (tmp_path / "test_four_of_them.py").write_text(TESTS, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    return tmp_path


def run(folder: Path, *options: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*PYTEST, "-p", "tests.progress", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT), **environ},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "workers"])
def test_a_run(folder: Path, workers: tuple[str, ...]) -> None:
    """The lane stands at the beginning; a failure is named; all tests are counted, once each."""
    ended = run(folder, "--lane", "Four tests: a second.", *workers)
    assert ended.returncode == 1
    assert "Four tests: a second." in ended.stdout
    assert "FAILED test_four_of_them.py::test_two (call)" in ended.stdout
    assert "1 failed, 3 passed" in ended.stdout
    assert "The run before took" not in ended.stdout
    again = run(folder, "--lane", "Four tests: a second.", *workers)
    assert "Four tests: a second. The run before took 0:" in again.stdout


def test_an_interrupted_run(folder: Path) -> None:
    """What failed and what was not run is counted, and `--last-failed` runs just these."""
    ended = run(folder, INTERRUPT="1")
    assert ended.returncode == pytest.ExitCode.INTERRUPTED
    assert "Interrupted: 3 tests failed or were not run." in ended.stdout
    assert "pytest --last-failed" in ended.stdout
    again = run(folder, "--last-failed")
    assert "1 failed, 2 passed" in again.stdout


async def test_ctrl_c_leaves_no_process(tmp_path: Path) -> None:
    """As at a terminal, it reaches every process of the run: workers and what they have started end, and the run says how to go on."""
    (tmp_path / "test_waiting.py").write_text(WAITING, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n", encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *(*PYTEST, "-p", "tests.progress", "-n", "2"),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "HERE": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        # The tests themselves may have been started to ignore the signal.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )

    async def started() -> bool:
        return (tmp_path / "pid").exists()

    await seen(started, "the test has started its program")
    program = os.pidfd_open(int((tmp_path / "pid").read_text(encoding="utf-8")))
    os.killpg(process.pid, signal.SIGINT)
    async with asyncio.timeout(BOUND_S):
        output, _ = await process.communicate()
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output.decode()
    assert b"Interrupted: 1 tests failed or were not run. Only these: " in output
    assert b"pytest -n 2 --last-failed" in output
    ended: Any = await asyncio.to_thread(select.select, [program], [], [], BOUND_S)
    os.close(program)
    assert ended
