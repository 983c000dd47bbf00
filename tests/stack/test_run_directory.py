"""Whether a stack uses a run directory, and what a killed stack has left in it."""

import fcntl
import os
from pathlib import Path
from typing import IO

import pytest

from stack.processes import StackError
from stack.run_directory import held, is_left_over, user, users


def test_one_stack_at_a_time(tmp_path: Path) -> None:
    """The second one is told which process is in the way; when the first is gone, it may."""
    assert user(tmp_path) is None
    with held(tmp_path):
        assert user(tmp_path) == str(os.getpid())
        with (
            pytest.raises(StackError, match=rf"runs already in .* \(process {os.getpid()}\)"),
            held(tmp_path),
        ):
            pass
    assert user(tmp_path) is None
    with held(tmp_path):
        pass


def test_a_description_that_is_left_over(tmp_path: Path) -> None:
    """It counts while a stack runs in its directory; the next start removes it. A copy elsewhere is never left over."""
    description = tmp_path / "stack.json"
    with held(tmp_path):
        description.write_text("{}", encoding="utf-8")
        assert not is_left_over(description)
    assert is_left_over(description)
    with held(tmp_path):
        assert not description.exists()
    copy = tmp_path / "elsewhere" / "stack.json"
    copy.parent.mkdir()
    copy.write_text("{}", encoding="utf-8")
    assert not is_left_over(copy)


def test_stacks_beneath_a_directory(tmp_path: Path) -> None:
    """Chaos runs have directories of their own in it, and soaks have stacks in those."""
    with held(tmp_path), held(tmp_path / "run-1"), held(tmp_path / "soak-1" / "stack-1"):
        pass
    assert list(users(tmp_path)) == []
    for directory in (tmp_path, tmp_path / "run-1", tmp_path / "soak-1" / "stack-1"):
        with held(directory):
            assert list(users(tmp_path)) == [(directory, str(os.getpid()))]


def test_a_lock_that_was_deleted_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make clean` between the opening of the file and its lock: the lock that is held is the one that others see."""
    flock = fcntl.flock
    deleted: list[bool] = []

    def clean_first(file: IO[str], operation: int) -> None:
        if not deleted:
            (tmp_path / "lock").unlink()
            deleted.append(True)
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", clean_first)
    with held(tmp_path):
        assert user(tmp_path) == str(os.getpid())


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """One sentence."""
    (tmp_path / "file").touch()
    with (
        pytest.raises(StackError, match=r"cannot be written: Not a directory\."),
        held(tmp_path / "file" / "run"),
    ):
        pass
