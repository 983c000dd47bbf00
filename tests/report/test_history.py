"""What is written is what is read."""

from pathlib import Path

import pytest

from report import history
from tests.report.conftest import HOSTILE
from tests.report.sample import Run


def test_the_whole_history_comes_back(tmp_path: Path, clean: Run, hostile: Run) -> None:
    """Every event, as it was, in its order; hostile text too."""
    for _, events in (clean, hostile):
        assert history.read(history.write(tmp_path / "run", events)) == events


def test_one_event_is_one_line(tmp_path: Path, hostile: Run) -> None:
    """Line breaks within text do not break the format, so that line tools can be used on it."""
    _, events = hostile
    path = history.write(tmp_path, events)
    assert path.name == "history.jsonl"
    assert path.read_bytes().count(b"\n") == len(events)
    assert path.read_bytes().isascii()


def test_writing_again_replaces(tmp_path: Path, clean: Run) -> None:
    """A second write leaves nothing of the first, and no draft."""
    history.write(tmp_path, clean[1])
    history.write(tmp_path, clean[1][:1])
    assert history.read(tmp_path / history.NAME) == clean[1][:1]
    assert [path.name for path in tmp_path.iterdir()] == [history.NAME]


@pytest.mark.parametrize("line", ["{", "[]", '"text"', '{"at_ms": 1} {}', ""])
def test_a_line_that_is_no_event_is_refused(tmp_path: Path, line: str) -> None:
    """The negative control: a damaged file is named with its line, never half read."""
    path = tmp_path / history.NAME
    path.write_text('{"at_ms": 1}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(history.Unreadable, match=r"history\.jsonl:2"):
        history.read(path)


def test_a_figure_that_is_no_number_is_refused(tmp_path: Path) -> None:
    """NaN is no JSON; other readers would stumble over it."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        history.write(tmp_path, [{"at_ms": float("nan")}])
    assert not (tmp_path / history.NAME).exists()


def test_a_scenario_has_its_own_events_by_time() -> None:
    """Those of others are left out; what happened at the same time keeps its order."""
    events = [
        {"scenario": "a", "at_ms": 2.0, "seam": "late"},
        {"scenario": "b", "at_ms": 0.0, "seam": "other"},
        {"scenario": "a", "at_ms": 1.0, "seam": "first" + HOSTILE},
        {"scenario": "a", "at_ms": 1.0, "seam": "second"},
    ]
    found = history.of_scenario(events, "a")
    assert [event["seam"] for event in found] == ["first" + HOSTILE, "second", "late"]
