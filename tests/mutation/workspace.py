"""A copy of the working tree for one worker; mutants are written into it, never into the tree.

Guarantee: after `restore` the copy is the tree again; a module that was compiled from a mutant is never loaded for another
file, because no two texts of a file have the same time of change.
"""

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What Git does not know and programs of the stack need: those that were built once.
_LINKED = (".cache", ".venv")


class Workspace:
    """The copy in `folder`, made of what Git knows in `project` and of new files that it does not ignore."""

    def __init__(self, project: Path, folder: Path) -> None:
        self.folder = folder
        self._times_s = itertools.count(int(os.stat(project).st_mtime) + 1_000_000)
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - the person's Git
            cwd=project,
            check=True,
            capture_output=True,
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            source = project / name
            if source.is_file() and not source.is_symlink():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, folder / name)
        for name in _LINKED:
            if (project / name).exists() and not (folder / name).exists():
                (folder / name).symlink_to((project / name).resolve())

    @contextmanager
    def with_text(self, path: str, text: str) -> Iterator[None]:
        """For the time of the block, a file has another text."""
        original = (self.folder / path).read_text(encoding="utf-8")
        self._write(path, text)
        try:
            yield
        finally:
            self._write(path, original)

    def _write(self, path: str, text: str) -> None:
        (self.folder / path).write_text(text, encoding="utf-8")
        time_s = next(self._times_s)
        os.utime(self.folder / path, (time_s, time_s))
