"""One scenario on the page: what happened, which promise, the diagram, the witnesses, how to repeat it.

Guarantee: what went wrong stands above everything else, with the rows that show it.
"""

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence

from report import diagram
from report.history import Event
from report.markup import element
from report.words import Json, effects, outcome, situation

# A longer diagram is not readable; history.jsonl has all events.
EVENTS_DRAWN_MAX = 300
_LEGEND = (
    "A charge has its sequence key in quotes and its retry flag (?1: a retry). Dashed and ending in a cross: lost. Stray: it "
    "arrived, and no sender has recorded it. Bar on Toxiproxy: a toxic is armed, on the hop that it names. Disc with a "
    "cross: the process died. Diamond: a reading of Postgres, filled when money had moved. Effects: money that left the account "
    "÷ the order's amount; keys: processed keys of the order that billing remembers. Four characters at the end: another account's."
)
SIGNS = {"pass": "✓", "fail": "✗", "unknown": "?"}
_KEPT = {True: ("pass", "kept"), False: ("fail", "broken"), None: ("unknown", "unknown")}


def section(scenario: Json, events: Sequence[Event], anchor: str) -> ET.Element:
    """A fold that is open unless the scenario passed."""
    passed = scenario["verdict"] == "pass"
    of_orders = scenario.get("delivery", "") is not None
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
        # The run as a whole has no order of its own, and nothing happens in it.
        *((_facts(scenario), *_diagram(scenario, events, anchor)) if of_orders else ()),
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
    arrivals = "not known" if scenario["arrivals"] is None else f"{scenario['arrivals']}"
    facts = (
        ("the first attempt on record saw", scenario["caller_saw"]),
        ("attempts on record", f"{scenario['attempts']}"),
        ("arrivals at billing", arrivals),
        ("withdrawals", f"{scenario['commits']}"),
        ("money moved ÷ amount", effects(scenario)),
    )
    return element(
        "dl",
        *(element("div", element("dt", name), element("dd", value)) for name, value in facts),
        class_="facts",
    )


def _diagram(scenario: Json, events: Sequence[Event], anchor: str) -> list[ET.Element]:
    if not events:
        return [element("p", "Nothing was recorded of this scenario.", class_="remark")]
    told = diagram.condensed(events)
    drawn = told[:EVENTS_DRAWN_MAX]
    name = f"Sequence of {scenario['name']}"
    left_out = len(told) - len(drawn)
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
        element("figure", element("figcaption", _LEGEND + remark), picture, class_="playable"),
        as_text,
    ]


def _promises(title: str, promises: Sequence[Json]) -> ET.Element | None:
    if not promises:
        return None
    rows = []
    # The same promise of several orders is one line.
    asked = Counter(
        (p["name"], p["claim"], p["kept"], p["kind"], p.get("detail") or "") for p in promises
    )
    for (name, claim, is_kept, kind, detail), times in asked.items():
        verdict, word = _KEPT[is_kept]
        orders = f" · of {times} orders" if times > 1 else ""
        rows.append(
            element(
                "li",
                element("span", SIGNS[verdict], class_=f"sign {verdict}", aria_hidden="true"),
                element(
                    "div",
                    element("b", name),
                    f" {claim} ",
                    element("small", f"{word} · {kind}{orders}", class_=verdict),
                    element("pre", detail, class_="rows", tabindex=0) if detail else None,
                ),
            )
        )
    return element("div", element("h4", title), element("ul", *rows, class_="checks"))


def _witnesses(witnesses: Sequence[Json]) -> ET.Element:
    rows = []
    looked = Counter((bool(witness["seen"]), witness["claim"]) for witness in witnesses)
    for (seen, claim), times in sorted(looked.items(), key=lambda item: item[0][0]):
        verdict, word = ("pass", "seen") if seen else ("unknown", "not seen")
        word += f" · {times} times" if times > 1 else ""
        rows.append(
            element(
                "li",
                element("span", SIGNS[verdict], class_=f"sign {verdict}", aria_hidden="true"),
                element("div", f"{claim} ", element("small", word, class_=verdict)),
            )
        )
    if not rows:
        rows.append(element("li", "There is none, so there can be no verdict."))
    return element("div", element("h4", "Witnesses"), element("ul", *rows, class_="checks"))
