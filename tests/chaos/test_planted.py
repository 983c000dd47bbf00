"""Negative controls: a stack with a planted bug must not pass."""

from pathlib import Path

import pytest

from chaos.mutation import hunt, planted
from chaos.promises.verdict import Verdict
from chaos.results.lines import line
from chaos.scenarios.catalogue import SCENARIOS
from stack.servers import LentServers
from tests.chaos.planted import BUGS, LOST_RESPONSE, Bug
from tests.lanes import ELSEWHERE, sample

pytestmark = pytest.mark.chaos


SAMPLE = sample()


@pytest.mark.parametrize(
    "bug",
    [
        pytest.param(bug, id=bug.name, marks=[] if bug in SAMPLE else [pytest.mark.mutants])
        for bug in BUGS
    ],
)
async def test_a_planted_bug_is_caught(tmp_path: Path, servers: LentServers, bug: Bug) -> None:
    """A promise that speaks of the bug is broken, and the run fails; on the clean tree the same scenarios pass."""
    hunted = await hunt(bug, tmp_path, servers)
    rows = "\n".join(line(cell) for cell in hunted.played)
    assert hunted.caught, f"broken: {hunted.broken}\n{rows}"
    assert Verdict.FAIL in [cell.verdict for cell in hunted.played], rows


async def test_a_stack_without_a_bug_is_not_caught(tmp_path: Path, servers: LentServers) -> None:
    """The control of the hunt: all promises that were put to the test were kept."""
    clean = Bug("none", "nothing", {}, (LOST_RESPONSE,), frozenset({"X1", "C1", "L1"}))
    hunted = await hunt(clean, tmp_path, servers)
    assert (hunted.caught, hunted.broken) == (False, ())
    assert {cell.verdict for cell in hunted.played} == {Verdict.PASS}


def test_the_catalogue_of_bugs() -> None:
    """Each one is provoked by scenarios that exist, and there are enough of them."""
    names = {scenario.name for scenario in SCENARIOS}
    assert all(bug.scenarios and set(bug.scenarios) <= names for bug in BUGS)
    assert len(BUGS) >= 14
    assert list(planted()) == list(BUGS)


def test_the_sample_of_bugs() -> None:
    """Every promise that catches a bug has one in the sample, or elsewhere."""
    caught = {promise for bug in BUGS for promise in bug.promises}
    played = [*SAMPLE, *(bug for bug in BUGS if bug.name in ELSEWHERE)]
    assert {promise for bug in played for promise in bug.promises} == caught
    assert len(played) <= len(caught)
    assert not {bug.name for bug in SAMPLE} & ELSEWHERE.keys()
    assert len(played) == len(SAMPLE) + len(ELSEWHERE)
