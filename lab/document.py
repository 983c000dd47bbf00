"""Diagrams of the play, and the play saved as one HTML file.

Guarantee: a diagram is drawn from what was recorded of the order, by the report's own code; the saved file needs nothing else.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import report
from lab.columns import COLUMNS
from lab.play import Play
from lab.rounds import Lane, Round
from report import diagram
from report.markup import xml
from report.replay import Figure, replay

_REPORT = Path(report.__file__).parent
# The player is the report's own; the lab's page loads the same files.
_SHARED = ("player.js", "player.css", "diagram.css")


def shared_files() -> Mapping[str, Path]:
    """Files of the report that the page uses, by name."""
    return {name: _REPORT / name for name in _SHARED}


def diagram_of(played: Round, column: str) -> str:
    """An SVG picture of one order, for a page that has the report's style."""
    lane = played.lanes[column]
    told = diagram.condensed(_events(lane))
    return xml(diagram.svg_element(told, _title(played, lane), "order-diagram", 1))


def saved(play: Play) -> str:
    """All remembered orders, with their diagrams, the table, and the harm."""
    figures = [
        Figure(
            _title(played, lane),
            _says(lane),
            _events(lane),
            "twice" if lane.effects > 1 else "lost" if lane.moved_cents == 0 else "once",
        )
        for played in play.rounds
        if played.over
        for lane in played.lanes.values()
    ]
    state = play.state()
    rows = [
        (row["title"], [_cell(row["cells"][column.name]) for column in COLUMNS])
        for row in state["table"]
    ]
    harm = state["harm"]
    return replay(
        "Billed Once: a play in the lab",
        f"Harm: {harm['taken_cents'] / 100:.2f} taken too much, {harm['lost']} orders lost.",
        [column.title for column in COLUMNS],
        rows,
        figures,
        state["plan"],
    )


def _cell(cell: dict[str, Any] | None) -> str:
    return f"{cell['effects']:g}" if cell else ""


def _title(played: Round, lane: Lane) -> str:
    planted = f", planted: {played.bug}" if played.bug else ""
    return f"Order {played.number}, {lane.column.title}{planted}"


def _says(lane: Lane) -> str:
    attempts = len(lane.attempts)
    return f"Paid {lane.effects:g} times. {attempts} attempt{'' if attempts == 1 else 's'}. Status: {lane.status}."


def _events(lane: Lane) -> list[dict[str, Any]]:
    first_ns = lane.events[0].at_ns if lane.events else 0
    return [
        {
            "at_ms": round((event.at_ns - first_ns) / 1e6, 3),
            "service": event.service,
            "pid": event.pid,
            "seam": event.seam,
            "account": event.account,
            **event.fields,
        }
        for event in sorted(lane.events, key=lambda event: event.at_ns)
    ]
