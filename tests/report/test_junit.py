"""JUnit XML that a CI system reads right."""

import xml.etree.ElementTree as ET

from report.junit import junit
from tests.report.sample import Run


def parsed(run: Run) -> ET.Element:
    made = junit(*run).encode()
    suite = ET.fromstring(made).find("testsuite")  # noqa: S314 - what was just made
    assert suite is not None
    return suite


def failures(suite: ET.Element, tag: str = "failure") -> dict[str | None, ET.Element]:
    return {
        case.get("name"): failure
        for case in suite.iter("testcase")
        for failure in case.findall(tag)
    }


def test_a_clean_run_has_no_failure(clean: Run) -> None:
    """One case a scenario, none of them failed."""
    suite = parsed(clean)
    names = [case.get("name") for case in suite.iter("testcase")]
    assert names == [scenario["name"] for scenario in clean[0]["scenarios"]]
    assert suite.get("tests") == f"{len(names)}"
    assert suite.get("failures") == "0"
    assert suite.get("errors") == "0"
    assert failures(suite) == failures(suite, "error") == {}


def test_what_did_not_pass(broken: Run) -> None:
    """The negative control: a broken promise is a failure, a missing verdict an error."""
    suite = parsed(broken)
    assert (suite.get("failures"), suite.get("errors")) == ("1", "1")
    ((failed, failure),) = failures(suite).items()
    assert failed == "disconnect/response_lost/exactly_once/warm"
    assert failure.get("type") == "broken promise"
    ((unjudged, error),) = failures(suite, "error").items()
    assert unjudged == "silence/request_lost/exactly_once/warm"
    assert error.get("type") == "unknown"


def test_a_run_that_could_not_be_judged(broken: Run) -> None:
    """Nothing of it failed: every case is an error."""
    for scenario in broken[0]["scenarios"]:
        scenario["verdict"] = "unknown"
    suite = parsed(broken)
    assert (suite.get("failures"), suite.get("errors")) == ("0", f"{len(broken[0]['scenarios'])}")
    assert failures(suite) == {}


def test_a_failure_says_what_went_wrong(broken: Run) -> None:
    """The sentence, the promises with their rows, the command, and the diagram."""
    text = failures(parsed(broken))["disconnect/response_lost/exactly_once/warm"].text or ""
    assert text.startswith("The money moved twice; it should have moved once.")
    assert "broken: X1 every accepted order has its effect once" in text
    assert "f3a1c2d4-77aa-4c0e-9e3c-2d1b8c7a6e55" in text
    assert "repeat it: .venv/bin/python -m chaos run disconnect/response_lost" in text
    assert "✗╌" in text


def test_hostile_text_stays_text(hostile: Run, broken: Run) -> None:
    """Control characters and markup make it neither invalid nor longer by an element."""
    tags = [[node.tag for node in parsed(run).iter()] for run in (hostile, broken)]
    assert tags[0] == tags[1]
