"""What is left of a run is estimated from what is known."""

import json
from pathlib import Path

import pytest

from report.durations import left_s, recorded


def written(results: Path, run: str, seconds: dict[str, float]) -> None:
    (results / run).mkdir(parents=True)
    scenarios = [{"name": name, "seconds": each} for name, each in seconds.items()]
    (results / run / "result.json").write_text(
        json.dumps({"scenarios": scenarios}), encoding="utf-8"
    )


def test_the_newest_result_that_played_it_counts(tmp_path: Path) -> None:
    """A run of one scenario does not hide what the whole run before it has measured."""
    written(tmp_path, "20261124T030000Z-1", {"a": 1.0, "b": 2.0})
    written(tmp_path, "20261125T030000Z-2", {"a": 5.0})
    assert recorded(tmp_path) == {"a": 5.0, "b": 2.0}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"rounds": 3}', b'{"scenarios": [{"name": "a"}]}', b"\xff\xfe", b"null"],
)
def test_a_result_that_cannot_be_read(tmp_path: Path, content: bytes) -> None:
    """A soak's, a half one, one of another version: as if it were not there."""
    written(tmp_path, "20261124T030000Z-1", {"a": 1.0})
    (tmp_path / "20261125T030000Z-2").mkdir()
    (tmp_path / "20261125T030000Z-2" / "result.json").write_bytes(content)
    assert recorded(tmp_path) == {"a": 1.0}


def test_no_results_at_all(tmp_path: Path) -> None:
    """The first run of all."""
    assert recorded(tmp_path / "results") == {}


@pytest.mark.parametrize(
    ("measured", "before", "expected"),
    [
        ({}, {}, None),
        ({}, {"a": 1.0, "b": 2.0, "c": 3.0}, 5.0),
        # This run is twice as slow.
        ({"a": 2.0}, {"a": 1.0, "b": 2.0, "c": 3.0}, 10.0),
        # Nothing is known of earlier runs: the mean of this one.
        ({"a": 4.0}, {}, 8.0),
        # One is new: it takes the mean of what was measured.
        ({"a": 2.0}, {"a": 2.0, "b": 5.0}, 7.0),
    ],
)
def test_what_is_left(
    measured: dict[str, float], before: dict[str, float], expected: float | None
) -> None:
    """Of b and c."""
    assert left_s(["b", "c"], measured, before) == expected
