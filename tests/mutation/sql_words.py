"""SQL text in words with their positions and depths: as much as the rules need, and no parser.

Guarantee: joined again, the words and what lies between them are the text; text in quotes and comments is one word.
"""

import re
from dataclasses import dataclass

_WORD = re.compile(
    r"--[^\n]*|'(?:[^']|'')*'|\$\w*\$|[A-Za-z_][\w$.]*|\$\d+|\d+(?:\.\d+)?|::|<>|<=|>=|!=|:=|=>|\|\||\{[^{}]*\}|[^\sA-Za-z0-9]"
)


@dataclass(frozen=True)
class Word:
    """`depth` counts the parentheses around it; an opening and its closing one lie at the depth outside of them."""

    text: str
    start: int
    end: int
    depth: int

    @property
    def upper(self) -> str:
        """For comparison with a keyword."""
        return self.text.upper()


def words(sql: str) -> list[Word]:
    """Of a statement or of the body of a function."""
    found: list[Word] = []
    depth = 0
    for match in _WORD.finditer(sql):
        text = match.group()
        if text.startswith("--"):
            continue
        if text == ")":
            depth -= 1
        found.append(Word(text, match.start(), match.end(), depth))
        if text == "(":
            depth += 1
    return found


def looks_like_sql(text: str) -> bool:
    """Whether a literal holds a statement: it begins with the verb of one and goes on as one."""
    return _STATEMENT.match(text) is not None


_STATEMENT = re.compile(
    r"\s*(SELECT\s|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s|UPDATE\s+\S+\s*$|DELETE\s+FROM\s|WITH\s+\w+\s+AS\s|LOCK\s+TABLE\s|MERGE\s+INTO\s|BEGIN\b|SET\s+(LOCAL\s+)?\w+)",
)
