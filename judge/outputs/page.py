"""The report of a run as one HTML file, in the style of the project's other reports.

Guarantee: the file needs nothing else, and what the service answered is text in it and never markup.
"""

import xml.etree.ElementTree as ET

from judge.outputs import diagram
from judge.outputs.result import Json
from report import diagram as report_diagram
from report import frame
from report.markup import element, html, program
from report.section import SIGNS, badge

_ORDER = ("fail", "unknown", "pass")
_TITLES = {"fail": "Broken promises", "unknown": "Not known", "pass": "Promises kept"}
_HEADLINES = {
    "pass": "Every promise was kept: retries are safe",
    "fail": "A retry does harm",
    "unknown": "It cannot be told whether retries are safe",
}
_LEGEND = (
    "One line for each request, with its number; its answer comes back with the same number. An open end: what became of it "
    "is not known from outside. Bar on Toxiproxy: a fault is armed. Disc with a cross: the service was killed. Diamond: a "
    "reading of what really happened; effects are counted from the beginning of the case. Times are in milliseconds."
)


def page(document: Json) -> str:
    """The whole file, from result.json."""
    style = frame.style() + report_diagram.style()
    script = frame.script()
    anchors = {case["name"]: f"case-{case['name']}" for case in document["cases"]}
    root = element(
        "html",
        frame.head(f"{document['verdict'].upper()}: {document['url']}", style, script),
        element(
            "body",
            _header(document),
            element(
                "main",
                _wrong(document, anchors),
                _filter(),
                *_groups(document, anchors),
                _left(document),
            ),
            _footer(document),
            program("script", script),
        ),
        lang="en",
    )
    return html(root)


def _header(document: Json) -> ET.Element:
    cases = document["cases"]
    counts = {kind: sum(case["verdict"] == kind for case in cases) for kind in _ORDER}
    told = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    return element(
        "header",
        element("p", f"retry-judge · {document['url']}", class_="brand"),
        element(
            "div",
            badge(document["verdict"]),
            element("h1", _HEADLINES[document["verdict"]]),
            class_="verdict",
        ),
        element(
            "p", f"{told} of {len(cases)} cases in {document['seconds']:.1f} s", class_="counts"
        ),
    )


def _wrong(document: Json, anchors: dict[str, str]) -> ET.Element | None:
    wrong = [
        case
        for kind in ("fail", "unknown")
        for case in document["cases"]
        if case["verdict"] == kind
    ]
    if not wrong:
        return None
    rows = [
        element(
            "li",
            badge(case["verdict"]),
            element(
                "div",
                element("a", case["title"], href=f"#{anchors[case['name']]}"),
                element("p", case["sentence"]),
            ),
        )
        for case in wrong
    ]
    return element(
        "section",
        element("h2", "What went wrong", id="wrong"),
        element("ol", *rows, class_="wrong"),
        aria_labelledby="wrong",
    )


def _filter() -> ET.Element:
    """Shown by the script, which it needs."""
    return element(
        "p",
        element("label", "Filter cases ", for_="filter"),
        element("input", type="search", id="filter", autocomplete="off"),
        element("span", "", id="found", role="status"),
        class_="filter",
        hidden="hidden",
    )


def _groups(document: Json, anchors: dict[str, str]) -> list[ET.Element]:
    groups = []
    for kind in _ORDER:
        cases = [case for case in document["cases"] if case["verdict"] == kind]
        if cases:
            groups.append(
                element(
                    "section",
                    element("h2", f"{_TITLES[kind]} ({len(cases)})", id=kind),
                    *(_case(case, anchors[case["name"]]) for case in cases),
                    aria_labelledby=kind,
                    class_="group",
                )
            )
    return groups


def _case(case: Json, anchor: str) -> ET.Element:
    passed = case["verdict"] == "pass"
    body = element(
        "div",
        element("p", case["sentence"] or case["promise"], class_=f"outcome {case['verdict']}"),
        element("p", f"Promise: {case['promise']}", class_="remark") if not passed else None,
        *(
            element("p", f"Note: {note}.".replace("..", "."), class_="remark")
            for note in case["notes"]
        ),
        *((element("h4", "Usual cause"), element("p", case["cause"])) if case["cause"] else ()),
        *_diagram(case, anchor),
        *_requests(case),
        *_witnesses(case),
        element("p", f"Control: {case['control']}.", class_="remark"),
        id=anchor,
        class_="body",
    )
    return element(
        "details",
        element(
            "summary",
            badge(case["verdict"]),
            element(
                "span",
                element("h3", case["title"]),
                element("span", case["name"], class_="situation"),
                class_="name",
            ),
            element("span", f"{case['seconds']:.1f} s", class_="seconds"),
        ),
        body,
        class_=f"scenario {case['verdict']}",
        data_text=f"{case['name']} {case['title']} {case['verdict']}",
        **({} if passed else {"open": "open"}),
    )


def _diagram(case: Json, anchor: str) -> list[ET.Element]:
    events = case["events"]
    if not events:
        return []
    left_out = diagram.left_out(events)
    remark = f" {left_out} more moments are in result.json." if left_out else ""
    name = f"Sequence of {case['name']}"
    picture = element(
        "div",
        diagram.svg_element(events, name, f"{anchor}-diagram"),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label=name,
    )
    as_text = element(
        "details",
        element("summary", "The same as text"),
        element("pre", diagram.text(events), tabindex=0),
        class_="as-text",
    )
    return [
        element("h4", "What happened"),
        element("figure", element("figcaption", _LEGEND + remark), picture),
        as_text,
    ]


def _requests(case: Json) -> list[ET.Element]:
    lines = [
        f"# {event['number']}. {event['label']}, {event['through']}\n{event['curl']}\n# → {event['saw']}"
        for event in case["events"]
        if event["kind"] == "attempt"
    ]
    if not lines:
        return []
    return [
        element("h4", "The requests"),
        element("pre", element("code", "\n".join(lines)), class_="command", tabindex=0),
    ]


def _witnesses(case: Json) -> list[ET.Element]:
    rows = []
    for witness in case["witnesses"]:
        verdict, word = ("pass", "seen") if witness["seen"] else ("unknown", "not seen")
        rows.append(
            element(
                "li",
                element("span", SIGNS[verdict], class_=f"sign {verdict}", aria_hidden="true"),
                element("div", f"{witness['claim']} ", element("small", word, class_=verdict)),
            )
        )
    return [element("h4", "Evidence"), element("ul", *rows, class_="checks")] if rows else []


def _left(document: Json) -> ET.Element | None:
    if not document["not_played"]:
        return None
    return element(
        "section",
        element("h2", "Not played", id="not-played"),
        element(
            "ul",
            *(
                element("li", f"{left['title']} ({left['name']}): {left['why']}")
                for left in document["not_played"]
            ),
        ),
        aria_labelledby="not-played",
    )


def _footer(document: Json) -> ET.Element:
    facts = [
        ("started", document["started"]),
        ("profile", document["profile"]),
        ("seed", f"{document['seed']}"),
        ("one request", f"{document['latency_s'] * 1000:.0f} ms"),
        ("effects are read", f"{document['lag_s'] * 1000:.0f} ms after the answer"),
    ]
    return element(
        "footer",
        element(
            "dl",
            *(element("div", element("dt", name), element("dd", value)) for name, value in facts),
            class_="versions",
        ),
    )
