"""A stack that was only described is struck through its Toxiproxy and its Postgres alone."""

import pytest

from chaos.harness.harness import Harness, Unplayable
from chaos.harness.target import described
from chaos.promises.verdict import Verdict
from chaos.results.lines import line
from chaos.runner.play import play
from chaos.runner.run import visit
from chaos.scenarios.catalogue import SCENARIOS

pytestmark = pytest.mark.chaos
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
PLAYABLE = (
    "disconnect/response_lost/exactly_once/warm",
    "disconnect/response_lost/at_least_once/fresh",
    "disconnect/request_lost/at_most_once/warm",
    "reset/request_lost/exactly_once/fresh",
    "commit/ambiguous_and_there",
    "commit/terminated_backend",
    "notification/request_lost",
)


@pytest.mark.parametrize("name", PLAYABLE)
async def test_a_described_stack(harness: Harness, name: str) -> None:
    """The retry is held by a lock in Postgres; the verdict is the same, and no claim is made about arrivals."""
    async with visit(described(harness.stack.description)) as visiting:
        played = await play(visiting, BY_NAME[name])
    assert played.verdict is Verdict.PASS, line(played)
    assert not any("journal" in witness.claim for witness in played.witnesses)


async def test_what_needs_processes_is_not_played(harness: Harness) -> None:
    """It says so by what it needs, and refuses if it is tried all the same."""
    scenario = BY_NAME["caller_killed/before_sending"]
    assert scenario.needs
    assert not any(BY_NAME[name].needs for name in PLAYABLE)
    async with visit(described(harness.stack.description)) as visiting:
        with pytest.raises(Unplayable):
            await play(visiting, scenario)
