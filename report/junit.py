"""JUnit XML of a run, for the test view of a CI system.

Guarantee: one test case a scenario, and one for the run as a whole. A broken promise is a failure; what could not be
judged is an error, never a failure and never a pass. The text is valid XML whatever was recorded.
"""

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from report import diagram
from report.history import Event, of_scenario
from report.markup import element, xml
from report.words import Json, outcome

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


def junit(result: Json, history: Sequence[Event] = ()) -> str:
    """The whole file; with a history, a failure shows its diagram."""
    scenarios: Sequence[Json] = result["scenarios"]
    counts = {
        "tests": len(scenarios),
        "failures": sum(scenario["verdict"] == "fail" for scenario in scenarios),
        "errors": sum(scenario["verdict"] not in ("pass", "fail") for scenario in scenarios),
        "skipped": 0,
    }
    seconds = f"{sum(scenario['seconds'] for scenario in scenarios):.3f}"
    suite = element(
        "testsuite",
        _properties(result),
        *(_case(scenario, history) for scenario in scenarios),
        name="chaos",
        time=seconds,
        **counts,
    )
    root = element("testsuites", suite, name="chaos", time=seconds, **counts)
    ET.indent(root)
    return DECLARATION + xml(root) + "\n"


def _properties(result: Json) -> ET.Element:
    facts = {"run": result["run"], "seed": f"{result['seed']}", **result.get("versions", {})}
    return element(
        "properties",
        *(element("property", name=name, value=f"{value}") for name, value in facts.items()),
    )


def _case(scenario: Json, history: Sequence[Event]) -> ET.Element:
    group = scenario.get("family") or "catalogue"
    return element(
        "testcase",
        None if scenario["verdict"] == "pass" else _not_passed(scenario, history),
        classname=f"chaos.{group}",
        name=scenario["name"],
        time=f"{scenario['seconds']:.3f}",
    )


def _not_passed(scenario: Json, history: Sequence[Event]) -> ET.Element:
    lines = [outcome(scenario), ""]
    for promise in scenario["promises"]:
        if promise["kept"] is not True:
            word = "unknown" if promise["kept"] is None else "broken"
            lines += [f"{word}: {promise['name']} {promise['claim']}", promise["detail"]]
    lines += [
        f"witness missing: {witness['claim']}"
        for witness in scenario["witnesses"]
        if not witness["seen"]
    ]
    lines += ["", f"repeat it: {scenario['reproduce']}"]
    events = of_scenario(history, scenario["name"])
    if events:
        lines += ["", diagram.text(events, scenario["effects_expected"])]
    tag, kind = (
        ("failure", "broken promise") if scenario["verdict"] == "fail" else ("error", "unknown")
    )
    return element(tag, "\n".join(lines), type=kind, message=outcome(scenario))
