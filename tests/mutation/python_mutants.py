"""The mutants of a Python file: the operators of mutmut, and three of our own that it lacks.

mutmut itself leaves out decorated functions, classes and the code of a module, because it keeps all mutants of a file in one
module. Here each mutant is a file of its own, so that every line takes part. Left out are what types and people read:
annotations, docstrings, log lines, and texts with a space in them that are not SQL (SQL has rules of its own).

Guarantee: every mutant compiles, and differs from the original.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import libcst as cst
import libcst.matchers as m
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper
from mutmut.mutation.mutators import mutation_operators

from tests.mutation.mutant import PYTHON, Mutant, around, changed_lines

_LOGGERS = m.Name("log") | m.Name("logger")
# An alias of a type: `Answer = Callable[[], bool]`. Nothing that runs reads it.
_ALIAS = m.Assign(value=m.Subscript() | m.BinaryOperation(operator=m.BitOr())) | m.Assign(
    value=m.Call(func=m.Name("TypeVar"))
)
_FIELD_NAME = re.compile(
    r"""b?["']([A-Z][A-Za-z]*(-[A-Z][a-z]+)+|[Aa]uthorization|Accept|Allow|Connection|Link|Location)["']$"""
)
_CODEC_NAME = re.compile(r"""["'](ascii|latin-1|utf-8)["']$""", re.IGNORECASE)
_LAYOUT = re.compile(r"[\s()]")
_LOG_CALL = m.Call(func=m.Attribute(value=_LOGGERS))
# They read or change no state; a mutant of theirs is one of its own arguments.
_UNCHANGED_CALLS = {"len", "isinstance"}


def operator_condition(node: cst.If | cst.While) -> Iterable[cst.CSTNode]:
    """`if x` becomes `if not x`: mutmut changes only operators inside of a condition."""
    if m.matches(node.test, m.UnaryOperation(operator=m.Not())):
        return
    test = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    yield cst.UnaryOperation(operator=cst.Not(), expression=test)


def operator_return(node: cst.Return) -> Iterable[cst.CSTNode]:
    """`return x` becomes `return None`."""
    if node.value is not None and not m.matches(node.value, m.Name("None")):
        yield cst.Name("None")


def operator_statement(node: cst.Expr) -> Iterable[cst.CSTNode]:
    """A call for its effect alone is left out."""
    if m.matches(node.value, m.Call() | m.Await()) and not m.matches(node.value, _LOG_CALL):
        yield cst.Pass()


class _Visitor(cst.CSTVisitor):
    """Collects for each node its span in bytes, its scope, and what takes its place."""

    METADATA_DEPENDENCIES = (ByteSpanPositionProvider,)

    def __init__(self, module: cst.Module) -> None:
        self.found: list[tuple[int, int, str, str, str]] = []
        self._module = module
        self._source = module.bytes
        self._scopes: list[str] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if _left_out(node) or (not self._scopes and m.matches(node, _ALIAS)):
            return False
        if isinstance(node, cst.FunctionDef | cst.ClassDef):
            self._scopes.append(node.name.value)
        for kind, operator in mutation_operators:
            if isinstance(node, kind) and not _is_text_for_people(node):
                for mutated in operator(node):
                    if not _is_same_name(node, mutated):
                        self._add(node, mutated, operator.__name__)
        if isinstance(node, cst.If | cst.While):
            for mutated in operator_condition(node):
                self._add(node.test, mutated, "operator_condition")
        if isinstance(node, cst.Return) and node.value is not None:
            for mutated in operator_return(node):
                self._add(node.value, mutated, "operator_return")
        if isinstance(node, cst.Expr):
            for mutated in operator_statement(node):
                self._add(node, mutated, "operator_statement")
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if isinstance(original_node, cst.FunctionDef | cst.ClassDef) and not _left_out(
            original_node
        ):
            self._scopes.pop()

    def _add(self, node: cst.CSTNode, mutated: cst.CSTNode, rule: str) -> None:
        span = self.get_metadata(ByteSpanPositionProvider, node, None)
        if span is None:
            return
        start, end = span.start, span.start + span.length
        if isinstance(mutated, cst.Match):
            # Its lines have the indentation of their place, which only the whole module knows.
            whole = self._module.deep_replace(node, mutated)
            assert isinstance(whole, cst.Module)
            text, start, end = whole.code, 0, len(self._source)
        else:
            text = self._module.code_for_node(_bare(node, mutated)).strip()
        self.found.append((start, end, text, ".".join(self._scopes) or "<module>", rule))


def _bare(node: cst.CSTNode, mutated: cst.CSTNode) -> cst.CSTNode:
    """Without the parentheses of the node itself, which lie outside of its span."""
    outer: Any = getattr(node, "lpar", ())
    if outer and getattr(mutated, "lpar", ()) == outer:
        return mutated.with_changes(lpar=(), rpar=())
    return mutated


def _left_out(node: cst.CSTNode) -> bool:
    if isinstance(node, cst.Annotation | cst.Import | cst.ImportFrom):
        return True
    if m.matches(node, _LOG_CALL) or m.matches(node, m.Assign(targets=[m.AssignTarget(_LOGGERS)])):
        return True
    if m.matches(node, m.If(test=m.Name("TYPE_CHECKING"))):
        return True
    # A docstring, and any other text that stands alone.
    if m.matches(node, m.Expr(value=m.SimpleString() | m.ConcatenatedString())):
        return True
    return (
        isinstance(node, cst.Call)
        and isinstance(node.func, cst.Name)
        and node.func.value in _UNCHANGED_CALLS
    )


def _is_text_for_people(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.SimpleString) and " " in node.value


def _is_same_name(node: cst.CSTNode, mutated: cst.CSTNode) -> bool:
    """In capitals, a name of an HTTP field is the same name (RFC 9110, section 5.1), and so is that of a codec."""
    if not isinstance(node, cst.SimpleString) or not isinstance(mutated, cst.SimpleString):
        return False
    without_case = _FIELD_NAME.match(node.value) or _CODEC_NAME.match(node.value)
    return bool(without_case) and node.value.lower() == mutated.value.lower()


def python_mutants(path: str, source: str) -> Iterator[Mutant]:
    """All of a file, in the order of its lines. `path` is the one from the root of the project."""
    module = cst.parse_module(source)
    wrapper = MetadataWrapper(module, unsafe_skip_copy=True)
    visitor = _Visitor(module)
    wrapper.visit(visitor)
    data = source.encode()
    statements = _statements(source)
    seen: Counter[object] = Counter()
    done: set[tuple[int, int, str]] = set()
    for first, last, text, scope, rule in sorted(visitor.found, key=lambda each: each[:2]):
        start, end = len(data[:first].decode()), len(data[:last].decode())
        if (start, end, text) in done:
            continue
        done.add((start, end, text))
        # The statement of the module around it is enough to see whether it compiles, and much shorter.
        head, tail = next(
            (span for span in statements if span[0] <= start and end <= span[1]), (0, len(source))
        )
        mutated = source[head:start] + text + source[end:tail]
        if _tight(mutated) == _tight(source[head:tail]) or not _compiles(mutated):
            continue
        removed, added = changed_lines(*around(source, start, end, text))
        line = source.count("\n", 0, start) + 1
        if (first, last) == (0, len(data)):
            line += _first_difference(source, text)
        key = (scope, removed, added)
        yield Mutant(
            PYTHON,
            path,
            scope,
            line,
            rule.removeprefix("operator_"),
            start,
            end,
            text,
            removed,
            added,
            occurrence=seen[key],
        )
        seen[key] += 1


def _statements(source: str) -> list[tuple[int, int]]:
    """Where each statement of the module begins and ends, in characters, decorators included."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    spans = []
    for statement in ast.parse(source).body:
        decorators = getattr(statement, "decorator_list", [])
        first = min([statement.lineno, *(each.lineno for each in decorators)])
        spans.append((starts[first - 1], starts[statement.end_lineno or first]))
    return spans


def _first_difference(one: str, two: str) -> int:
    pairs = enumerate(zip(one.splitlines(), two.splitlines(), strict=False))
    return next((number for number, (left, right) in pairs if left != right), 0)


def _tight(source: str) -> str:
    """The same for two sources that differ in white space and parentheses alone."""
    return _LAYOUT.sub("", source)


def _compiles(source: str) -> bool:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    return True
