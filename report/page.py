"""The report of a run as one HTML file.

Guarantee: the file needs nothing else: no network, no other file, no script to be read. Its policy forbids all of these
but its own style and script, named by their hashes. What went wrong stands first.
"""

import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from report import diagram, frame
from report.headline import table
from report.history import Event
from report.markup import element, html, program
from report.section import badge, section
from report.words import (
    Json,
    counted,
    counts,
    headline,
    of_verdict,
    outcome,
    situation,
)

_LEAD = (
    "Each figure is money that left the account, divided by the order's amount: "
    "1 is right, 2 means that the customer paid twice, 0 that the order was never billed. "
    "Red: a promise is broken; where the figure is as computed all the same, the promise is named below it."
)
_ORDER = ("fail", "unknown", "pass")
_TITLES = {
    "fail": "Broken promises",
    "unknown": "Without a verdict",
    "pass": "Promises kept",
}


def page(result: dict[str, Any], history: Sequence[Event]) -> str:
    """The whole file, from result.json and history.jsonl."""
    scenarios: Sequence[Json] = result["scenarios"]
    anchors = {
        scenario["name"]: f"scenario-{number}" for number, scenario in enumerate(scenarios, start=1)
    }
    events: dict[str, list[Event]] = defaultdict(list)
    for event in sorted(history, key=lambda event: float(event["at_ms"])):
        events[event.get("scenario", "")].append(event)
    style = frame.style() + diagram.style() + _file("player.css")
    script = frame.script() + _file("player.js")
    root = element(
        "html",
        frame.head(f"{result['verdict'].upper()}: {headline(result)}", style, script),
        element(
            "body",
            _header(result),
            element(
                "main",
                _wrong(scenarios, anchors),
                _table(scenarios, anchors),
                _filter(),
                *_groups(scenarios, events, anchors),
            ),
            _footer(result),
            program("script", script),
        ),
        lang="en",
    )
    return html(root)


def _header(result: Json) -> ET.Element:
    return element(
        "header",
        element("p", "Billed Once · chaos report", class_="brand"),
        element("div", badge(result["verdict"]), element("h1", headline(result)), class_="verdict"),
        element("p", counts(result), class_="counts"),
    )


def _footer(result: Json) -> ET.Element:
    versions: Mapping[str, str] = result.get("versions", {})
    facts = [("run", result["run"]), ("seed", f"{result['seed']}"), *versions.items()]
    return element(
        "footer",
        element(
            "dl",
            *(element("div", element("dt", name), element("dd", value)) for name, value in facts),
            class_="versions",
        ),
    )


def _wrong(scenarios: Sequence[Json], anchors: Mapping[str, str]) -> ET.Element | None:
    """What a reader wants to know first."""
    wrong = [*of_verdict(scenarios, "fail"), *of_verdict(scenarios, "unknown")]
    if not wrong:
        return None
    rows = [
        element(
            "li",
            badge(scenario["verdict"]),
            element(
                "div",
                element("a", scenario["title"], href=f"#{anchors[scenario['name']]}"),
                element("span", f" {situation(scenario)}", class_="situation"),
                element("p", outcome(scenario)),
            ),
        )
        for scenario in wrong
    ]
    return element(
        "section",
        element("h2", "What went wrong", id="wrong"),
        element("ol", *rows, class_="wrong"),
        aria_labelledby="wrong",
    )


def _table(scenarios: Sequence[Json], anchors: Mapping[str, str]) -> ET.Element | None:
    made = table(scenarios, anchors)
    if made is None:
        return None
    heading = element("h2", "What the caller saw, and what happened", id="table")
    return element(
        "section", heading, element("p", _LEAD, class_="lead"), made, aria_labelledby="table"
    )


def _groups(
    scenarios: Sequence[Json], events: Mapping[str, Sequence[Event]], anchors: Mapping[str, str]
) -> list[ET.Element]:
    groups = []
    for verdict in _ORDER:
        of_group = of_verdict(scenarios, verdict)
        if of_group:
            groups.append(
                element(
                    "section",
                    element("h2", f"{_TITLES[verdict]} ({counted(of_group)})", id=verdict),
                    *(
                        section(
                            scenario, events.get(scenario["name"], ()), anchors[scenario["name"]]
                        )
                        for scenario in of_group
                    ),
                    aria_labelledby=verdict,
                    class_="group",
                )
            )
    return groups


def _filter() -> ET.Element:
    """Shown by the script, which it needs."""
    return element(
        "p",
        element("label", "Filter scenarios ", for_="filter"),
        element("input", type="search", id="filter", autocomplete="off"),
        element("span", "", id="found", role="status"),
        class_="filter",
        hidden="hidden",
    )


def _file(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
