"""How to play it again is a command that works as it is printed."""

import shlex
from pathlib import Path

import pytest

from chaos import arguments
from chaos.__main__ import COMMANDS
from report.command import CHAOS, Invocation, chaos
from tests.architecture.rules import PROJECT


@pytest.mark.parametrize(
    ("invocation", "command"),
    [
        (Invocation(7), "run commit/late --seed 7"),
        (Invocation(7, "matrix"), "run commit/late --seed 7"),
        (
            Invocation(7, target=Path("my stack.json")),
            "run commit/late --target 'my stack.json' --seed 7",
        ),
    ],
)
def test_one_scenario(invocation: Invocation, command: str) -> None:
    """Its name, and the target and the seed of the run; by whichever command it was played."""
    assert invocation.one("commit/late") == f"{CHAOS} {command}"


@pytest.mark.parametrize(
    ("invocation", "command"),
    [
        (Invocation(7), "run --seed 7"),
        (Invocation(7, "matrix"), "matrix --seed 7"),
        (
            Invocation(7, names=["commit/*", "late"], target=Path("stack.json")),
            "run 'commit/*' late --target stack.json --seed 7",
        ),
    ],
)
def test_the_whole_run(invocation: Invocation, command: str) -> None:
    """What was typed, with the seed that was drawn."""
    assert invocation.all() == f"{CHAOS} {command}"


@pytest.mark.parametrize(
    "command",
    [
        Invocation(7, names=["late"], target=Path("a b.json")).all(),
        Invocation(7, "demo").all(),
        Invocation(7).one("late/delayed_original"),
        chaos("soak", "--plan", "plan.json"),
    ],
)
def test_it_can_be_typed(command: str) -> None:
    """The command line takes it, and the interpreter is the one that the Makefile installs."""
    python, *rest = shlex.split(command)
    assert python == ".venv/bin/python"
    assert "VENV := .venv\n" in (PROJECT / "Makefile").read_text(encoding="utf-8")
    assert rest[:2] == ["-m", "chaos"]
    arguments.parser(COMMANDS).parse_args(rest[2:])
