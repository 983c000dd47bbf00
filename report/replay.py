"""A play as one HTML file: a table, and a diagram of each order with a player.

Guarantee: the file needs nothing else, and replays in a browser without any server.
"""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from report import diagram
from report.frame import head
from report.history import Event
from report.markup import element, html, program


@dataclass(frozen=True)
class Figure:
    """One order: a title, one sentence, its events, and `kind`: once, twice or lost."""

    title: str
    says: str
    events: Sequence[Event]
    kind: str


def replay(
    title: str,
    lead: str,
    columns: Sequence[str],
    rows: Sequence[tuple[str, Sequence[str]]],
    figures: Sequence[Figure],
    plan: str,
) -> str:
    """The whole file. `rows` are a title and a cell for each column; `plan` plays it again in a lab."""
    style = _file("replay.css") + diagram.style() + _file("player.css")
    script = _file("player.js")
    body = element(
        "body",
        element("header", element("h1", title), element("p", lead)),
        element(
            "main",
            _table(columns, rows),
            *(_figure(figure, number) for number, figure in enumerate(figures, start=1)),
            None if figures else element("p", "Nothing was played yet."),
        ),
        element(
            "footer",
            element("p", "The play as a plan: ", element("code", f"#{plan}"), class_="soft"),
        ),
        program("script", script),
    )
    return html(element("html", head(title, style, script), body, lang="en"))


def _table(columns: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> ET.Element:
    return element(
        "div",
        element(
            "table",
            element("caption", "Money taken, divided by the price"),
            element(
                "thead",
                element(
                    "tr",
                    element("th", "What happened to the first attempt", scope="col"),
                    *(element("th", column, scope="col") for column in columns),
                ),
            ),
            element(
                "tbody",
                *(
                    element(
                        "tr",
                        element("th", title, scope="row"),
                        *(element("td", cell or "not played") for cell in cells),
                    )
                    for title, cells in rows
                ),
            ),
        ),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label="The table",
    )


def _figure(figure: Figure, number: int) -> ET.Element:
    identity = f"order-{number}"
    told = diagram.condensed(figure.events)
    return element(
        "article",
        element("h2", figure.title, id=identity),
        element("p", figure.says),
        element(
            "figure",
            element(
                "div",
                diagram.svg_element(told, figure.title, f"{identity}-diagram", 1),
                class_="scroll",
                tabindex=0,
                role="region",
                aria_label=f"Diagram: {figure.title}",
            ),
            class_="playable",
        ),
        class_=figure.kind,
        aria_labelledby=identity,
    )


def _file(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
