"""A step of a scenario waits for evidence, never for time."""

import ast
from collections.abc import Iterator
from pathlib import Path

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
