"""`make clean` removes data and results, but never those of a stack that runs."""

import os
from pathlib import Path

import pytest

from stack.clean import main
from stack.processes import StackError
from stack.run_directory import held


@pytest.mark.parametrize("directory", [".run", ".run/run-1", ".run/soak-1/stack-1"])
def test_a_stack_that_runs(
    tmp_path: Path, directory: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence with its process, exit code 2, and everything is still there."""
    (tmp_path / ".run" / "results").mkdir(parents=True)
    (tmp_path / ".ruff_cache").mkdir()
    with held(tmp_path / directory):
        before = sorted(tmp_path.rglob("*"))
        assert main(tmp_path) == 2
        assert sorted(tmp_path.rglob("*")) == before
    assert capsys.readouterr().err == (
        f"clean: a stack runs in {tmp_path / directory} (process {os.getpid()}); stop it first.\n"
    )


def test_a_stack_that_is_started_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No stack uses the run directory while it is being removed."""
    run_dir = tmp_path / ".run"
    with held(run_dir):
        pass
    removed: list[Path] = []

    def remove(path: Path) -> None:
        with pytest.raises(StackError, match="a stack runs already"), held(run_dir):
            pass
        removed.append(path)

    monkeypatch.setattr("shutil.rmtree", remove)
    assert main(tmp_path) == 0
    assert removed == [run_dir]


def test_no_stack_runs(tmp_path: Path) -> None:
    """Data, results, the locks of stacks that have ended, and caches are gone; nothing else is."""
    with held(tmp_path / ".run" / "run-1"):
        pass
    (tmp_path / ".mypy_cache").mkdir()
    (tmp_path / ".venv").mkdir()
    assert main(tmp_path) == 0
    assert [path.name for path in tmp_path.iterdir()] == [".venv"]
    assert main(tmp_path) == 0
