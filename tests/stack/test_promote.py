"""`make promote` from another terminal: its end is that of the promotion, whatever became of it."""

import argparse
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from stack import promote, run_directory
from stack.processes import StackError


@pytest.fixture
def described(tmp_path: Path) -> Path:
    """stack.json of a stack with a standby."""
    description = tmp_path / run_directory.DESCRIPTION
    _write(description, "postgres-1")
    return description


def _write(description: Path, primary: str) -> None:
    content = {"primary": primary, "processes": [{"name": "standby"}]}
    description.write_text(json.dumps(content), encoding="utf-8")


async def promoted(
    description: Path, monkeypatch: pytest.MonkeyPatch, becomes: Any
) -> tuple[int, list[Any]]:
    """The exit code when the stack, signalled, does `becomes`; and what it was sent."""
    users = iter(["4711"])
    sent: list[Any] = []

    def kill(pid: int, by: signal.Signals) -> None:
        sent.append((pid, by))
        becomes()

    monkeypatch.setattr("os.kill", kill)
    monkeypatch.setattr(run_directory, "user", lambda _: next(users, None))
    options = argparse.Namespace(run_dir=description.parent)
    return await promote.promote(options, Console(quiet=True)), sent


async def test_the_standby_is_the_primary(described: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack says so."""
    ended = await promoted(described, monkeypatch, lambda: _write(described, "postgres-2"))
    assert ended == (0, [(4711, signal.SIGUSR1)])


async def test_the_stack_has_stopped(described: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A promotion that failed has no primary to name."""
    with pytest.raises(StackError, match="the promotion failed, and the stack has stopped"):
        await promoted(described, monkeypatch, described.unlink)
