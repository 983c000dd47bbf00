"""The GitHub action and its example workflow: what they name exists."""

import subprocess
from typing import Any

import pytest
import yaml

from tests.judge.conftest import PROJECT


def _parsed(name: str) -> Any:
    return yaml.safe_load((PROJECT / "judge" / name).read_text(encoding="utf-8"))


def test_the_example_uses_inputs_that_the_action_has() -> None:
    steps = _parsed("example-workflow.yml")["jobs"]["retries"]["steps"]
    (used,) = (step for step in steps if "/judge@" in step.get("uses", ""))
    assert set(used["with"]) <= set(_parsed("action.yml")["inputs"])


@pytest.mark.parametrize("number", range(2))
def test_its_scripts_are_shell(number: int) -> None:
    """And every input that they use comes by the environment, so that none can become a command."""
    scripts = [step["run"] for step in _parsed("action.yml")["runs"]["steps"] if "run" in step]
    subprocess.run(["/bin/bash", "-n"], input=scripts[number].encode(), check=True)
    assert "${{" not in scripts[number]
