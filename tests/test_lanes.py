"""The lanes: what is listed exists, and a test that is in no list is in `make quick`."""

import os
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stack.schema import PROJECT
from tests import lanes
from tests.chaos.parts import PARTS
from tests.chaos.planted import BUGS
from tests.commands import PYTEST


@pytest.mark.parametrize(
    "prefix", sorted({*lanes.SLOW, *lanes.ALONE, *lanes.LONG, *lanes.ELSEWHERE.values()})
)
def test_what_is_listed_exists(prefix: str) -> None:
    """A test that is renamed does not leave its lane."""
    path, _, name = prefix.partition("::")
    assert (PROJECT / path).exists()
    if name:
        assert f"def {name}(" in (PROJECT / path).read_text(encoding="utf-8")


def test_the_sample_has_the_bug_that_fewest_promises_catch() -> None:
    """A bug that several promises catch may be caught by another one than the one that it is to try."""
    many = next(bug for bug in BUGS if len(bug.promises) > 1)
    for promise in many.promises:
        alone = next((bug for bug in BUGS if bug.promises == {promise}), None)
        if alone is not None:
            assert alone in lanes.sample([many, alone])
    assert lanes.sample([many]) == [many]


def test_modules_that_share_the_wrapped_stack() -> None:
    """Every module whose tests share it is played with a part of the catalogue, so that no further process starts one."""
    using = {
        str(path.relative_to(PROJECT))
        for path in (PROJECT / "tests").rglob("test_*.py")
        if re.search(r"async def test_[^)]*\bharness: Harness", path.read_text(encoding="utf-8"))
    }
    assert using == {lanes.CATALOGUE, *lanes.WITH_PART}
    assert set(lanes.WITH_PART.values()) <= set(range(PARTS))


def test_modules_that_share_the_lab() -> None:
    """Every module whose tests share it is played by the worker that has it."""
    using = {
        str(path.relative_to(PROJECT))
        for path in (PROJECT / "tests").rglob("test_*.py")
        if re.search(r"\b(one_)?lab: RunningLab", path.read_text(encoding="utf-8"))
    }
    others = {path for path in using if path.startswith("tests/browser/")} | {"tests/test_lanes.py"}
    assert using - others == set(lanes.WITH_LAB)


CURL, LEDGER = "tests/stack/test_curl.py::test_it", "tests/lab/test_play.py::test_it"
HISTORY = "tests/lab/test_history.py::test_it"


@pytest.mark.parametrize(
    ("this", "following", "over"),
    [
        (CURL, None, False),
        (CURL, ("tests/chaos/test_reads.py::test_it", []), False),
        (CURL, ("tests/chaos/test_kill.py::test_it", ["harness"]), False),
        (CURL, ("tests/chaos/test_kill.py::test_it", []), True),
        (CURL, (HISTORY, ["one_lab"]), True),
        (LEDGER, ("tests/lab/test_life.py::test_it", []), False),
        (LEDGER, (HISTORY, ["database"]), True),
    ],
)
def test_the_end_of_what_computes_while_it_waits(
    this: str, following: tuple[str, list[str]] | None, over: bool
) -> None:
    """It ends when the next test neither uses it nor belongs to the same part, and never without a next one."""
    fixture = "harness" if this == CURL else "one_lab"
    after: Any = following and SimpleNamespace(nodeid=following[0], fixturenames=following[1])
    assert lanes.is_over(fixture, SimpleNamespace(nodeid=this), after) == over  # type: ignore[arg-type]


def test_markers(request: pytest.FixtureRequest) -> None:
    """This test is in every lane."""
    markers = {marker.name for marker in request.node.iter_markers()}
    assert not markers & {"chaos", "slow", "mutants"}


def test_what_a_lane_does_not_read() -> None:
    """Files and folders that are listed as a whole; a file of which one test is listed is read."""
    quick = "not chaos and not slow and not mutants"
    for path, left_out in (
        ("tests/architecture", True),
        ("tests/architecture/test_rules.py", True),
        ("tests/test_making.py", True),
        ("tests/test_lanes.py", False),
        ("tests/examples/test_receiver.py", False),
        ("tests", False),
    ):
        assert lanes.leaves_out(quick, PROJECT / path) == left_out
        assert not lanes.leaves_out("not mutants", PROJECT / path)


WHO_PLAYS = """
import os, pathlib, pytest

@pytest.mark.parametrize("turn", ["1", "a::b", "3", "4", "5"])
def test_it(turn):
    with pathlib.Path(__file__).with_suffix(".workers").open("a") as file:
        file.write(os.environ["PYTEST_XDIST_WORKER"] + "\\n")
"""


def test_one_worker_plays_a_module(tmp_path: Path) -> None:
    """What the fixtures of a module have started serves all of its tests, whatever their parameters are called."""
    for name in ("test_one.py", "test_other.py"):
        (tmp_path / name).write_text(WHO_PLAYS, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nmarkers =\n  chaos\n  slow\n  timeout\n", encoding="utf-8"
    )
    played = subprocess.run(
        [*PYTEST, "-q", "-n", "2", "-p", "tests.conftest", str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert played.returncode == 0, played.stdout
    workers = [file.read_text(encoding="utf-8").split() for file in tmp_path.glob("*.workers")]
    assert sorted((len(names), len(set(names))) for names in workers) == [(5, 1), (5, 1)]
    assert workers[0] != workers[1]
