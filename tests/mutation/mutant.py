"""One mutant: a file of the product with one small change, or one statement that changes the schema.

Guarantee: a mutant's identity is what it changes and inside which function, not the number of a line. It stays the same
when lines above it come and go.
"""

import difflib
import hashlib
from dataclasses import dataclass

PYTHON = "python"
STATEMENT = "statement"
SCHEMA = "schema"


@dataclass(frozen=True)
class Mutant:
    """`start` and `end` are positions in the file's text, in characters; `replacement` is what stands there instead.

    A mutant of the schema has an empty replacement; `apply_sql` changes a migrated database, `undo_sql` what a
    database alone does not hold (roles belong to the whole cluster).
    """

    kind: str
    path: str
    # The function or the class around the change; of a mutant of the schema the object that it changes.
    scope: str
    # The first line of the change, from 1.
    line: int
    rule: str
    start: int = 0
    end: int = 0
    replacement: str = ""
    removed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    apply_sql: str = ""
    undo_sql: str = ""
    # Among mutants that change the same text in the same function to the same text.
    occurrence: int = 0

    @property
    def key(self) -> tuple[str, str, tuple[str, ...], tuple[str, ...]]:
        """What it changes: by this an entry in the list of equivalents names it."""
        return self.path, self.scope, self.removed, self.added

    @property
    def id(self) -> str:
        """Short, and the same in every run."""
        text = repr((self.kind, *self.key, self.occurrence))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def module(self) -> str:
        """The row of the table that counts it."""
        return self.path

    def source(self, original: str) -> str:
        """The text of the mutated file."""
        return original[: self.start] + self.replacement + original[self.end :]

    def diff(self) -> str:
        """For a person: where it is, and the lines that differ."""
        lines = [f"{self.path}:{self.line} in {self.scope} ({self.rule})"]
        lines += [f"- {line}" for line in self.removed]
        lines += [f"+ {line}" for line in self.added]
        return "\n".join(lines)


def changed_lines(original: str, mutated: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The lines that differ, without the white space around them: those that go, and those that come."""
    before, after = original.splitlines(), mutated.splitlines()
    removed: list[str] = []
    added: list[str] = []
    for tag, one, two, three, four in difflib.SequenceMatcher(
        None, before, after, autojunk=False
    ).get_opcodes():
        if tag != "equal":
            removed += [line.strip() for line in before[one:two]]
            added += [line.strip() for line in after[three:four]]
    return tuple(removed), tuple(added)


def around(source: str, start: int, end: int, replacement: str) -> tuple[str, str]:
    """The whole lines that a change touches, before and after: what has to be compared of a long file."""
    first = source.rfind("\n", 0, start) + 1
    last = source.find("\n", end)
    last = len(source) if last < 0 else last
    return source[first:last], source[first:start] + replacement + source[end:last]
