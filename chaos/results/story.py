"""The headline table told cell by cell while it is played: what happened, what the caller did, what was paid.

Guarantee: what was paid is the measured figure, in words as well as in a colour; a cell that did not pass has its reasons beneath
its own line, and no line of a cell that passed is wider than 80 columns.
"""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from chaos.promises.verdict import Verdict
from chaos.results.lines import STYLE, reasons
from chaos.runner.play import Played
from chaos.scenarios.scenario import Scenario
from order_service.wire import Delivery
from report.situations import SITUATIONS, Situation

OPENING = """A service sends a charge and gets no answer. Was the customer charged? It cannot
know: a lost request, a lost answer and a crash look the same to it. Each of the
five is played with a real fault, under three semantics of delivery; what was
paid is read from the account's balance.
"""

# How the faults of the table strike (chaos/scenarios/table.py): the family in which the connection ends without an answer.
_HAPPENS = {
    "success": "billing withdraws, and the answer arrives",
    "response_lost": "billing withdraws, and Toxiproxy drops the answer",
    "crash_after_execution": "billing withdraws, then dies",
    "crash_before_execution": "billing dies first",
    "request_lost": "Toxiproxy drops the request",
}
_DOES = {
    Delivery.AT_MOST_ONCE: "gives up",
    Delivery.AT_LEAST_ONCE: "sends again, with a fresh key",
    Delivery.EXACTLY_ONCE: "sends again, with the same key",
}
_NAMES = {
    Delivery.AT_MOST_ONCE: "at most once",
    Delivery.AT_LEAST_ONCE: "at least once",
    Delivery.EXACTLY_ONCE: "+ sequence key",
}


def paid(effects: float | None) -> tuple[str, str]:
    """The words for money withdrawn ÷ the order's amount, and their style."""
    match effects:
        case None:
            return "not measured", STYLE[Verdict.UNKNOWN]
        case 0:
            return "lost", "yellow"
        case 1:
            return "paid once", "green"
        case 2:
            return "paid twice", "red"
    return f"paid {effects:g} times", "red"


def happens(scenario: Scenario, before: Scenario | None) -> Text | None:
    """The line above the first cell of a row; None for the others."""
    situation = scenario.situation
    if situation is None or (before is not None and before.situation == situation):
        return None
    number = SITUATIONS.index(situation) + 1
    return Text.assemble((f"{number} {situation.title}", "bold"), f": {_HAPPENS[situation.name]}")


def told(played: Played) -> RenderableType:
    """One cell: what the caller did, and what was paid; beneath it, unless it passed, why it did not."""
    scenario = played.scenario
    words, style = paid(played.effects)
    figure = "?" if played.effects is None else f"{played.effects:g}"
    text = Text.assemble(
        f"    {_NAMES[scenario.delivery]:16}the caller {_did(scenario):32}",
        (f"{figure} {words}", style),
    )
    if played.verdict is Verdict.PASS:
        return text
    text.append(f"  {played.verdict.upper()}, computed {scenario.effects}", STYLE[played.verdict])
    return Group(text, reasons(played))


def _did(scenario: Scenario) -> str:
    situation: Situation | None = scenario.situation
    answered = situation is not None and situation.answered
    return "has its answer" if answered else _DOES[scenario.delivery]


def in_the_order_of_the_table(scenarios: Sequence[Scenario]) -> list[Scenario]:
    """Row by row, and in a row from at most once to the sequence key."""
    columns = list(_NAMES)
    return sorted(
        scenarios,
        key=lambda scenario: (
            SITUATIONS.index(scenario.situation) if scenario.situation else len(SITUATIONS),
            columns.index(scenario.delivery),
        ),
    )
