"""The structure is what docs/decisions.md says it is, and each rule can say no."""

from collections.abc import Callable

import pytest

from tests.architecture import rules
from tests.architecture.rules import PROJECT, RULES, Sources

Rule = Callable[[Sources], list[str]]

# One offence a rule; each must be reported.
OFFENCES: dict[Rule, tuple[str, str]] = {
    rules.services_import_only_wires_of_others: (
        "order_service/delivery.py",
        "from billing_service.charge import charge",
    ),
    rules.services_do_not_know_the_harness: (
        "billing_service/app.py",
        "import chaos.faults.wrapped_services",
    ),
    rules.the_kit_knows_nothing_of_ours: (
        "service_kit/telemetry/logs.py",
        "from billing_service.wire import Charge",
    ),
    rules.the_stack_knows_services_by_name: (
        "stack/embedded.py",
        "from order_service.app import create",
    ),
    rules.the_report_knows_the_documented_run: (
        "report/page.py",
        "from chaos.runner.play import Played",
    ),
    rules.chaos_is_built_from_the_ground_up: (
        "chaos/steps/holds.py",
        "from chaos.scenarios.table import TABLE",
    ),
    rules.the_lesson_knows_no_batching: (
        "billing_service/charge.py",
        "from billing_service.batching.queue import ChargeQueue",
    ),
    rules.examples_stand_alone: ("examples/caller.py", "from billing_service.wire import Charge"),
    rules.migrations_know_no_service: (
        "migrations/versions/0009_x.py",
        "import billing_service.wire",
    ),
    rules.wires_are_plain: ("order_service/wire.py", "import fastapi"),
    rules.only_peers_speak_http: ("order_service/app.py", "import httpx"),
    rules.only_sql_modules_know_asyncpg: ("order_service/dispatcher.py", "import asyncpg"),
    rules.only_toxics_knows_the_library: (
        "chaos/runner/play.py",
        "from toxiproxy import Toxiproxy",
    ),
    rules.imports_are_absolute: ("chaos/runner/play.py", "from . import toxics"),
    rules.names_say_something: ("order_service/utils.py", ""),
    rules.modules_are_short: ("chaos/long.py", "x = 1\n" * 2000),
    rules.excepts_are_narrow: (
        "chaos/runner/play.py",
        "try:\n    pass\nexcept Exception:\n    pass",
    ),
    rules.tests_wait_for_evidence: ("tests/test_x.py", "import time\ntime.sleep(1)"),
    rules.every_module_has_a_docstring: ("chaos/runner/play.py", "x = 1"),
    rules.text_files_are_utf_8: ("chaos/runner/play.py", "path.write_text(text)"),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_project_keeps_the_rule(rule: Rule) -> None:
    """No place in the project breaks it."""
    assert rule(rules.sources()) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_can_say_no(rule: Rule) -> None:
    """The negative control: a planted offence is reported."""
    path, source = OFFENCES[rule]
    assert len(rule({path: source})) == 1


# The same offence in the other forms in which it is written.
DISGUISES: list[tuple[Rule, str, str]] = [
    (rules.excepts_are_narrow, "chaos/runner/play.py", "try:\n    pass\nexcept:\n    pass"),
    (
        rules.excepts_are_narrow,
        "chaos/runner/play.py",
        "try:\n    pass\nexcept (OSError, Exception):\n    pass",
    ),
    (
        rules.excepts_are_narrow,
        "chaos/runner/play.py",
        "import builtins\ntry:\n    pass\nexcept builtins.BaseException:\n    pass",
    ),
    (rules.excepts_are_narrow, "chaos/runner/play.py", "with suppress(Exception):\n    pass"),
    (rules.tests_wait_for_evidence, "tests/test_x.py", "from time import sleep"),
    (rules.tests_wait_for_evidence, "tests/test_x.py", "from asyncio import sleep as nap"),
    (
        rules.only_peers_speak_http,
        "order_service/app.py",
        "if TYPE_CHECKING:\n    from httpx import AsyncBaseTransport",
    ),
    (
        rules.services_do_not_know_the_harness,
        "order_service/app.py",
        "def create():\n    import chaos.faults.wrapped_services",
    ),
    (
        rules.services_import_only_wires_of_others,
        "order_service/peers.py",
        "from billing_service import charge",
    ),
    (rules.names_say_something, "chaos/helpers/__init__.py", ""),
    (rules.chaos_is_built_from_the_ground_up, "chaos/faults/control.py", "import chaos.evidence"),
    (rules.chaos_is_built_from_the_ground_up, "chaos/steps/holds.py", "from chaos import runner"),
    (rules.chaos_is_built_from_the_ground_up, "bench/load.py", "import chaos.runner.play"),
    (rules.the_kit_knows_nothing_of_ours, "service_kit/telemetry/logs.py", "import stack.ports"),
    (rules.wires_are_plain, "order_service/wire.py", "from service_kit.strict_input import SHOWN"),
    (
        rules.the_lesson_knows_no_batching,
        "billing_service/keys.py",
        "def void():\n    from billing_service import batching",
    ),
    (
        rules.the_lesson_knows_no_batching,
        "billing_service/charge.py",
        "import billing_service.process",
    ),
    (
        rules.the_lesson_knows_no_batching,
        "billing_service/outcomes.py",
        "if TYPE_CHECKING:\n    import billing_service.batching.queue as bounds",
    ),
    (rules.modules_are_short, "chaos/long.py", '"""What it is."""\n' + "x = 1\n" * 300),
    (
        rules.modules_are_short,
        "chaos/long.py",
        '"""What it is.\n\nLong because it is a list.\n"""\n' + "x = 1\n" * 400,
    ),
    (rules.examples_stand_alone, "examples/caller.py", "import caller"),
    (rules.examples_stand_alone, "examples/receiver.py", "x = 1\n" * 131),
    (rules.text_files_are_utf_8, "chaos/runner/play.py", "open(path)"),
    (rules.text_files_are_utf_8, "chaos/runner/play.py", "path.open('a')"),
    (rules.text_files_are_utf_8, "chaos/runner/play.py", "os.fdopen(descriptor, 'w')"),
]


@pytest.mark.parametrize(("rule", "path", "source"), DISGUISES)
def test_the_rule_sees_through_a_disguise(rule: Rule, path: str, source: str) -> None:
    """Within a function, for the type checker only, in a tuple, or under another name it is the same."""
    assert len(rule({path: source})) == 1


def test_a_handler_that_raises_again_is_allowed() -> None:
    """It cleans up and hides nothing."""
    source = "try:\n    pass\nexcept BaseException:\n    clean_up()\n    raise"
    assert rules.excepts_are_narrow({"chaos/runner/play.py": source}) == []


def test_bytes_have_no_encoding() -> None:
    """A file that is opened for bytes, and what is no file."""
    source = "open(path, 'rb')\npath.open('ab')\nawait pool.open()\nopen(path, encoding='utf-8')"
    assert rules.text_files_are_utf_8({"chaos/runner/play.py": source}) == []


def test_the_sources_are_found() -> None:
    """Rules over nothing would be kept for ever."""
    found = rules.sources()
    for path in ("order_service/app.py", "billing_service/charge.py", "stack/embedded.py"):
        assert path in found


@pytest.mark.parametrize(
    "path",
    [
        "README.md",
        "LICENSE",
        "Makefile",
        "pyproject.toml",
        "requirements.lock",
        "order_service/app.py",
        "order_service/delivery.py",
        "order_service/dispatcher.py",
        "order_service/orders.py",
        "order_service/peers.py",
        "order_service/wire.py",
        "billing_service/app.py",
        "billing_service/charge.py",
        "billing_service/outcomes.py",
        "billing_service/keys.py",
        "billing_service/forgetting.py",
        "billing_service/accounts.py",
        "billing_service/process.py",
        "billing_service/batching/fast_path.py",
        "billing_service/batching/group_commit.py",
        "billing_service/batching/queue.py",
        "billing_service/wire.py",
        "notification_service/app.py",
        "notification_service/wire.py",
        "migrations/env.py",
        "migrations/versions",
        "chaos/__main__.py",
        "stack/embedded.py",
        "stack/toxics.py",
        "chaos/faults/wrapped_services.py",
        "chaos/scenarios/catalogue.py",
        "chaos/evidence/journal.py",
        "chaos/promises/verdict.py",
        "report",
        "docs/copy.md",
        "docs/decisions.md",
        "docs/protocol.md",
        "docs/running.md",
        "examples/caller.py",
        "examples/receiver.py",
        "examples/schema.sql",
        "Dockerfile",
        "docker-compose.yml",
    ],
)
def test_the_tree_is_the_designed_one(path: str) -> None:
    """What other documents name is where they say it is."""
    assert (PROJECT / path).exists()


def test_every_top_level_package_is_known() -> None:
    """A new package is a decision: it is named in the rules, or it does not exist. No module stands outside of one."""
    assert list(PROJECT.glob("*.py")) == []
    # With or without an __init__.py; hidden folders hold what is not ours.
    packages = {path.parent.name for path in PROJECT.glob("[!.]*/*.py")}
    assert packages <= set(rules.OURS)


def test_the_locks_hold_no_address() -> None:
    """Names, versions and hashes only: each installation has its own source of packages."""
    for lock in PROJECT.glob("requirements*.lock"):
        text = lock.read_text(encoding="utf-8")
        assert "--hash=sha256:" in text
        for line in text.splitlines():
            assert "://" not in line
            assert not line.startswith(("-i", "--index", "--extra-index", "--find-links"))
