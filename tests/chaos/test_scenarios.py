"""The catalogue, out of real faults: `-k` selects, and each scenario is one test.

It is played in parts, which test processes share out among themselves; the one that ends last judges the whole.
"""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from chaos.harness.harness import Harness
from chaos.promises.verdict import Verdict
from chaos.results.lines import line
from chaos.results.result import recorded, result, write_run
from chaos.runner.play import Played, play
from chaos.runner.run import server_versions
from chaos.runner.whole import judge_shares, share
from chaos.scenarios.catalogue import SCENARIOS
from chaos.scenarios.scenario import Scenario
from chaos.scenarios.table import CELLS, TABLE
from order_service.wire import Delivery
from report.command import Invocation
from report.diagram import text
from stack.schema import PROJECT
from tests.chaos.parts import IN_ORDER, PARTS, SEED, Meeting, part_of

pytestmark = pytest.mark.chaos

# Money withdrawn divided by the order's amount: the table that the project promises, written down once more by hand.
PROMISED = {
    "success": (1, 1, 1),
    "response_lost": (1, 2, 1),
    "crash_after_execution": (1, 2, 1),
    "crash_before_execution": (0, 1, 1),
    "request_lost": (0, 1, 1),
}
COLUMNS = (Delivery.AT_MOST_ONCE, Delivery.AT_LEAST_ONCE, Delivery.EXACTLY_ONCE)


@pytest.fixture(scope="module")
def played() -> dict[str, Played]:
    """What the scenarios of this module gave."""
    return {}


@pytest.fixture
def meeting(request: pytest.FixtureRequest, folder_of_run: Path) -> Meeting:
    """Where the parts of this run meet: all that were selected are waited for."""
    expected = sum(
        isinstance(item, pytest.Function) and item.function is test_the_whole_run
        for item in request.session.items
    )
    return Meeting(folder_of_run / "parts", expected)


@pytest.mark.parametrize("scenario", IN_ORDER, ids=lambda scenario: scenario.name)
async def test_a_scenario(harness: Harness, scenario: Scenario, played: dict[str, Played]) -> None:
    """Every witness was seen, every promise was kept, and the money moved as the table says."""
    cell = await play(harness, scenario)
    played[scenario.name] = cell
    assert cell.verdict is Verdict.PASS, f"{line(cell)}\n{text(recorded([cell]))}"
    if scenario.situation is not None:
        assert cell.effects == PROMISED[scenario.situation.name][COLUMNS.index(scenario.delivery)]


@pytest.mark.parametrize("part", range(PARTS))
async def test_the_whole_run(
    harness: Harness, played: dict[str, Played], meeting: Meeting, part: int
) -> None:
    """The audit of each database finds nothing, and situations 2 to 5 look the same to the caller in each family.

    Only the last part judges, and it judges all parts. The report lies where `make chaos` would write it.
    """
    for scenario in TABLE:
        if part_of(scenario.name) == part and scenario.name not in played:
            played[scenario.name] = await play(harness, scenario)
    cells = [played[s.name] for s in SCENARIOS if part_of(s.name) == part and s.name in played]
    shares = meeting.hand_in(part, await share(harness, cells))
    if shares is None:
        return
    whole = judge_shares(shares)
    of_all = {cell.scenario.name: cell for each in shares for cell in each.played}
    cells = [of_all[scenario.name] for scenario in SCENARIOS if scenario.name in of_all]
    run = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-tests"
    versions = await server_versions(harness.target, harness.toxiproxy)
    content = result(run, Invocation(SEED), cells, whole, versions) | {"interrupted": False}
    write_run(PROJECT / ".run" / "results" / run, content, recorded(cells))
    assert whole.verdict is Verdict.PASS, line(whole)
    assert any(finding.promise == "S" for finding in whole.findings)


def test_every_cell_has_its_scenario() -> None:
    """Five situations under three semantics in three families, on both kinds of connections where that is possible."""
    assert len(CELLS) == 5 * 3 * (2 + 1 + 2)
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
    assert len(TABLE) == 15
