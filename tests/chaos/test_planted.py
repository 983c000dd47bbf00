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
from tests.chaos.planted import BUGS, Bug

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
async def test_a_planted_bug_is_caught(tmp_path: Path, bug: Bug) -> None:
    """A promise that speaks of the bug is broken, and the run fails; on the clean tree the same scenarios pass."""

    def open_with(
        factories: Mapping[str, str], with_standby: bool
    ) -> AbstractAsyncContextManager[Harness]:
        return open_harness(
            tmp_path,
            lambda _: None,
            usual_ports=False,
            factories={**WRAPPED, **factories},
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
