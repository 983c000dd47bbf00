"""Which tests execute which lines: measured once for each file of tests, kept, and measured again when it may have changed.

Guarantee: an entry is used only as long as its file of tests and every file whose lines its tests execute are what they were
when it was measured. A test that failed without any mutant is not part of the net.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Whose lines are measured. Tests and what they share count as files that a test depends on.
PRODUCTS = (
    "order_service",
    "billing_service",
    "notification_service",
    "service_kit",
    "examples",
)
SOURCES = (*PRODUCTS, "migrations", "tests")
# They test the documents, the programs around the services, or this tool, and execute no line of a service for its own sake.
_OTHER_TESTS = (
    # Hundreds of steps of chance take longer than all tests that one mutant may have.
    "tests/billing_service/test_model.py",
    "tests/architecture/",
    "tests/bench/",
    "tests/browser/",
    "tests/chaos/",
    "tests/compose/",
    "tests/deploy/",
    "tests/judge/",
    "tests/lab/",
    "tests/mutation/",
    "tests/report/",
    "tests/stack/",
    "tests/test_databases.py",
    "tests/test_making.py",
    "tests/test_progress.py",
)
# They look at all modules of the products, and take a few seconds together: the pages and contracts compare what the
# services say of themselves with what is written down, the others look at names and classes.
_OF_ALL_MODULES = (
    "tests/architecture/test_contracts.py",
    "tests/architecture/test_public_names.py",
    "tests/architecture/test_settings_page.py",
    "tests/architecture/test_values.py",
)


@dataclass(frozen=True)
class Test:
    """One test with its parameters: what it takes without a mutant, and the lines of each file that it executes."""

    id: str
    seconds: float
    database: bool
    lines: Mapping[str, frozenset[int]]

    @property
    def file(self) -> str:
        """The file that it is in."""
        return self.id.partition("::")[0]

    @property
    def function(self) -> str:
        """Without its parameters."""
        return self.id.partition("[")[0]


@dataclass
class Net:
    """All tests that passed, and where each line is executed."""

    tests: dict[str, Test] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    # Lines that are executed while modules are imported and tests collected, by file.
    imported: dict[str, set[int]] = field(default_factory=dict)
    _of_line: dict[tuple[str, int], set[str]] = field(default_factory=dict)
    _of_file: dict[str, set[str]] = field(default_factory=dict)

    def add(self, measured: Mapping[str, Any]) -> None:
        """The tests of one file."""
        for path, numbers in measured.get("imported", {}).items():
            self.imported.setdefault(path, set()).update(numbers)
        for name, entry in measured["tests"].items():
            if not entry["passed"]:
                self.refused.append(name)
            if not entry["passed"] or not entry["called"]:
                continue
            lines = {
                path: frozenset(numbers)
                for path, numbers in entry["lines"].items()
                if path.startswith(PRODUCTS)
            }
            self.tests[name] = Test(name, entry["seconds"], entry["database"], lines)
            for path, numbers in lines.items():
                self._of_file.setdefault(path, set()).add(name)
                for number in numbers:
                    self._of_line.setdefault((path, number), set()).add(name)

    def executing(self, path: str, numbers: Iterable[int]) -> set[str]:
        """The tests that execute at least one of these lines."""
        return set().union(*(self._of_line.get((path, number), set()) for number in numbers))

    def executing_file(self, path: str) -> set[str]:
        """The tests that execute any line of the file after it was imported."""
        return self._of_file.get(path, set())


def files_of_tests(project: Path, prefixes: Sequence[str] = ()) -> list[str]:
    """Those whose tests can be part of the net; of these only what begins with one of the prefixes, if there are any."""
    found = (str(path.relative_to(project)) for path in (project / "tests").rglob("test_*.py"))
    return sorted(
        path
        for path in found
        if path in _OF_ALL_MODULES
        or (not path.startswith(_OTHER_TESTS) and path.startswith(tuple(prefixes) or "tests/"))
        if (project / path).exists()
    )


class Cache:
    """What was measured, in one file of JSON for each file of tests."""

    def __init__(self, project: Path, folder: Path) -> None:
        self._project = project
        self._folder = folder
        self._digests: dict[str, str] = {}

    def read(self, file: str) -> dict[str, Any] | None:
        """What was measured of it; None when it has to be measured again."""
        try:
            entry: dict[str, Any] = json.loads(self._place(file).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if any(self._digest(path) != digest for path, digest in entry["digests"].items()):
            return None
        if not all(test["passed"] for test in entry["tests"].values()):
            return None
        return entry

    def write(self, file: str, measured: dict[str, Any]) -> None:
        """Keeps it, with the digests of all files that it rests on."""
        paths = {file, *_support(self._project, file)}
        for test in measured["tests"].values():
            paths |= set(test["lines"])
        digests = {path: self._digest(path) for path in sorted(paths)}
        self._folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"digests": digests, **measured})
        self._place(file).write_text(text, encoding="utf-8")

    def _place(self, file: str) -> Path:
        return self._folder / (file.replace("/", "--") + ".json")

    def _digest(self, path: str) -> str:
        if path not in self._digests:
            try:
                data = (self._project / path).read_bytes()
            except OSError:
                data = b""
            self._digests[path] = hashlib.sha256(data).hexdigest()[:16]
        return self._digests[path]


def _support(project: Path, file: str) -> list[str]:
    """The conftest.py files above a file of tests, and the migrations, whose lines no test executes in its own process."""
    folders = Path(file).parents
    found = [str(folder / "conftest.py") for folder in folders]
    migrations = (project / "migrations" / "versions").glob("*.py")
    return [
        *(path for path in found if (project / path).exists()),
        *(str(path.relative_to(project)) for path in migrations),
    ]
