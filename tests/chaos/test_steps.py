"""Rules for the code of steps: what they wait for, what they write, and what they strike."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.schema import PROJECT

STEPS = PROJECT / "chaos" / "steps"


def sleeps(source: str) -> Iterator[int]:
    """The lines that sleep, whatever the module is called that lets them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            named = {alias.name for alias in node.names}
        elif isinstance(node, ast.Attribute):
            named = {node.attr}
        else:
            continue
        if "sleep" in named:
            yield node.lineno


def test_no_step_waits_for_time() -> None:
    """None of them sleeps."""
    modules = sorted(Path(STEPS).glob("*.py"))
    assert modules
    assert [
        (module.name, line)
        for module in modules
        for line in sleeps(module.read_text(encoding="utf-8"))
    ] == []


def test_a_step_that_sleeps_is_found() -> None:
    """The negative control, in both forms."""
    assert list(sleeps("import asyncio\nasync def f():\n    await asyncio.sleep(1)")) == [3]
    assert list(sleeps("from time import sleep")) == [1]


# Statements that change something. A step that only asks has none of them.
_WRITES = re.compile(
    r"\b(INSERT INTO|UPDATE|DELETE FROM|TRUNCATE|CREATE|ALTER|DROP|GRANT|REVOKE)\b"
)
# What arms, heals or ends something, by the names of `Context`, `Toxiproxy`, `Control`, `Child` and the operating system.
_STRIKES = frozenset(
    [
        "arm",
        "refuse",
        "heal",
        "remove_toxics",
        "end_faults",
        "create",
        "recreate",
        "remove",
        "enable",
        "disable",
        "hold",
        "die",
        "detour",
        "invert",
        "crash",
        "stop",
        "kill",
        "send_signal",
        "terminate",
        "release",
    ]
)


def writers(source: str) -> set[str]:
    """The classes and functions at the top of a module whose SQL writes."""
    return {
        node.name
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        for text in ast.walk(node)
        if isinstance(text, ast.Constant)
        and isinstance(text.value, str)
        and _WRITES.search(text.value)
    }


def strikes(source: str) -> set[str]:
    """The calls of a module that strike or heal something."""
    called = {
        node.func.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    return called & _STRIKES


def test_a_customer_writes_nothing_but_a_deposit() -> None:
    """Everything else goes through the services, as it would for a customer."""
    assert writers((STEPS / "customers.py").read_text(encoding="utf-8")) == {"DepositMoney"}


@pytest.mark.parametrize("module", ["observations.py", "database_questions.py"])
def test_what_observes_changes_nothing(module: str) -> None:
    """It neither strikes nor heals, and writes nothing to a database."""
    source = (STEPS / module).read_text(encoding="utf-8")
    assert (strikes(source), writers(source)) == (set(), set())


def test_a_step_that_writes_or_strikes_is_found() -> None:
    """The negative control."""
    source = "class A:\n    async def f(c):\n        await c.network.disable('x')\n        q = 'UPDATE t SET a = 1'"
    assert (strikes(source), writers(source)) == ({"disable"}, {"A"})
    assert strikes((STEPS / "network.py").read_text(encoding="utf-8"))
