"""One scenario on the page: what happened, which promise, the diagram, the witnesses, how to repeat it.

Guarantee: what went wrong stands above everything else, with the rows that show it.
"""

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from chaos.report import diagram
from chaos.report.history import Event
from chaos.report.markup import element
from chaos.report.words import Json, effects, outcome, situation

# A diagram with more rows is read by nobody; the file has them all.
EVENTS_DRAWN_MAX = 300
_LEGEND = (
    "A charge has its sequence key in quotes and its retry flag (?1: a retry). Dashed and ending in a cross: lost. "
    "Bar on Toxiproxy: a toxic is armed. Disc with a cross: the process died. "
    "Diamond: the money in Postgres, filled when it had moved."
)
SIGNS = {"pass": "✓", "fail": "✗", "unknown": "?"}
_KEPT = {True: ("pass", "kept"), False: ("fail", "broken"), None: ("unknown", "unknown")}


def section(scenario: Json, events: Sequence[Event], anchor: str) -> ET.Element:
    """A fold that is open unless the scenario passed."""
    passed = scenario["verdict"] == "pass"
    promises: Sequence[Json] = scenario["promises"]
    kept = [promise for promise in promises if promise["kept"] is True]
    others = sorted(
        (promise for promise in promises if promise["kept"] is not True),
        key=lambda promise: promise["kept"] is None,
    )
    body = element(
        "div",
        element("p", outcome(scenario), class_=f"outcome {scenario['verdict']}"),
        _promises("Promises that were not kept", others),
        _facts(scenario),
        *_diagram(scenario, events, anchor),
        _witnesses(scenario["witnesses"]),
        _promises("Promises that were kept", kept),
        element("h4", "Repeat it"),
        element("pre", element("code", scenario["reproduce"]), class_="command", tabindex=0),
        id=anchor,
        class_="body",
    )
    return element(
        "details",
        _summary(scenario),
        body,
        class_=f"scenario {scenario['verdict']}",
        data_text=f"{scenario['name']} {scenario['title']} {scenario['verdict']}",
        **({} if passed else {"open": "open"}),
    )


def badge(verdict: str) -> ET.Element:
    """The verdict as a sign and a word; colour only repeats it."""
    sign = element("span", SIGNS.get(verdict, "?"), aria_hidden="true")
    return element("span", sign, f" {verdict}", class_=f"badge {verdict}")


def _summary(scenario: Json) -> ET.Element:
    return element(
        "summary",
        badge(scenario["verdict"]),
        element(
            "span",
            element("h3", scenario["title"]),
            element("span", situation(scenario), class_="situation"),
            class_="name",
        ),
        element("span", f"{scenario['seconds']:.1f} s", class_="seconds"),
    )


def _facts(scenario: Json) -> ET.Element:
    facts = (
        ("the first attempt saw", scenario["caller_saw"]),
        ("attempts", f"{scenario['attempts']}"),
        ("arrivals", f"{scenario['arrivals']}"),
        ("commits", f"{scenario['commits']}"),
        ("effects", effects(scenario)),
    )
    return element(
        "dl",
        *(element("div", element("dt", name), element("dd", value)) for name, value in facts),
        class_="facts",
    )


def _diagram(scenario: Json, events: Sequence[Event], anchor: str) -> list[ET.Element]:
    if not events:
        return [element("p", "Nothing was recorded of this scenario.", class_="remark")]
    drawn = events[:EVENTS_DRAWN_MAX]
    name = f"Sequence of {scenario['name']}"
    left_out = len(events) - len(drawn)
    remark = f" {left_out} more events are in history.jsonl." if left_out else ""
    picture = element(
        "div",
        diagram.svg_element(drawn, name, f"{anchor}-diagram", scenario["effects_expected"]),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label=name,
    )
    as_text = element(
        "details",
        element("summary", "The same as text"),
        element("pre", diagram.text(drawn, scenario["effects_expected"]), tabindex=0),
        class_="as-text",
    )
    return [
        element("h4", "What happened"),
        element("figure", picture, element("figcaption", _LEGEND + remark)),
        as_text,
    ]


def _promises(title: str, promises: Sequence[Json]) -> ET.Element | None:
    if not promises:
        return None
    rows = []
    for promise in promises:
        verdict, word = _KEPT[promise["kept"]]
        detail = promise["detail"]
        rows.append(
            element(
                "li",
                element("span", SIGNS[verdict], class_=f"sign {verdict}", aria_hidden="true"),
                element(
                    "div",
                    element("b", promise["name"]),
                    f" {promise['claim']} ",
                    element("small", f"{word} · {promise['kind']}", class_=verdict),
                    element("pre", detail, class_="rows", tabindex=0) if detail else None,
                ),
            )
        )
    return element("div", element("h4", title), element("ul", *rows, class_="checks"))


def _witnesses(witnesses: Sequence[Json]) -> ET.Element:
    rows = []
    for witness in sorted(witnesses, key=lambda witness: bool(witness["seen"])):
        verdict, word = ("pass", "seen") if witness["seen"] else ("unknown", "not seen")
        rows.append(
            element(
                "li",
                element("span", SIGNS[verdict], class_=f"sign {verdict}", aria_hidden="true"),
                element("div", f"{witness['claim']} ", element("small", word, class_=verdict)),
            )
        )
    if not rows:
        rows.append(element("li", "There is none, so there can be no verdict."))
    return element("div", element("h4", "Witnesses"), element("ul", *rows, class_="checks"))
