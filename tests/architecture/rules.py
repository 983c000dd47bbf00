"""The rules of the structure, each a function from the project's sources to the places that break it."""

import ast
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
SERVICES = ("order_service", "billing_service", "notification_service")
# What every service is built from: one package or module for each nameable thing.
KIT = "service_kit"
# The pattern alone, to be copied: it has to work where nothing else of the project is.
EXAMPLES = "examples"
# What no service knows, and no image holds.
HARNESS = ("stack", "report", "chaos", "lab", "bench", "judge", "tests", EXAMPLES)
OURS = (*SERVICES, KIT, *HARNESS, "migrations")
# chaos from the ground up: a package imports only those above it in this list. What is not listed may import them all.
CHAOS = ("faults", "evidence", "promises", "harness", "steps", "scenarios", "runner")
CHAOS_ON_TOP = ("soak", "mutation", "results", "compose", "patroni", "arguments", "__main__")
# What the judge may use of the stack: Toxiproxy, and how a command ends.
JUDGE_OF_STACK = {"early_signals", "interruption", "ports", "processes", "toxics", "toxiproxy"}
# A reader takes it in at once; so long are the two halves, and no longer.
EXAMPLE_LINES_MAX = 130

HTTP_CLIENTS = {"httpx", "httpx_aiohttp", "aiohttp", "requests"}
WIRE_IMPORTS = {"pydantic", "datetime", "enum", "typing", "uuid"}
SQL_MODULES = {
    "order_service/app.py",
    "order_service/listing.py",
    "order_service/statements/recording.py",
    "billing_service/accounts.py",
    "billing_service/charge.py",
    "billing_service/forgetting.py",
    "billing_service/keys.py",
    "billing_service/readiness.py",
    "billing_service/stored_answers.py",
    "billing_service/batching/fast_path.py",
    "notification_service/app.py",
    "notification_service/arrivals.py",
}
# The speed of charges, and the only module outside of it that may import it.
BATCHING = "billing_service.batching"
BATCHING_USER = "billing_service/process.py"
# The lesson, which is read alone, and what it may import of ours: its outcomes, the wire, and the pool.
LESSON = "billing_service/charge.py"
LESSON_OUTCOMES = "billing_service/outcomes.py"
LESSON_IMPORTS = {
    "billing_service.outcomes",
    "billing_service.wire",
    "service_kit.bounded_pool",
}
NAMES_THAT_SAY_NOTHING = {
    "common",
    "helper",
    "helpers",
    "manager",
    "misc",
    "shared",
    "util",
    "utils",
}
# One noun a file; a longer one is two. SQL literals take room, tests and migrations are lists and may be longer.
LINES_MAX = 400
# A module that is longer than this says why, in a sentence of its docstring that begins with these words.
LINES_WITHOUT_A_REASON_MAX = 300
REASON = "\nLong because "

Sources = Mapping[str, str]


@dataclass(frozen=True)
class Import:
    """One import: the file, the line, the module's full name, and the names taken from it."""

    path: str
    line: int
    module: str
    names: tuple[str, ...]

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.path}:{self.line} imports {self.module}"


@functools.cache
def sources() -> Sources:
    """All Python files of the project by their path from its root."""
    return {
        str(path.relative_to(PROJECT)): path.read_text(encoding="utf-8")
        for package in OURS
        for path in sorted((PROJECT / package).rglob("*.py"))
    }


def imports(files: Sources) -> Iterator[Import]:
    for path, source in files.items():
        for node in _nodes(source):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(path, node.lineno, alias.name, ())
            elif isinstance(node, ast.ImportFrom):
                names = tuple(alias.name for alias in node.names)
                yield Import(path, node.lineno, "." * node.level + (node.module or ""), names)


@functools.cache
def _parsed(source: str) -> ast.Module:
    """Each file is looked at by many rules."""
    return ast.parse(source)


@functools.cache
def _nodes(source: str) -> tuple[ast.stmt | ast.expr | ast.excepthandler, ...]:
    """What rules ask for, from anywhere in the file: to walk through all of it takes longer than a rule."""
    asked = (ast.Import, ast.ImportFrom, ast.Call, ast.ExceptHandler)
    return tuple(node for node in ast.walk(_parsed(source)) if isinstance(node, asked))


def package(path: str) -> str:
    return path.partition("/")[0]


def services_import_only_wires_of_others(files: Sources) -> list[str]:
    """A service imports itself and other services' `wire`."""
    return [
        str(found)
        for found in imports(files)
        if package(found.path) in SERVICES
        and found.top in SERVICES
        and found.top != package(found.path)
        and found.module != f"{found.top}.wire"
    ]


def services_do_not_know_the_harness(files: Sources) -> list[str]:
    """Services, migrations and the standalone packages import no chaos, no bench, no tests."""
    return [
        str(found)
        for found in imports(files)
        if package(found.path) not in HARNESS and found.top in HARNESS
    ]


def the_kit_knows_nothing_of_ours(files: Sources) -> list[str]:
    """service_kit imports nothing of ours but itself."""
    return [
        str(found)
        for found in imports(files)
        if package(found.path) == KIT and found.top in OURS and found.top != KIT
    ]


def the_stack_knows_services_by_name(files: Sources) -> list[str]:
    """stack imports service_kit and itself: the factory of a service is a text to it."""
    return [
        str(found)
        for found in imports(files)
        if package(found.path) == "stack" and found.top in OURS and found.top not in ("stack", KIT)
    ]


def the_report_knows_the_documented_run(files: Sources) -> list[str]:
    """report imports nothing of ours but itself: it reads result.json and history.jsonl."""
    return [
        str(found)
        for found in imports(files)
        if package(found.path) == "report" and found.top in OURS and found.top != "report"
    ]


def chaos_is_built_from_the_ground_up(files: Sources) -> list[str]:
    """A package of chaos imports only packages above it in the list; nothing outside of lab and tests imports chaos."""
    offences = []
    for found in imports(files):
        imported = [found.module, *(f"{found.module}.{name}" for name in found.names)]
        if found.top != "chaos":
            continue
        if package(found.path) not in ("chaos", "lab", "tests"):
            offences.append(str(found))
            continue
        parts = found.path.removesuffix(".py").split("/")
        if parts[0] != "chaos" or parts[1] not in CHAOS:
            continue
        above = CHAOS[: CHAOS.index(parts[1]) + 1]
        names = {name.split(".")[1] for name in imported if name.count(".")}
        if names & {*CHAOS, *CHAOS_ON_TOP} - {*above}:
            offences.append(str(found))
    return offences


def the_judge_stands_beside(files: Sources) -> list[str]:
    """judge imports of ours only the stack's Toxiproxy and report; nothing outside of tests imports judge."""
    offences = []
    for found in imports(files):
        importer = package(found.path)
        if found.top == "judge" and importer not in ("judge", "tests"):
            offences.append(str(found))
        if importer != "judge" or found.top not in OURS or found.top in ("judge", "report"):
            continue
        names = {f"{found.module}.{name}" for name in found.names} | {found.module}
        of_stack = {name.split(".")[1] for name in names if name.startswith("stack.")}
        if found.top != "stack" or not of_stack <= JUDGE_OF_STACK:
            offences.append(str(found))
    return offences


def the_lesson_knows_no_batching(files: Sources) -> list[str]:
    """In billing only process.py imports batching; charge.py and outcomes.py import nothing else of the service either."""
    offences = []
    for found in imports(files):
        if package(found.path) != "billing_service":
            continue
        imported = {found.module, *(f"{found.module}.{name}" for name in found.names)}
        batching = any(f"{name}.".startswith(f"{BATCHING}.") for name in imported)
        may_batch = found.path == BATCHING_USER or found.path.startswith(
            "billing_service/batching/"
        )
        foreign = (
            found.path in (LESSON, LESSON_OUTCOMES)
            and found.top in OURS
            and found.module not in LESSON_IMPORTS
        )
        if (batching and not may_batch) or foreign:
            offences.append(str(found))
    return offences


def examples_stand_alone(files: Sources) -> list[str]:
    """They import nothing of ours, each other included, and stay as short as a page that is read in one go."""
    own = {path.removeprefix(f"{EXAMPLES}/").removesuffix(".py") for path in files}
    imported = [
        str(found)
        for found in imports(files)
        if package(found.path) == EXAMPLES and found.top in {*OURS, *own}
    ]
    long = [
        f"{path} has {source.count(chr(10))} lines"
        for path, source in files.items()
        if package(path) == EXAMPLES and source.count("\n") > EXAMPLE_LINES_MAX
    ]
    return imported + long


def migrations_know_no_service(files: Sources) -> list[str]:
    """The schema is older than any service that uses it."""
    return [
        str(found)
        for found in imports(files)
        if package(found.path) == "migrations" and found.top in (*SERVICES, *HARNESS)
    ]


def wires_are_plain(files: Sources) -> list[str]:
    """A wire module imports pydantic and the standard library's types."""
    return [
        str(found)
        for found in imports(files)
        if found.path in {f"{service}/wire.py" for service in SERVICES}
        and found.top not in WIRE_IMPORTS
    ]


def only_peers_speak_http(files: Sources) -> list[str]:
    """In a service only peers.py knows an HTTP client."""
    return [
        str(found)
        for found in imports(files)
        if package(found.path) in SERVICES
        and not found.path.endswith("/peers.py")
        and found.top in HTTP_CLIENTS
    ]


def only_sql_modules_know_asyncpg(files: Sources) -> list[str]:
    """asyncpg is used in app.py and the SQL modules."""
    return [
        str(found)
        for found in imports(files)
        if package(found.path) in SERVICES
        and found.path not in SQL_MODULES
        and found.top == "asyncpg"
    ]


def only_toxics_knows_the_library(files: Sources) -> list[str]:
    """stack/toxics.py is the only importer of toxiproxy-python; its test characterises the library."""
    return [
        str(found)
        for found in imports(files)
        if found.top == "toxiproxy"
        and found.path not in ("stack/toxics.py", "tests/stack/test_toxics.py")
    ]


def imports_are_absolute(files: Sources) -> list[str]:
    """So that every name can be searched for."""
    return [str(found) for found in imports(files) if found.module.startswith(".")]


def names_say_something(files: Sources) -> list[str]:
    """There is no common, no utils, no helpers."""
    return [
        path for path in files if NAMES_THAT_SAY_NOTHING & set(path.removesuffix(".py").split("/"))
    ]


def modules_are_short(files: Sources) -> list[str]:
    """One noun a file, and a reason for a long one."""
    return [
        f"{path} has {lines} lines"
        for path, source in files.items()
        if package(path) not in ("tests", "migrations")
        and (lines := source.count("\n")) > LINES_WITHOUT_A_REASON_MAX
        and (lines > LINES_MAX or REASON not in (ast.get_docstring(_parsed(source)) or ""))
    ]


def excepts_are_narrow(files: Sources) -> list[str]:
    """Foreign exceptions are translated by name; a broad except or suppress hides defects."""
    return [
        f"{path}:{node.lineno} catches everything"
        for path, source in files.items()
        if package(path) != "tests"
        for node in _nodes(source)
        if isinstance(node, ast.ExceptHandler | ast.Call) and _catches_everything(node)
    ]


def _catches_everything(node: ast.ExceptHandler | ast.Call) -> bool:
    if isinstance(node, ast.Call):
        return _last_name(node.func) == "suppress" and any(map(_is_broad, node.args))
    # A handler that cleans up and raises again hides nothing.
    return not isinstance(node.body[-1], ast.Raise) and (node.type is None or _is_broad(node.type))


def _is_broad(caught: ast.expr) -> bool:
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(_last_name(name) in ("Exception", "BaseException") for name in names)


def _last_name(node: ast.expr) -> str | None:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None


def tests_wait_for_evidence(files: Sources) -> list[str]:
    """No test sleeps, whatever it calls it."""
    calls = [
        f"{path}:{node.lineno} sleeps"
        for path, source in files.items()
        if package(path) == "tests"
        for node in _nodes(source)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "sleep"
    ]
    return calls + [
        f"{found} sleep"
        for found in imports(files)
        if package(found.path) == "tests" and "sleep" in found.names
    ]


def every_module_has_a_docstring(files: Sources) -> list[str]:
    """Its role in one sentence, then its guarantee."""
    return [
        path
        for path, source in files.items()
        if source.strip() and ast.get_docstring(_parsed(source)) is None
    ]


def text_files_are_utf_8(files: Sources) -> list[str]:
    """Text is read and written as UTF-8, whatever the person's locale is."""
    return [
        f"{path}:{node.lineno} leaves the encoding to the locale"
        for path, source in files.items()
        for node in _nodes(source)
        if isinstance(node, ast.Call)
        and _opens_text(node)
        and not any(keyword.arg == "encoding" for keyword in node.keywords)
    ]


def _opens_text(node: ast.Call) -> bool:
    name = _last_name(node.func)
    if name in ("read_text", "write_text"):
        return True
    if name not in ("open", "fdopen", "NamedTemporaryFile", "TemporaryFile"):
        return False
    # A mode is short and made of these letters; a pool or a browser's tab is opened with other things or with nothing.
    modes = [
        value.value
        for value in (*node.args, *(keyword.value for keyword in node.keywords))
        if isinstance(value, ast.Constant) and isinstance(value.value, str)
    ]
    modes = [mode for mode in modes if mode and set(mode) <= set("rwaxbt+")]
    if name.endswith("TemporaryFile"):
        return any("b" not in mode for mode in modes)
    takes_a_path = isinstance(node.func, ast.Name) or name == "fdopen"
    return any("b" not in mode for mode in modes) or (takes_a_path and not modes)


RULES = (
    services_import_only_wires_of_others,
    services_do_not_know_the_harness,
    the_kit_knows_nothing_of_ours,
    the_stack_knows_services_by_name,
    the_report_knows_the_documented_run,
    chaos_is_built_from_the_ground_up,
    the_judge_stands_beside,
    the_lesson_knows_no_batching,
    examples_stand_alone,
    migrations_know_no_service,
    wires_are_plain,
    only_peers_speak_http,
    only_sql_modules_know_asyncpg,
    only_toxics_knows_the_library,
    imports_are_absolute,
    names_say_something,
    modules_are_short,
    excepts_are_narrow,
    tests_wait_for_evidence,
    every_module_has_a_docstring,
    text_files_are_utf_8,
)
