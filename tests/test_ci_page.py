"""The workflows of docs/ci.md are complete, and their commands run."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack.embedded import Stack
from stack.schema import PROJECT
from tests.architecture.test_documents import wrong_names

BOUND_S = 600.0


def workflows() -> list[dict[str, Any]]:
    """The YAML blocks of the page."""
    page = (PROJECT / "docs/ci.md").read_text(encoding="utf-8")
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("number", [0, 1])
def test_a_workflow_is_complete(number: int) -> None:
    """It has a beginning, a bound and the evidence at its end; each step does one thing."""
    workflow = workflows()[number]
    # YAML 1.1 reads the key `on` as true.
    assert {"name", True, "permissions", "jobs"} == set(workflow)
    for job in workflow["jobs"].values():
        assert {"runs-on", "timeout-minutes", "steps"} <= set(job)
        assert job["steps"][0]["uses"].startswith("actions/checkout@")
        last = job["steps"][-1]
        assert last["uses"].startswith("actions/upload-artifact@")
        assert (last["if"], last["with"]["include-hidden-files"]) == ("always()", True)
        assert all(("uses" in step) != ("run" in step) for step in job["steps"])


def test_actions_are_those_of_our_own_workflow() -> None:
    """In the same versions, so that what is shown is what is used."""
    own = (PROJECT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    for workflow in workflows():
        for step in steps(workflow):
            action = step.get("uses", "")
            if action and not action.startswith("actions/cache@"):
                assert f"uses: {action}\n" in own, action


def test_every_target_exists() -> None:
    """What `make` is asked for, each with the variables that the Makefile has."""
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    commands = [
        step["run"] for workflow in workflows() for step in steps(workflow) if "run" in step
    ]
    targets = [command for command in commands if command.startswith("make ")]
    assert len(targets) == 4
    for command in targets:
        assert wrong_names(f"`{command}`", PROJECT) == []
        for variable in re.findall(r"\b([A-Z_]+)=", command):
            assert re.search(rf"^{variable} \?=", makefile, re.MULTILINE), variable
    stamp = re.search(r"^STAMP := \$\(VENV\)/(\S+)$", makefile, re.MULTILINE)
    assert stamp is not None
    assert f"make -C billed-once .venv/{stamp[1]}" in commands


@pytest.fixture(scope="module")
async def checkout(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    """A repository with its stack.json, the stack that it describes, and this project beside it, as the second workflow has them."""
    directory = tmp_path_factory.mktemp("checkout")
    project = directory / "billed-once"
    project.mkdir()
    # Not a link to the project itself: `..` of that would be somewhere else.
    for path in PROJECT.iterdir():
        (project / path.name).symlink_to(path)
    environ = {"ORDER_UNSAFE_DELIVERY": "1"}
    async with Stack(directory / "run", environ=environ, usual_ports=False, forked=True) as stack:
        (directory / "stack.json").write_text(json.dumps(stack.description), encoding="utf-8")
        yield directory


@pytest.mark.chaos
async def test_the_commands_of_the_second_workflow(checkout: Path) -> None:
    """They strike a stack that is only described, and audit it. One scenario stands for all that the command would play."""
    named = {step["name"]: step["run"] for step in steps(workflows()[1]) if "name" in step}
    strike = f"{named['strike it']} disconnect/response_lost/*/warm --run-dir {checkout / 'struck'}"
    code, output = await shell(strike, checkout)
    assert code == 0, output
    assert "3 pass, 0 fail, 0 unknown of 3 scenarios" in output
    assert "Report: file://" in output
    # At least once without a key has taken money twice, which the audit counts as its harm and not as a finding.
    code, output = await shell(named["audit it"], checkout)
    assert code == 0, output
    assert re.search(r"0 findings; [1-9]\d* more withdrawals are the harm", output)


async def shell(line: str, directory: Path) -> tuple[int, str]:
    """As a step of a job runs it: exit code and output."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "-eo", "pipefail", "-c", line),
        cwd=directory,
        env={**os.environ, "CI": "true"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(BOUND_S):
        output, _ = await process.communicate()
    return process.returncode or 0, output.decode(errors="replace")
