"""The catalogue, out of real faults: `-k` selects, and each scenario is one test."""

import random
from datetime import UTC, datetime

import pytest

from chaos.harness.harness import Harness
from chaos.promises.verdict import Verdict
from chaos.results.lines import line
from chaos.results.result import recorded, result, write_run
from chaos.runner.play import Played, play
from chaos.runner.run import server_versions
from chaos.runner.whole import judge_run
from chaos.scenarios.catalogue import SCENARIOS
from chaos.scenarios.scenario import Scenario
from chaos.scenarios.table import CELLS, TABLE
from order_service.wire import Delivery
from report.command import Invocation
from report.diagram import text
from stack.schema import PROJECT

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


# The order of `chaos run` with this seed, which the report names.
SEED = 0


@pytest.mark.parametrize(
    "scenario",
    random.Random(SEED).sample(SCENARIOS, len(SCENARIOS)),
    ids=lambda scenario: scenario.name,
)
async def test_a_scenario(harness: Harness, scenario: Scenario, played: dict[str, Played]) -> None:
    """Every witness was seen, every promise was kept, and the money moved as the table says."""
    cell = await play(harness, scenario)
    played[scenario.name] = cell
    assert cell.verdict is Verdict.PASS, f"{line(cell)}\n{text(recorded([cell]))}"
    if scenario.situation is not None:
        assert cell.effects == PROMISED[scenario.situation.name][COLUMNS.index(scenario.delivery)]


async def test_the_whole_run(harness: Harness, played: dict[str, Played]) -> None:
    """The audit of the database finds nothing, and situations 2 to 5 look the same to the caller in each family.

    The report of what was played lies where `make chaos` would write it.
    """
    for scenario in TABLE:
        if scenario.name not in played:
            played[scenario.name] = await play(harness, scenario)
    cells = [played[scenario.name] for scenario in SCENARIOS if scenario.name in played]
    whole = await judge_run(harness, cells)
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
