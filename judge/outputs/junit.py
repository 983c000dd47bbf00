"""JUnit XML of a run, for the test view of a CI system.

Guarantee: one test case a case. A broken promise is a failure; what could not be told is an error, never a pass; what was
not played is skipped. The text is valid XML whatever the service answered.
"""

import xml.etree.ElementTree as ET

from judge.outputs.result import Json
from report.markup import element, xml

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


def junit(document: Json) -> str:
    """The whole file."""
    cases, left = document["cases"], document["not_played"]
    counts = {
        "tests": len(cases) + len(left),
        "failures": sum(case["verdict"] == "fail" for case in cases),
        "errors": sum(case["verdict"] == "unknown" for case in cases),
        "skipped": len(left),
    }
    suite = element(
        "testsuite",
        element(
            "properties",
            *(
                element("property", name=name, value=f"{document[name]}")
                for name in ("url", "profile", "seed")
            ),
        ),
        *map(_case, cases),
        *(
            element(
                "testcase",
                element("skipped", message=each["why"]),
                classname="retry-judge",
                name=each["name"],
                time="0.000",
            )
            for each in left
        ),
        name="retry-judge",
        time=f"{document['seconds']:.3f}",
        timestamp=document["started"],
        **counts,
    )
    root = element(
        "testsuites", suite, name="retry-judge", time=f"{document['seconds']:.3f}", **counts
    )
    ET.indent(root)
    return _DECLARATION + xml(root) + "\n"


def _case(case: Json) -> ET.Element:
    return element(
        "testcase",
        None if case["verdict"] == "pass" else _not_passed(case),
        classname="retry-judge",
        name=case["name"],
        time=f"{case['seconds']:.3f}",
    )


def _not_passed(case: Json) -> ET.Element:
    lines = [f"promise: {case['promise']}", f"seen: {case['sentence']}"]
    lines += [f"usual cause: {case['cause']}"] if case["cause"] else []
    for event in case["events"]:
        if event["kind"] == "attempt":
            lines += [f"{event['label']}: {event['curl']}", f"    {event['saw']}"]
        elif event["kind"] == "reading":
            lines.append(f"reading: {event['value']} ({event['effects']:g} effects)")
        else:
            lines.append(f"{event['kind']}: {event['text']}")
    tag, kind = ("failure", "broken promise") if case["verdict"] == "fail" else ("error", "unknown")
    return element(tag, "\n".join(lines), type=kind, message=case["sentence"])
