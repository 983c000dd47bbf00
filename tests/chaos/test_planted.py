"""Negative controls: a stack with a planted bug must not pass."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from chaos.harness.harness import Harness
from chaos.mutation import hunt, planted
from chaos.promises.verdict import Verdict
from chaos.results.lines import line
from chaos.runner.run import WRAPPED, open_harness
from chaos.scenarios.catalogue import SCENARIOS
from stack.servers import LentServers
from tests.chaos.planted import BUGS, Bug
from tests.lanes import sample

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

    def open_with(
        factories: Mapping[str, str], bound_s: float, with_standby: bool
    ) -> AbstractAsyncContextManager[Harness]:
        return open_harness(
            tmp_path,
            lambda _: None,
            factories={**WRAPPED, **factories},
            usual_ports=False,
            servers=servers,
            bound_s=bound_s,
            with_standby=with_standby,
        )

    hunted = await hunt(bug, open_with)
    rows = "\n".join(line(cell) for cell in hunted.played)
    assert hunted.caught, f"broken: {hunted.broken}\n{rows}"
    assert Verdict.FAIL in [cell.verdict for cell in hunted.played], rows


def test_the_catalogue_of_bugs() -> None:
    """Each one is provoked by scenarios that exist, and there are enough of them."""
    names = {scenario.name for scenario in SCENARIOS}
    assert all(bug.scenarios and set(bug.scenarios) <= names for bug in BUGS)
    assert len(BUGS) >= 14
    assert list(planted()) == list(BUGS)


def test_the_sample_of_bugs() -> None:
    """Every promise that catches a bug has one in the sample."""
    caught = {promise for bug in BUGS for promise in bug.promises}
    assert {promise for bug in SAMPLE for promise in bug.promises} == caught
    assert len(SAMPLE) <= len(caught)
