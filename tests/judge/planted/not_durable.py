"""The bug: what was answered is in the memory of the system alone: a start finds the state of the first start."""

import shutil
import sys
from pathlib import Path

from tests.judge.planted.right import pay
from tests.judge.planted.server import serve


def forget() -> None:
    """The database as it was when nothing had been paid."""
    file = Path(sys.argv[2])
    empty = file.with_suffix(".empty")
    for beside in (Path(f"{file}-wal"), Path(f"{file}-shm")):
        beside.unlink(missing_ok=True)
    if empty.exists():
        shutil.copy(empty, file)
    else:
        file.touch()
        shutil.copy(file, empty)


if __name__ == "__main__":
    forget()
    serve(pay)
