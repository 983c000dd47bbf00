"""`pytest --judge`: one test for each case, in a project that knows nothing of this one."""

import os
import sys
from pathlib import Path

import pytest

from stack.programs import run_to_end
from tests.judge.conftest import PROJECT, planted

# Played against this receiver, and what is said of it.
CASES = {"busy": ("twins", "too busy for every concurrent request")}


@pytest.mark.parametrize(
    ("receiver", "code", "told"),
    [
        ("right", 0, "3 passed"),
        ("payload_not_compared", 1, "1 failed, 2 passed"),
        ("busy", 1, "1 failed, 1 passed"),
    ],
)
async def test_one_test_for_each_case(tmp_path: Path, receiver: str, code: int, told: str) -> None:
    """The calibration and the cases; a failure shows the sentence and the requests, and no traceback. What is unknown has failed."""
    only, says = CASES.get(receiver, ("replay,other-payload", "as if it had been executed"))
    (tmp_path / "judge.toml").write_text(planted(receiver, tmp_path), encoding="utf-8")
    argv = [
        sys.executable,
        "-P",
        "-m",
        "pytest",
        "-p",
        "judge.pytest_plugin",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:schemathesis",
        "-q",
    ]
    argv += ["--judge", "judge.toml", "--judge-only", only]
    # The tested project has a package that is called like one of the judge's own.
    (tmp_path / "report.py").write_text(
        "raise RuntimeError('of the tested project')\n", encoding="utf-8"
    )
    ended = await run_to_end(argv, {**os.environ, "PYTHONPATH": str(PROJECT)}, tmp_path)
    assert ended.return_code == code, ended.output
    assert told in ended.output
    assert (says in ended.output) is (code == 1)
    assert "Traceback" not in ended.output


async def test_a_judge_that_cannot_work_fails_every_test(tmp_path: Path) -> None:
    """The sentence is in each."""
    argv = [
        sys.executable,
        "-P",
        "-m",
        "pytest",
        "-p",
        "judge.pytest_plugin",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:schemathesis",
        "-q",
    ]
    argv += ["--judge", "missing.toml", "--judge-only", "replay"]
    ended = await run_to_end(argv, {**os.environ, "PYTHONPATH": str(PROJECT)}, tmp_path)
    assert ended.return_code == 1
    assert "there is no file" in ended.output
    assert "2 failed" in ended.output
