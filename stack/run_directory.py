"""A run directory: whether a stack uses it, and what stack.json says of the stack in it.

Guarantee: one stack at a time; it is known whether one runs, even after its process was killed; stack.json is there only
while the stack can be used.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from stack import targets
from stack.processes import StackError

DESCRIPTION = "stack.json"
_LOCK = "lock"
# A command that only looks whether a stack runs holds the lock for less than a millisecond.
_TRIES = 5
_PAUSE_S = 0.05


@contextmanager
def held(run_dir: Path) -> Iterator[None]:
    """Uses a run directory, which is made when it is missing. Raises `StackError` when a stack runs in it already."""
    _make(run_dir)
    with _locked(run_dir):
        # Of a stack whose process was killed: it describes nothing that runs.
        (run_dir / DESCRIPTION).unlink(missing_ok=True)
        targets.forget(run_dir)
        yield


def user(run_dir: Path) -> str | None:
    """The process id of the stack that runs in a directory; None when there is none."""
    try:
        file = (run_dir / _LOCK).open(encoding="utf-8")
    except OSError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return file.read().strip() or "unknown"
    return None


def is_left_over(description: Path) -> bool:
    """Whether a stack.json stands in a run directory in which no stack runs any more."""
    lock = description.with_name(_LOCK)
    return description.name == DESCRIPTION and lock.exists() and user(description.parent) is None


def users(run_dir: Path) -> Iterator[tuple[Path, str]]:
    """All stacks that run in a directory or beneath it: chaos runs and soaks make directories of their own there."""
    for pattern in (_LOCK, f"*/{_LOCK}", f"*/*/{_LOCK}"):
        for lock in sorted(run_dir.glob(pattern)):
            if (pid := user(lock.parent)) is not None:
                yield lock.parent, pid


def _make(run_dir: Path) -> None:
    try:
        (run_dir / "logs").mkdir(parents=True, exist_ok=True)
        probe = run_dir / "logs" / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as exc:
        raise StackError(f"{run_dir} cannot be written: {exc.strerror}.") from exc


@contextmanager
def _locked(run_dir: Path) -> Iterator[None]:
    with _lock(run_dir) as file:
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _lock(run_dir: Path) -> IO[str]:
    path = run_dir / _LOCK
    for last in (*[False] * (_TRIES - 1), True):
        file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
            # `make clean` has deleted it between the opening and the lock.
            file.close()
        except BlockingIOError as exc:
            file.seek(0)
            pid = file.read().strip() or "unknown"
            file.close()
            if last:
                raise StackError(
                    f"a stack runs already in {run_dir} (process {pid}); stop it first."
                ) from exc
            time.sleep(_PAUSE_S)
    raise StackError(f"{path} is deleted again and again.")
