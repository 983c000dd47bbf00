"""The examples of docs/chaos.md are code that works."""

import ast
import importlib
import importlib.util
import inspect
import re
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from chaos.promises.catalogue import PROMISES, Promise
from chaos.scenarios.catalogue import SCENARIOS
from chaos.scenarios.scenario import Scenario
from tests.architecture.rules import PROJECT
from tests.chaos.test_promises import GOOD
from tests.report import sample

_BLOCK = re.compile(r"^```python\n# ([\w/]+\.py)(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _blocks() -> list[tuple[str, bool, str]]:
    """Each example: its file, whether it is an entry of a file that exists, and its code."""
    page = (PROJECT / "docs" / "chaos.md").read_text(encoding="utf-8")
    return [(path, bool(entry), code) for path, entry, code in _BLOCK.findall(page)]


@pytest.fixture
def entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The values of the examples that are entries; those that are new files can be imported meanwhile."""
    found = []
    for number, (path, is_entry, code) in enumerate(_blocks()):
        file = tmp_path / f"example_{number}.py"
        name = path.removesuffix(".py").replace("/", ".")
        file.write_text(_as_module(name, code) if is_entry else code, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(file.stem if is_entry else name, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        if is_entry:
            found.append(module.entry)
    return found


def _as_module(name: str, code: str) -> str:
    """The code with the names of its file; its last expression is called `entry`."""
    tree = ast.parse(code)
    last = tree.body[-1]
    assert isinstance(last, ast.Expr)
    tree.body[-1] = ast.Assign([ast.Name("entry", ast.Store())], last.value)
    return f"from {name} import *\n{ast.unparse(ast.fix_missing_locations(tree))}\n"


def test_new_files_are_new_and_entries_have_their_file() -> None:
    """An example that was added to the project for good is no example any more."""
    blocks = _blocks()
    assert len(blocks) == 5
    for path, is_entry, _ in blocks:
        assert (PROJECT / path).exists() == is_entry, path
        assert (PROJECT / path).parent.is_dir(), path


def test_the_scenarios_can_be_added(entries: list[Any]) -> None:
    """They are scenarios whose steps can be performed."""
    scenarios = [entry for entry in entries if isinstance(entry, Scenario)]
    assert [each.name for each in scenarios] == ["sessions/ended", "slow/response"]
    for scenario in scenarios:
        assert scenario.needs == frozenset()
        assert all(inspect.iscoroutinefunction(step.perform) for step in scenario.steps)
    assert "sessions/ended" not in {scenario.name for scenario in SCENARIOS}


def test_the_promise_can_say_both(entries: list[Any]) -> None:
    """It is kept by good evidence and broken by an order that was settled too early."""
    (promise,) = (entry for entry in entries if isinstance(entry, Promise))
    assert promise.name not in {each.name for each in PROMISES}
    kept = promise.put_to(GOOD)
    assert kept is not None
    assert kept.kept
    assert GOOD.order is not None
    early = GOOD.order.created_at - timedelta(seconds=1)
    order = GOOD.order.model_copy(update={"settled_at": early})
    broken = promise.put_to(replace(GOOD, order=order))
    assert broken is not None
    assert not broken.kept


@pytest.mark.usefixtures("entries")
def test_the_output_renders_runs() -> None:
    """A clean run is one line, and a broken one names what plays it again."""
    summary = importlib.import_module("report.summary").summary
    assert "scenarios passed." in summary(sample.clean_run()[0])
    broken = summary(sample.broken_run()[0])
    assert broken.startswith("- **")
    assert "-m chaos run" in broken
