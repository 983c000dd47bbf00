"""docs/guarantees.md: each guarantee with the tests that fail when it is broken, made by `make docs`.

Guarantee: a guarantee on the page stands word for word in its module or in docs/protocol.md, and none is without a test.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.architecture import guarantees
from tests.architecture.guarantees import Tests
from tests.architecture.rules import KIT, PROJECT, SERVICES, Sources, package, sources

PAGE = PROJECT / "docs" / "guarantees.md"
PROTOCOL = PROJECT / "docs" / "protocol.md"
# What a person relies on, in the order in which they meet it. A bench measures, and tests are what is named here.
PARTS = (*SERVICES, KIT, "examples", "migrations", "stack", "chaos", "lab", "report")
# Its rows name their tests themselves; tests/architecture/test_documents.py follows them.
_NAMES_ITS_TESTS = "Requirements of draft"
_ITEM = re.compile(r"(?:\d+\.|-) ")


@dataclass(frozen=True)
class Row:
    """One promise of docs/protocol.md: the heading above it, and a row of a table or an item of a list."""

    heading: str
    text: str


@dataclass(frozen=True)
class Registry:
    """Which tests show which guarantee."""

    modules: Mapping[str, Tests]
    protocol: Mapping[str, Mapping[str, Tests]]

    @property
    def without_a_test(self) -> list[str]:
        """Modules and rows, by the names under which they are registered."""
        rows = [
            f"{heading}: {key}"
            for heading, keys in self.protocol.items()
            for key, tests in keys.items()
            if not tests
        ]
        return [*(path for path, tests in self.modules.items() if not tests), *rows]

    @property
    def tests(self) -> set[str]:
        """All that are named."""
        named = [*self.modules.values()]
        named += [tests for keys in self.protocol.values() for tests in keys.values()]
        return {test for tests in named for test in tests}


REGISTRY = Registry(guarantees.MODULES, guarantees.PROTOCOL)


def main() -> None:
    """Writes the page."""
    protocol = PROTOCOL.read_text(encoding="utf-8")
    PAGE.write_text(page(sources(), protocol, REGISTRY), encoding="utf-8")


def page(files: Sources, protocol: str, registry: Registry) -> str:
    """The whole page."""
    stated = guarantees_of(files)
    rows = rows_of(protocol)
    lines = [
        "# Guarantees",
        "",
        "Each guarantee of a module's docstring and each row of [the protocol](protocol.md), with the tests that fail when it",
        "is broken. `make docs` makes this page from the docstrings and `tests/architecture/guarantees.py`, and",
        "`tests/architecture/test_guarantees.py` checks that nothing is missing and that every test exists. Do not edit it.",
        "",
        f"{len(stated) + len(rows)} guarantees.",
        "",
        "`make test-all` runs all tests but those of `tests/browser`; what needs Docker is tried by `make compose-test`.",
    ]
    for part in PARTS:
        lines += ["", f"## {part}", "", "| module | guarantee | tests |", "|---|---|---|"]
        lines += [
            f"| `{path}` | {_cell(text)} | {_tests(registry.modules.get(path, ()))} |"
            for path, text in stated.items()
            if package(path) == part
        ]
    lines += ["", "## docs/protocol.md"]
    for heading in dict.fromkeys(row.heading for row in rows):
        lines += ["", f"### {heading}", "", "| row | tests |", "|---|---|"]
        keys = registry.protocol.get(heading, {})
        for row in rows:
            if row.heading == heading:
                tests = [test for key in keys if key in row.text for test in keys[key]]
                lines.append(f"| {_row(row.text)} | {_tests(tests)} |")
    return "\n".join(lines) + "\n"


def guarantees_of(files: Sources) -> dict[str, str]:
    """The paragraph of each module that begins with "Guarantee:", without this word, by the module's path."""
    return {
        path: " ".join(paragraph.removeprefix("Guarantee:").split())
        for path, source in files.items()
        if package(path) in PARTS
        for paragraph in (ast.get_docstring(ast.parse(source)) or "").split("\n\n")
        if paragraph.startswith("Guarantee:")
    }


def rows_of(protocol: str) -> list[Row]:
    """Rows of tables and items of lists, in their order."""
    rows: list[Row] = []
    heading, above = "", ""
    for line in protocol.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif heading.startswith(_NAMES_ITS_TESTS):
            continue
        elif (line.startswith("| ") and above.startswith("|")) or _ITEM.match(line):
            rows.append(Row(heading, line))
        elif line.startswith("  ") and above and rows:
            rows[-1] = Row(heading, f"{rows[-1].text} {line.strip()}")
        above = line
    return rows


def offences(files: Sources, protocol: str, registry: Registry) -> list[str]:
    """What the registry lacks, and what it names that is not there."""
    return [
        *_offences_of_modules(set(guarantees_of(files)), set(registry.modules)),
        *_offences_of_rows(rows_of(protocol), registry),
        *(f"{name} has no test" for name in registry.without_a_test),
        *(f"{test} does not exist" for test in sorted(registry.tests - _existing(files))),
    ]


def _offences_of_modules(stated: set[str], registered: set[str]) -> Iterator[str]:
    for path in sorted(stated - registered):
        yield f"{path} gives a guarantee and is not registered"
    for path in sorted(registered - stated):
        yield f"{path} is registered and gives no guarantee"


def _offences_of_rows(rows: list[Row], registry: Registry) -> Iterator[str]:
    for row in rows:
        keys = [key for key in registry.protocol.get(row.heading, {}) if key in row.text]
        if len(keys) != 1:
            yield f"{row.heading}: {row.text} is registered {len(keys)} times"
    for heading, keys_of_heading in registry.protocol.items():
        for key in keys_of_heading:
            if not any(row.heading == heading and key in row.text for row in rows):
                yield f"{heading}: no row has {key}"


def _existing(files: Sources) -> set[str]:
    return {
        f"{path}::{node.name}"
        for path, source in files.items()
        if package(path) == "tests" and path.rpartition("/")[2].startswith("test_")
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    }


def _tests(tests: Tests | list[str]) -> str:
    return "<br>".join(f"`{test}`" for test in tests)


def _row(text: str) -> str:
    cells = [cell.strip() for cell in _ITEM.sub("", text, count=1).strip("| ").split(" | ")]
    return _cell(" · ".join(filter(None, cells)).replace("](#", "](protocol.md#"))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    main()
