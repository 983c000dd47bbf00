"""JUnit XML that a CI system reads right."""

import xml.etree.ElementTree as ET

from chaos.report.junit import junit
from tests.chaos.report.sample import Run


def parsed(run: Run) -> ET.Element:
    made = junit(*run).encode()
    suite = ET.fromstring(made).find("testsuite")  # noqa: S314 - what was just made
    assert suite is not None
    return suite


def failures(suite: ET.Element) -> dict[str | None, ET.Element]:
    return {
        case.get("name"): failure
        for case in suite.iter("testcase")
        for failure in case.findall("failure")
    }


def test_a_clean_run_has_no_failure(clean: Run) -> None:
    """One case a scenario, none of them failed."""
    suite = parsed(clean)
    names = [case.get("name") for case in suite.iter("testcase")]
    assert names == [scenario["name"] for scenario in clean[0]["scenarios"]]
    assert suite.get("tests") == f"{len(names)}"
    assert suite.get("failures") == "0"
    assert failures(suite) == {}


def test_what_did_not_pass_fails(broken: Run) -> None:
    """The negative control: a broken promise and a missing verdict, each with its own type."""
    suite = parsed(broken)
    found = failures(suite)
    assert suite.get("failures") == f"{len(found)}" == "2"
    assert {name: failure.get("type") for name, failure in found.items()} == {
        "disconnect/response_lost/exactly_once/warm": "broken promise",
        "silence/request_lost/exactly_once/warm": "unknown",
    }


def test_a_failure_says_what_went_wrong(broken: Run) -> None:
    """The sentence, the promises with their rows, the command, and the diagram."""
    text = failures(parsed(broken))["disconnect/response_lost/exactly_once/warm"].text or ""
    assert text.startswith("The money moved twice; it should have moved once.")
    assert "broken: X1 every accepted order has its effect once" in text
    assert "f3a1c2d4-77aa-4c0e-9e3c-2d1b8c7a6e55" in text
    assert "repeat it: python -m chaos run disconnect/response_lost" in text
    assert "✗╌" in text


def test_hostile_text_stays_text(hostile: Run, broken: Run) -> None:
    """Control characters and markup make it neither invalid nor longer by an element."""
    tags = [[node.tag for node in parsed(run).iter()] for run in (hostile, broken)]
    assert tags[0] == tags[1]
