"""The mutants of the statements that stand in Python files as literals.

Guarantee: a mutant changes the inside of one literal; what Python makes of the rest of the file stays the same.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator

from tests.mutation.mutant import STATEMENT, Mutant, around, changed_lines
from tests.mutation.sql_rules import changes
from tests.mutation.sql_words import looks_like_sql

_OPENING = re.compile(r"""[a-zA-Z]*(?P<quotes>\"{3}|'{3}|"|')""")


def statement_mutants(path: str, source: str) -> Iterator[Mutant]:
    """All of a file, in the order of its lines."""
    seen: Counter[object] = Counter()
    for scope, start, end in _literals(source):
        literal = source[start:end]
        for change in changes(literal):
            first, last = start + change.start, start + change.end
            whole = source[:first] + change.text + source[last:]
            try:
                ast.parse(whole)
            except SyntaxError:
                continue
            removed, added = changed_lines(*around(source, first, last, change.text))
            key = (scope, removed, added)
            yield Mutant(
                STATEMENT,
                path,
                scope,
                source.count("\n", 0, first) + 1,
                change.rule,
                first,
                last,
                change.text,
                removed,
                added,
                occurrence=seen[key],
            )
            seen[key] += 1


def _literals(source: str) -> Iterator[tuple[str, int, int]]:
    """Scope, start and end, in characters, of each literal that holds SQL, without its quotes."""
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))

    def place(line: int, column_bytes: int) -> int:
        return starts[line - 1] + len(lines[line - 1].encode()[:column_bytes].decode())

    def visit(node: ast.AST, scope: str) -> Iterator[tuple[str, int, int]]:
        for child in ast.iter_child_nodes(node):
            inner = scope
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inner = f"{scope}.{child.name}".removeprefix("<module>.")
            text = _text(child)
            if text is not None and looks_like_sql(text):
                assert isinstance(child, ast.expr)
                assert child.end_lineno is not None
                assert child.end_col_offset is not None
                first = place(child.lineno, child.col_offset)
                last = place(child.end_lineno, child.end_col_offset)
                opening = _OPENING.match(source, first)
                assert opening is not None
                yield scope, opening.end(), last - len(opening["quotes"])
            else:
                yield from visit(child, inner)

    yield from visit(ast.parse(source), "<module>")


def _text(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
        return "".join(str(part) for part in parts)
    return None
