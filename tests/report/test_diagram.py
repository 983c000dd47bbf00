"""Both drawings say what the figure says, and recorded text stays text."""

import re
import xml.etree.ElementTree as ET
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from report import diagram
from report.history import of_scenario
from tests.report import sample
from tests.report.conftest import HOSTILE
from tests.report.sample import Run
from tests.report.story import Story

SVG = "{http://www.w3.org/2000/svg}"
LOST = "disconnect/response_lost/exactly_once/warm"


def of(run: Run, name: str = LOST) -> list[dict[str, object]]:
    return [dict(event) for event in of_scenario(run[1], name)]


def drawn(events: list[dict[str, object]]) -> ET.Element:
    return ET.fromstring(  # noqa: S314 - what was just made
        diagram.svg(events, "the title")
    )


def test_the_picture_stands_alone(clean: Run) -> None:
    """Valid XML with a size, a name for those who cannot see it, its own style, and nothing from elsewhere."""
    root = drawn(of(clean))
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    title = root.find(f"{SVG}title")
    assert title is not None
    assert title.text == "the title"
    assert root.get("aria-labelledby") == title.get("id")
    assert root.find(f"{SVG}style") is not None
    assert not [node for node in root.iter() if {"href", "src", "style"} & set(node.keys())]
    assert "http" not in diagram.svg(of(clean), "").replace("http://www.w3.org/2000/svg", "")


def test_losses_and_crashes_are_seen(clean: Run) -> None:
    """A lost answer is dashed and ends in a cross, a crash is a disc with a cross; a success has neither."""
    marks = {
        name: diagram.svg(of(clean, f"disconnect/{name}/exactly_once/warm"), "").partition(
            "</style>"
        )[2]
        for name in ("success", "response_lost", "crash_after_execution")
    }
    assert "lost-cross" in marks["response_lost"]
    assert "stroke lost" in marks["response_lost"]
    assert "crash-cross" in marks["crash_after_execution"]
    assert "lost-cross" not in marks["crash_after_execution"]
    assert "cross" not in marks["success"]


def test_labels_stay_within_the_picture(hostile: Run) -> None:
    """However long a text is, it is shortened to its place, and whole in its tooltip."""
    for scenario in hostile[0]["scenarios"]:
        root = drawn(of(hostile, scenario["name"]))
        width = float(root.get("width", "0"))
        for text in root.iter(f"{SVG}text"):
            x, length = float(text.get("x", "0")), len(text.text or "") * 5.0
            start = {"start": x, "middle": x - length / 2, "end": x - length}
            assert start[text.get("text-anchor", "")] >= -2
            assert start[text.get("text-anchor", "")] + length <= width
            if (text.text or "").endswith("…"):
                tooltip = text.find(f"{SVG}title")
                assert tooltip is not None
                assert len(tooltip.text or "") > len(text.text or "")


def test_hostile_text_adds_no_element(broken: Run, hostile: Run) -> None:
    """The pictures have the same elements with hostile text as without, tooltips aside."""

    def tags(root: ET.Element) -> list[str]:
        return [node.tag for node in root.iter() if node.tag != f"{SVG}title"]

    for name in (LOST, "replica_stopped", "notification_lost"):
        poisoned = of(hostile, name + HOSTILE)
        assert "<script" not in diagram.svg(poisoned, HOSTILE)
        assert poisoned
        assert tags(drawn(poisoned)) == tags(drawn(of(broken, name)))


def test_the_text_of_a_lost_response() -> None:
    """A person reads off the console what happened."""
    _, events = sample.doubled(LOST)
    lines = diagram.text(events, effects_max=1).splitlines()
    assert lines[0].split() == [
        "customer",
        "order",
        "Toxiproxy",
        "billing",
        "Postgres",
        "notification",
    ]
    body = "\n".join(lines)
    assert re.search(r'├─ charge "42" \?0 ─+▶│', body)
    assert re.search(r"✗╌+ 201 ╌┤", body)
    assert "saw ServerDisconnectedError" in body
    assert re.search(r'├─ retry "42" \?1 arrives ─+▶│', body)
    assert "effects 1 → 2, not 1, keys 1" in body


@pytest.mark.parametrize("hostile_text", [False, True])
def test_every_row_is_a_line(hostile_text: bool, broken: Run, hostile: Run) -> None:
    """Two lines of titles, one for each row, one that explains; no text can add one, or a control character."""
    run = hostile if hostile_text else broken
    for scenario in run[0]["scenarios"]:
        events = of(run, scenario["name"])
        text = diagram.text(events)
        assert text.replace("\n", "").isprintable()
        clocks = re.findall(r"^ *\d+\.\d ", text, re.MULTILINE)
        assert len(text.splitlines()) == len(clocks) + 3


def test_the_drawings_differ_where_the_stories_do(clean: Run) -> None:
    """The negative control: what a caller cannot tell apart, the diagrams can."""
    names = [
        f"disconnect/{situation}/exactly_once/warm"
        for situation in (*sample.TITLES,)
        if situation != "success"
    ]
    texts = {name: diagram.text(of(clean, name)) for name in names}
    for one, other in combinations(names, 2):
        assert texts[one] != texts[other]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(sample.broken_run()[1]), max_size=30))
def test_a_damaged_history_is_drawn_too(events: list[dict[str, object]]) -> None:
    """Whatever is missing or out of order: valid XML, and text of printable characters."""
    assert drawn(events).get("role") == "img"
    assert diagram.text(events).replace("\n", "").isprintable()


def test_nothing_recorded_can_be_drawn() -> None:
    """An empty history is five empty lanes."""
    assert len(diagram.text([]).splitlines()) == 3
    assert drawn([]).find(f"{SVG}g") is not None


def test_a_remark_is_not_lost_for_lack_of_room() -> None:
    """A label that does not fit on its arrow stands behind the line."""
    story = Story("s").attempt(123456789012345678901234567890)
    assert '"123456789012345678901234567890" ?0' in diagram.text(story.events)
