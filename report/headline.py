"""The headline table: what the caller saw against what happened.

Guarantee: a cell shows what was measured; what was computed stands beside it only where it differs. A situation that was
not played has no cell.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence

from report.markup import Child, element
from report.situations import SITUATIONS
from report.words import Json

_FAMILIES = {
    "disconnect": "the connection ends without an answer",
    "reset": "the connection is reset",
    "silence": "nothing comes back until the deadline",
}
_COLUMNS = (
    ("at_most_once", "at most once", "one attempt"),
    ("at_least_once", "at least once", "a fresh key each attempt"),
    ("exactly_once", "at least once + key", "one sequence key for all attempts"),
)


def table(scenarios: Sequence[Json], anchors: Mapping[str, str]) -> ET.Element | None:
    """The table in a box of its own; None when no situation of the table was played."""
    played = [scenario for scenario in scenarios if scenario.get("situation")]
    if not played:
        return None
    families = list(dict.fromkeys(scenario.get("family") for scenario in played))
    bodies = [
        _family(family, [s for s in played if s.get("family") == family], anchors)
        for family in families
    ]
    made = element(
        "table",
        element("caption", _CAPTION),
        _head(),
        *bodies,
        class_="headline",
        # On a narrow screen its rows are blocks, which takes its roles from it unless they are written down.
        role="table",
    )
    # Where it is wider than its column, it scrolls in its own box.
    return element(
        "div",
        made,
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label="The table, which scrolls sideways",
    )


_SAW = "the caller saw"
_CAPTION = "Money withdrawn ÷ the order's amount"


def _head() -> ET.Element:
    titles = [
        element("th", title, scope="col", class_=classes, role="columnheader")
        for title, classes in (
            ("what happened to the first attempt", "what"),
            ("executed", "fact"),
            ("answered", "fact"),
            (_SAW, "saw"),
        )
    ]
    titles += [
        element(
            "th",
            title,
            element("small", explanation),
            scope="col",
            class_="cell",
            role="columnheader",
        )
        for _, title, explanation in _COLUMNS
    ]
    return element("thead", element("tr", *titles, role="row"), role="rowgroup")


def _family(
    family: str | None, scenarios: Sequence[Json], anchors: Mapping[str, str]
) -> ET.Element:
    name = family or "no family"
    explanation = _FAMILIES.get(name)
    heading = element(
        "th",
        name,
        element("small", explanation) if explanation else None,
        scope="rowgroup",
        colspan=4 + len(_COLUMNS),
        class_="family",
        role="rowheader",
    )
    rows = (element("tr", heading, role="row"), *_rows(scenarios, anchors))
    return element("tbody", *rows, role="rowgroup")


def _rows(scenarios: Sequence[Json], anchors: Mapping[str, str]) -> Iterator[ET.Element]:
    of_situation = {
        row.name: [scenario for scenario in scenarios if scenario["situation"] == row.name]
        for row in SITUATIONS
    }
    unanswered = [row.name for row in SITUATIONS if of_situation[row.name] and not row.answered]
    seen_unanswered = {_saw(scenario) for name in unanswered for scenario in of_situation[name]}
    same = len(seen_unanswered) == 1 and len(unanswered) > 1
    for number, row in enumerate(SITUATIONS, start=1):
        name = row.name
        if not of_situation[name]:
            continue
        saw: ET.Element | None = _saw_cell(of_situation[name])
        if same and name in unanswered:
            # One cell for all of them: the caller cannot tell which situation it was.
            saw = _same_cell(seen_unanswered.pop(), len(unanswered)) if seen_unanswered else None
        yield element(
            "tr",
            element("th", f"{number} {row.title}", scope="row", class_="what", role="rowheader"),
            _td("yes" if row.executed else "no", class_="fact", label="executed"),
            _td("yes" if row.answered else "no", class_="fact", label="answered"),
            saw,
            *(
                _cell(of_situation[name], delivery, title, anchors)
                for delivery, title, _ in _COLUMNS
            ),
            role="row",
        )


def _saw(scenario: Json) -> str:
    return str(scenario["caller_saw"])


def _saw_cell(scenarios: Sequence[Json]) -> ET.Element:
    texts = sorted(set(map(_saw, scenarios)))
    return _td(*(element("div", element("code", text)) for text in texts), class_="saw", label=_SAW)


def _same_cell(text: str, rows: int) -> ET.Element:
    explanation = element("small", f"the same in all {rows}: the caller cannot know which it was")
    return _td(element("code", text), explanation, class_="saw same", label=_SAW, rowspan=rows)


def _td(*children: Child, class_: str, label: str, rowspan: int | None = None) -> ET.Element:
    """A cell that has its heading with it, for screens that show no row of headings."""
    return element("td", *children, class_=class_, data_label=label, rowspan=rowspan, role="cell")


def _cell(
    scenarios: Sequence[Json], delivery: str, title: str, anchors: Mapping[str, str]
) -> ET.Element:
    here = [scenario for scenario in scenarios if scenario["delivery"] == delivery]
    if not here:
        return _td(element("small", "not played"), class_="cell", label=title)
    figures = {_figure(scenario) for scenario in here}
    if len(figures) == 1:
        return _td(_entry(here[0], anchors), class_="cell", label=title)
    entries = [
        element("div", _entry(scenario, anchors), element("small", scenario["connection"]))
        for scenario in here
    ]
    return _td(*entries, class_="cell", label=title)


def _broken(scenario: Json) -> str:
    """The names of the promises; what they say stands where the cell leads to."""
    return ", ".join(dict.fromkeys(p["name"] for p in scenario["promises"] if p["kept"] is False))


def _figure(scenario: Json) -> tuple[str, float | None, float]:
    return scenario["verdict"], scenario["effects_measured"], scenario["effects_expected"]


def _entry(scenario: Json, anchors: Mapping[str, str]) -> ET.Element:
    verdict, measured, expected = _figure(scenario)
    note = None
    kind = verdict
    if verdict == "unknown" or measured is None:
        kind = note = "unknown"
    elif measured != expected:
        note = f"✗ has to be {expected:g}"
    elif verdict == "fail":
        note = f"as computed, ✗ {_broken(scenario)}"
    elif measured != 1:
        # As computed, and harm all the same: that is what this delivery does.
        kind, note = "harm", "lost" if measured < 1 else "paid twice" if measured == 2 else "wrong"
    return element(
        "a",
        element("b", "?" if measured is None else f"{measured:g}"),
        element("small", note) if note else None,
        href=f"#{anchors[scenario['name']]}",
        class_=f"figure {kind}",
    )
