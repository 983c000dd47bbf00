"""The headline table, out of real faults."""

import pytest

from chaos.play import Played, Theatre
from chaos.report.console import line
from chaos.scenarios import SCENARIOS, Scenario
from chaos.verdict import Verdict
from order_service.wire import Delivery

pytestmark = pytest.mark.chaos

# Money withdrawn divided by the order's amount: the table that the project promises, written down once more by hand.
TABLE = {
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


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_a_scenario(theatre: Theatre, scenario: Scenario, played: dict[str, Played]) -> None:
    """Every witness was seen, and the money moved as computed and as the table says."""
    cell = await theatre.play(scenario)
    played[scenario.name] = cell
    assert cell.verdict is Verdict.PASS, line(cell)
    assert cell.measured.effects == TABLE[scenario.situation.name][COLUMNS.index(scenario.delivery)]


async def test_situations_2_to_5_look_the_same(theatre: Theatre, played: dict[str, Played]) -> None:
    """The same exception with the same text: from what a caller sees, it cannot know what happened."""
    for scenario in SCENARIOS:
        if scenario.name not in played:
            played[scenario.name] = await theatre.play(scenario)
    saw = {
        cell.measured.caller_saw
        for cell in played.values()
        if cell.scenario.situation.name != "success"
    }
    assert saw == {"ServerDisconnectedError: Server disconnected"}
