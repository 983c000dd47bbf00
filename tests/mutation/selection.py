"""Which mutants of all are played: a seeded sample of each package, what a change touches, or those of an earlier run.

Guarantee: the same tree, the same seed and the same number give the same mutants.
"""

import random
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.mutant import PYTHON, SCHEMA, STATEMENT, Mutant
from tests.mutation.net import PRODUCTS
from tests.mutation.python_mutants import python_mutants
from tests.mutation.sql_mutants import statement_mutants

MIGRATIONS = "migrations"
_HUNK = re.compile(r"^@@ -\S+ \+(\d+)(?:,(\d+))? @@")


class SelectionError(Exception):
    """What was asked for cannot be found; the message is for the person who asked."""


@dataclass(frozen=True)
class Changed:
    """The lines that a change added or touched, by file; files without such lines are left out."""

    lines: dict[str, frozenset[int]]

    def has(self, mutant: Mutant) -> bool:
        """Whether the change touches it. Any change of a migration touches the whole schema."""
        if mutant.kind == SCHEMA:
            return any(path.startswith(MIGRATIONS + "/") for path in self.lines)
        return mutant.line in self.lines.get(mutant.path, frozenset())


def in_files(project: Path, prefixes: Sequence[str]) -> list[Mutant]:
    """All mutants of the Python files below these paths, SQL statements in them included. Raises `SelectionError`."""
    paths = [
        str(path.relative_to(project))
        for package in PRODUCTS
        for path in sorted((project / package).rglob("*.py"))
    ]
    for prefix in prefixes:
        if not any(_below(path, prefix) for path in [*paths, MIGRATIONS]):
            raise SelectionError(
                f"{prefix} is no package and no module of {', '.join((*PRODUCTS, MIGRATIONS))}."
            )
    found: list[Mutant] = []
    for path in paths:
        if not prefixes or any(_below(path, prefix) for prefix in prefixes):
            source = (project / path).read_text(encoding="utf-8")
            found += [*python_mutants(path, source), *statement_mutants(path, source)]
    return found


def sampled(mutants: Iterable[Mutant], size: int | None, seed: int) -> list[Mutant]:
    """Of the mutants of Python at most `size` of each package, chosen by the seed; of SQL all."""
    groups: dict[str, list[Mutant]] = {}
    chosen = []
    for mutant in mutants:
        if mutant.kind == PYTHON:
            groups.setdefault(mutant.path.partition("/")[0], []).append(mutant)
        else:
            chosen.append(mutant)
    for name, members in sorted(groups.items()):
        ordered = sorted(members, key=lambda each: each.id)
        if size is not None and size < len(ordered):
            # Not for secrecy: the same seed has to give the same sample.
            ordered = random.Random(f"{seed} {name}").sample(ordered, size)
        chosen += ordered
    return chosen


def changed(project: Path, base: str) -> Changed:
    """What differs between the point where this tree left `base` and the working tree. Raises `SelectionError`."""
    start = _git(project, "merge-base", base, "HEAD").strip()
    lines: dict[str, set[int]] = {}
    path = ""
    for line in _git(project, "diff", "--unified=0", "--no-color", start).splitlines():
        if line.startswith("+++ "):
            path = line.removeprefix("+++ ").removeprefix("b/")
        hunk = _HUNK.match(line)
        if hunk:
            first, count = int(hunk[1]), int(hunk[2] or 1)
            lines.setdefault(path, set()).update(range(first, first + count))
    for path in _git(project, "ls-files", "--others", "--exclude-standard").splitlines():
        if path.endswith(".py"):
            text = (project / path).read_text(encoding="utf-8")
            lines[path] = set(range(1, text.count("\n") + 2))
    return Changed({path: frozenset(numbers) for path, numbers in lines.items() if numbers})


def wants_schema(prefixes: Sequence[str]) -> bool:
    """Whether the mutants of the schema are among what was asked for."""
    return not prefixes or any(_below(MIGRATIONS, prefix) for prefix in prefixes)


def statements_of(mutants: Iterable[Mutant]) -> list[Mutant]:
    """Those of SQL."""
    return [mutant for mutant in mutants if mutant.kind in (STATEMENT, SCHEMA)]


def _below(path: str, prefix: str) -> bool:
    prefix = prefix.rstrip("/")
    return path == prefix or path.startswith(prefix + "/")


def _git(project: Path, *arguments: str) -> str:
    ended = subprocess.run(
        ["git", *arguments],  # noqa: S607 - the person's Git
        cwd=project,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    if ended.returncode != 0:
        raise SelectionError(f"git {arguments[0]} failed: {ended.stderr.strip()}.")
    return ended.stdout
