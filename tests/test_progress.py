"""What a run of the tests tells: the lane, failures by name, the slowest, and what an interruption has left."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.rules import PROJECT

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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four tests of their own, of which the second fails."""
    (tmp_path / "test_four_of_them.py").write_text(TESTS, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    return tmp_path


def run(folder: Path, *options: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.progress", *options],
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


def test_an_interrupted_run(folder: Path) -> None:
    """What failed and what was not run is counted, and `--last-failed` runs just these."""
    ended = run(folder, INTERRUPT="1")
    assert ended.returncode == pytest.ExitCode.INTERRUPTED
    assert "Interrupted: 3 tests failed or were not run." in ended.stdout
    again = run(folder, "--last-failed")
    assert "1 failed, 2 passed" in again.stdout
