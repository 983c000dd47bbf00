"""`make clean`: removes data, results and caches. Needs nothing but the standard library.

Guarantee: nothing is removed while a stack runs in the run directory or beneath it; the one sentence names its process.
"""

from stack import early_signals

if __name__ == "__main__":
    early_signals.end_at_once()

import shutil
import sys
from pathlib import Path

from stack import interruption, run_directory
from stack.processes import StackError

_CACHES = (".hypothesis", ".pytest_cache", ".mypy_cache", ".ruff_cache")


def main(project: Path) -> int:
    """Returns the exit code."""
    try:
        clean(project)
    except StackError as exc:
        sys.stderr.write(f"clean: {exc}\n")
        return interruption.UNKNOWN
    return 0


def clean(project: Path) -> None:
    """Removes them. Raises `StackError` when a stack runs, or when a file belongs to another user."""
    run_dir = project / ".run"
    for directory, pid in run_directory.users(run_dir):
        raise StackError(f"a stack runs in {directory} (process {pid}); stop it first.")
    try:
        if run_dir.exists():
            # A stack that is started meanwhile waits for the lock, and finds that the file is not the one it has locked.
            with run_directory.held(run_dir):
                shutil.rmtree(run_dir)
        for name in _CACHES:
            if (project / name).exists():
                shutil.rmtree(project / name)
    except OSError as exc:
        raise StackError(f"{exc.filename} cannot be removed: {exc.strerror}.") from exc


if __name__ == "__main__":
    interruption.exit_with(lambda: main(Path(__file__).resolve().parent.parent))
