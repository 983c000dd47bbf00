"""The headline table on a terminal, with what went wrong beneath it.

Guarantee: a cell shows what was measured, and what was paid twice or lost is no green; what was computed stands beside it only as the
thing to compare with. A cell that did not pass has its reasons beneath the table.
"""

from collections.abc import Iterable, Mapping, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from chaos.promises.verdict import Verdict
from chaos.results.lines import STYLE, reasons
from chaos.results.story import paid
from chaos.runner.play import Played
from chaos.scenarios.scenario import Scenario
from order_service.wire import Delivery
from report.situations import SITUATIONS, Situation

_COLUMNS = {
    Delivery.AT_MOST_ONCE: "at most\nonce",
    Delivery.AT_LEAST_ONCE: "at least\nonce*",
    Delivery.EXACTLY_ONCE: "+ sequence\nkey",
}


def are_cells(scenarios: Iterable[Scenario]) -> bool:
    """Whether the scenarios are cells of one family: then they are shown as the table."""
    cells = list(scenarios)
    families = {(scenario.family, scenario.connection) for scenario in cells}
    return len(families) == 1 and all(scenario.situation for scenario in cells)


def table(
    scenarios: Sequence[Scenario], played: Mapping[str, Played], current: Scenario | None = None
) -> Table:
    """Measured cells, with the computed figure beside the ones that differ. `current` is being played."""
    made = Table(
        title="Money withdrawn ÷ the order's amount, measured",
        caption="* a fresh key for each attempt",
        box=box.SIMPLE_HEAD,
    )
    made.add_column("what happened to\nthe first attempt")
    made.add_column("executed", justify="center")
    made.add_column("answered", justify="center")
    for title in _COLUMNS.values():
        made.add_column(title, justify="center")
    for number, situation in enumerate(SITUATIONS, start=1):
        made.add_row(
            f"{number} {situation.title}",
            "yes" if situation.executed else "no",
            "yes" if situation.answered else "no",
            *(_cell(scenarios, played, current, situation, delivery) for delivery in _COLUMNS),
        )
    return made


def with_reasons(made: Table, played: Iterable[Played]) -> RenderableType:
    """The table, and beneath it why cells did not pass."""
    return Group(made, *(reasons(cell) for cell in played if cell.verdict is not Verdict.PASS))


def _cell(
    scenarios: Sequence[Scenario],
    played: Mapping[str, Played],
    current: Scenario | None,
    situation: Situation,
    delivery: Delivery,
) -> str:
    return " ".join(
        _figure(played[scenario.name])
        if scenario.name in played
        else ("…" if scenario is current else "")
        for scenario in scenarios
        if (scenario.situation, scenario.delivery) == (situation, delivery)
    )


def _figure(cell: Played) -> str:
    """What was measured: twice is red and lost is yellow, in words too; a cell that did not pass is marked."""
    words, style = paid(cell.effects)
    short = words.removeprefix("paid ") if cell.effects not in (None, 1) else ""
    text = "" if cell.effects is None else f"[{style}]{cell.effects:g} {short}".rstrip() + "[/]"
    match cell.verdict:
        case Verdict.FAIL:
            text += f" [{STYLE[cell.verdict]}]✗ not {cell.scenario.effects}[/]"
        case Verdict.UNKNOWN:
            text += f" [{STYLE[cell.verdict]}]?[/]"
    return text.strip()
