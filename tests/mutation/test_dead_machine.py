"""A machine on which no test can be played says nothing of mutants."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stack.processes import StackError
from tests.mutation import net, play
from tests.mutation.mutant import PYTHON, Mutant
from tests.mutation.verdict import KILLED

PATH = "service_kit/a.py"
ANSWERS = {
    "died": {"died": -9},
    "nothing collected": {"result": {"code": 4, "failed": "", "reason": ""}},
}
PASSED = {"result": {"code": 0, "failed": "", "reason": ""}}


def worker(tmp_path: Path, *answers: Any) -> Any:
    """Answers so, the last answer again and again."""
    (tmp_path / "service_kit").mkdir()
    (tmp_path / PATH).write_text("x = 1\n", encoding="utf-8")
    workspace = SimpleNamespace(folder=tmp_path, with_text=lambda *_: nullcontext())
    left = list(answers)

    async def ask(**_: Any) -> Any:
        return left.pop(0) if len(left) > 1 else left[0]

    return SimpleNamespace(workspace=workspace, server=None, ask=ask)


async def judged(asked: Any) -> Any:
    mutant = Mutant(PYTHON, PATH, "<module>", 1, "number", 4, 5, "2")
    test = net.Test("tests/a.py::test_a", 0.1, database=False, lines={})
    return await play._judged(asked, mutant, [test], at_import=False)


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_every_process_dies(tmp_path: Path, answer: Any) -> None:
    """The same test is played without the mutant: it dies as well, and the run ends without a verdict."""
    with pytest.raises(StackError):
        await judged(worker(tmp_path, answer))


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_only_the_mutant_dies(tmp_path: Path, answer: Any) -> None:
    """The control: then it was the mutant."""
    assert (await judged(worker(tmp_path, answer, PASSED))).outcome == KILLED
