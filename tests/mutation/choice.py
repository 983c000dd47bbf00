"""Which tests are played against a mutant, and in which order.

Those that execute the mutated line; the cheap and special ones first, and of one test with many parameters one before all
others have had their turn (more of one that bears the module's name). What runs while a module is imported (constants, fields, decorators) is executed by every test that
imports it: there the tests are taken that execute a function which uses the name, or whose file mentions it.

Guarantee: the choice only leaves tests out, so a mutant that is reported as killed was killed by a test of the net.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.mutation.mutant import SCHEMA, Mutant
from tests.mutation.net import PRODUCTS, Net, Test

# What the tests of one mutant may take without a mutant, in all. It is what a survivor costs.
BUDGET_S = 20.0
# Of tests that take nearly no time; those that take longer are bounded by the budget.
_TESTS_MAX = 400
# So many parameters of a test that bears the module's name have their turns before other tests have a second one: one of them may be
# the one of a constant's parts. The first ones of each such test come before all other tests.
_OWN_AT_ONCE = 30
_OWN_FIRST = 5
# A test is preferred when it is beside the module, bears its name, or has killed another mutant of it.
_SAME_FOLDER = 0.5
_SAME_NAME = 0.3
_HAS_KILLED = 0.2
_NAMED = 0.1
_WRITTEN_DOWN = 0.01
_PAGES = "tests/architecture/"
# Each of them stands alone: what has the same name elsewhere is something else.
_EXAMPLES = "examples/"
# Words of SQL are shorter than the names of this schema.
_SHORT_NAME = 4


@dataclass(frozen=True)
class _Place:
    """The innermost statement around a line: its own lines, the names it binds, and the function around it."""

    lines: range
    names: frozenset[str]
    function: range | None
    at_import: bool


class Choice:
    """Chooses from one net for one state of the tree."""

    def __init__(self, project: Path, net: Net, budget_s: float = BUDGET_S) -> None:
        self._net = net
        self._budget_s = budget_s
        self._kills: Counter[tuple[str, str]] = Counter()
        # Read at once: the tree may change while a long run plays its copies.
        self._sources = {
            path: (project / path).read_text(encoding="utf-8")
            for path in (
                *_python_files(project, PRODUCTS),
                *{each.file for each in net.tests.values()},
            )
        }
        self._trees: dict[str, ast.Module] = {}

    def killed_by(self, mutant: Mutant, test: str) -> None:
        """What has killed one mutant of a file is played first against the next one."""
        self._kills[mutant.path + mutant.scope, test] += 1

    @property
    def files(self) -> list[str]:
        """The files of tests that can be chosen from."""
        return sorted({test.file for test in self._net.tests.values()})

    def at_import(self, mutant: Mutant) -> bool:
        """Whether importing modules executes the mutated statement."""
        if mutant.kind == SCHEMA:
            return False
        place = _place(self._tree(mutant.path), mutant.line)
        imported = self._net.imported.get(mutant.path, set())
        return place is None or place.at_import or not imported.isdisjoint(place.lines)

    def tests(self, mutant: Mutant) -> list[Test]:
        """In the order in which they are played; none when no test executes the line."""
        if mutant.kind == SCHEMA:
            return self._ordered(self._of_schema(mutant), mutant)
        near, far = self._of_line(mutant.path, mutant.line)
        return self._ordered(near, mutant, far - near)

    def _of_line(self, path: str, line: int) -> tuple[set[str], set[str]]:
        """Those that execute the line or what uses it; and those that only import it."""
        nothing: set[str] = set()
        place = _place(self._tree(path), line)
        if place is None:
            return self._net.executing_file(path), nothing
        if not place.at_import:
            executing = self._net.executing(path, place.lines)
            if self._net.imported.get(path, set()).isdisjoint(place.lines):
                return executing, nothing
            # A function that is called while its module is imported: what it returns is used elsewhere.
            return executing | self._pages, self._net.executing_file(path)
        if place.function is not None:
            # Decorators and defaults: what the service says of itself may follow from them.
            return self._net.executing(path, place.function) | self._pages, nothing
        users = self._using(place.names, path) | self._net.executing(path, place.lines)
        if path.startswith(_EXAMPLES):
            return users or self._net.executing_file(path), nothing
        mentioned = {
            test.id
            for test in self._net.tests.values()
            if place.names & self._words_of_tests.get(test.file, frozenset())
        }
        importing = {
            test.id for test in self._net.tests.values() if path in self._imports.get(test.file, ())
        }
        near = users | mentioned | self._pages
        return near, importing or self._net.executing_file(path)

    @cached_property
    def _pages(self) -> set[str]:
        """The tests that look at all modules."""
        return {name for name in self._net.tests if name.startswith(_PAGES)}

    def _using(self, names: frozenset[str], of: str = "") -> set[str]:
        """The tests that execute a function of the products in whose text one of the names stands; `of` is where they are bound."""
        found: set[str] = set()
        private = all(name.startswith("_") for name in names)
        for path, functions in self._functions.items():
            alone = path.startswith(_EXAMPLES) or of.startswith(_EXAMPLES) or private
            if of and path != of and alone:
                continue
            for lines, words in functions:
                if names & words:
                    found |= self._net.executing(path, lines)
        return found

    def _of_schema(self, mutant: Mutant) -> set[str]:
        name = re.split(r"[ (]", mutant.scope.removeprefix("FUNCTION "))[0].rpartition(".")[2]
        if "(" in mutant.scope:
            users = self._using_text(name)
            users |= {
                test.id
                for test in self._net.tests.values()
                if test.database and name in self._words_of_tests.get(test.file, frozenset())
            }
            if users:
                return users
        return {test.id for test in self._net.tests.values() if test.database}

    def _using_text(self, name: str) -> set[str]:
        """The tests that execute a function with this word in its text, SQL included."""
        pattern = re.compile(rf"\b{re.escape(name)}\b")
        found: set[str] = set()
        for path in self._products:
            source = self._sources[path]
            if not pattern.search(source):
                continue
            lines = source.splitlines()
            constants = set()
            for node in ast.walk(self._tree(path)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    end = node.end_lineno or node.lineno
                    if pattern.search("\n".join(lines[node.lineno - 1 : end])):
                        found |= self._net.executing(path, range(node.lineno + 1, end + 1))
            for statement in self._tree(path).body:
                end = statement.end_lineno or statement.lineno
                if isinstance(statement, ast.Assign | ast.AnnAssign) and pattern.search(
                    "\n".join(lines[statement.lineno - 1 : end])
                ):
                    constants |= _bound(statement)
            found |= self._using(frozenset(constants)) if constants else set()
        return found

    def _ordered(self, ids: Iterable[str], mutant: Mutant, far: Iterable[str] = ()) -> list[Test]:
        """`far` have their turns after all others."""
        tests = sorted(
            (self._net.tests[name] for name in (*ids, *far)),
            key=lambda each: self._cost(each, mutant),
        )
        later = dict.fromkeys(far, len(tests))
        turns: Counter[str] = Counter()
        with_turn = []
        for test in tests:
            first = _named(test, mutant) or test.file.startswith(_PAGES)
            own = _OWN_AT_ONCE if _bears_name(test, mutant) else 1
            number = turns[test.function]
            place = number if own > 1 else _OWN_FIRST
            turn = (number // own + later.get(test.id, 0), place)
            with_turn.append(((0, 0) if first else turn, test))
            turns[test.function] += 1
        tests = [test for _, test in sorted(with_turn, key=lambda each: each[0])]
        chosen: list[Test] = []
        left_s = self._budget_s
        for test in tests:
            if len(chosen) == _TESTS_MAX:
                break
            if test.seconds <= left_s or not chosen:
                chosen.append(test)
                left_s -= test.seconds
        return sorted(chosen, key=lambda each: self._cost(each, mutant))

    def _cost(self, test: Test, mutant: Mutant) -> tuple[float, str]:
        lines = sum(map(len, test.lines.values()))
        cost = (test.seconds + 0.02) * (1 + lines / 300)
        folder = mutant.path.rpartition("/")[0]
        if mutant.kind == SCHEMA:
            cost *= _SAME_NAME if test.file.startswith("tests/migrations/") else 1
            privileges = mutant.rule in ("no grant", "no revoke", "no setting")
            cost *= _NAMED if privileges and test.file.endswith("test_privileges.py") else 1
            schema = mutant.scope.removeprefix("TABLE ").removeprefix("FUNCTION ").partition(".")[0]
            cost *= _SAME_FOLDER if schema.rstrip("s") in test.file else 1
            # Parameters of a test name the table, the column and the constraint that it is about.
            cost *= _NAMED ** _named(test, mutant)
        if test.file.startswith(_PAGES):
            # It compares all that a service says of itself with what is written down.
            cost *= _WRITTEN_DOWN
        if test.file.startswith(f"tests/{folder}/"):
            cost *= _SAME_FOLDER
        if _bears_name(test, mutant):
            cost *= _SAME_NAME
        if self._kills[mutant.path + mutant.scope, test.id]:
            cost *= _HAS_KILLED
        return cost, test.id

    def _tree(self, path: str) -> ast.Module:
        if path not in self._trees:
            self._trees[path] = ast.parse(self._sources[path])
        return self._trees[path]

    @property
    def _products(self) -> list[str]:
        return [path for path in self._sources if path.startswith(PRODUCTS)]

    @cached_property
    def _functions(self) -> dict[str, list[tuple[range, frozenset[str]]]]:
        """Of each file of the products: the lines of each function's body, and the names in it."""
        found: dict[str, list[tuple[range, frozenset[str]]]] = {}
        for path in self._products:
            for node in ast.walk(self._tree(path)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    lines = range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1)
                    found.setdefault(path, []).append((lines, _names(node)))
        return found

    @cached_property
    def _imports(self) -> dict[str, frozenset[str]]:
        """Of each file of tests: the modules of the products that it, or what it imports of tests, names in an import."""
        direct = {
            path: _imported(self._tree(path)) for path in self._sources if path.startswith("tests/")
        }
        found: dict[str, frozenset[str]] = {}
        for file in {test.file for test in self._net.tests.values()}:
            seen: set[str] = set()
            waiting = [file]
            while waiting:
                path = waiting.pop()
                new = {each for each in direct.get(path, ()) if each in self._sources} - seen
                seen |= new
                waiting += [each for each in new if each.startswith("tests/")]
            found[file] = frozenset(seen)
        return found

    @cached_property
    def _words_of_tests(self) -> dict[str, frozenset[str]]:
        files = {test.file for test in self._net.tests.values()}
        return {file: frozenset(re.findall(r"\w+", self._sources[file])) for file in files}


def _python_files(project: Path, folders: Iterable[str]) -> list[str]:
    return [
        str(path.relative_to(project))
        for folder in folders
        for path in sorted((project / folder).rglob("*.py"))
    ]


def _bears_name(test: Test, mutant: Mutant) -> bool:
    """Whether its file is named after the module of the mutant."""
    module = mutant.path.rpartition("/")[2].removesuffix(".py")
    return test.file.rpartition("/")[2].removeprefix("test_").removesuffix(".py") == module


def _named(test: Test, mutant: Mutant) -> int:
    """How many names of what a mutant of the schema changes stand in the parameters of the test."""
    if mutant.kind != SCHEMA or "(" in mutant.scope:
        return 0
    parameters = test.id.partition("[")[2]
    text = " ".join((mutant.scope, *mutant.removed, *mutant.added))
    names = {each for each in re.findall(r"\w+(?:\.\w+)?", text) if len(each) > _SHORT_NAME}
    return sum(name in parameters for name in names)


def _imported(tree: ast.Module) -> set[str]:
    """The files that an import may mean."""
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {
        place
        for module in modules
        for place in (f"{module.replace('.', '/')}.py", f"{module.replace('.', '/')}/__init__.py")
    }


def _names(node: ast.AST) -> frozenset[str]:
    return frozenset(
        each.id if isinstance(each, ast.Name) else each.attr
        for each in ast.walk(node)
        if isinstance(each, ast.Name | ast.Attribute)
    )


def _bound(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        targets = [statement.target]
    else:
        return set()
    return {
        each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)
    }


def _place(tree: ast.Module, line: int) -> _Place | None:
    """None when no statement lies around the line."""
    statement: ast.stmt | None = None
    function: ast.FunctionDef | ast.AsyncFunctionDef | None = None
    cls: ast.ClassDef | None = None
    body: list[ast.stmt] = tree.body
    in_head = False
    while True:
        inner = next((each for each in body if _first(each) <= line <= _last(each)), None)
        if inner is None:
            break
        statement = inner
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            in_head = line < inner.body[0].lineno
            if in_head:
                # The head of a function within a function is executed by the outer one.
                start = _first(inner) if function is not None else inner.body[0].lineno
                lines = range(start, _last(inner) + 1)
                return _Place(lines, frozenset({inner.name}), lines, at_import=function is None)
            function = inner
        if isinstance(inner, ast.ClassDef):
            cls = inner
        body = _inside(inner)
        if not body:
            break
    if statement is None:
        return None
    inner_lines = [each.lineno for each in _inside(statement)]
    last = min(inner_lines) - 1 if inner_lines else _last(statement)
    # A clause of its own line (`except`, `case`) ends where its body begins; its line alone is what counts then.
    lines = range(statement.lineno, max(last, statement.lineno) + 1)
    if inner_lines and line not in lines:
        lines = range(line, line + 1)
    names = _bound(statement) or ({cls.name} if cls is not None else set())
    return _Place(lines, frozenset(names), None, at_import=function is None)


def _first(statement: ast.stmt) -> int:
    decorators = getattr(statement, "decorator_list", [])
    lines = [each.lineno for each in decorators if isinstance(each, ast.expr)]
    return min([statement.lineno, *lines])


def _last(statement: ast.stmt) -> int:
    return statement.end_lineno or statement.lineno


def _inside(statement: ast.stmt) -> list[ast.stmt]:
    """The statements one level below, of all its branches."""
    found: list[ast.stmt] = []
    for name in ("body", "orelse", "finalbody"):
        found += getattr(statement, name, [])
    for handler in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
        found += handler.body
    return found
