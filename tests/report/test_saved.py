"""A run that was saved is rendered again from its two files, and from nothing else."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from report import history
from report.__main__ import main
from report.saved import NotARun, read, render
from tests.report import sample


def saved(directory: Path) -> Path:
    """The files of a run, as chaos leaves them."""
    content, events = sample.broken_run()
    *scenarios, whole = content["scenarios"]
    text = json.dumps({**content, "scenarios": scenarios, "whole": whole})
    (directory / "result.json").write_text(text, encoding="utf-8")
    history.write(directory, events)
    return directory


def test_the_same_pages_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both pages are written, byte for byte as they were the first time."""
    directory = saved(tmp_path)
    first = [path.read_bytes() for path in render(directory, *read(directory))]
    assert main([str(directory)]) == 0
    assert [(directory / name).read_bytes() for name in ("junit.xml", "report.html")] == first
    assert "report.html" in capsys.readouterr().out


@pytest.mark.parametrize(
    "spoil",
    [
        lambda directory: (directory / "history.jsonl").unlink(),
        lambda directory: (directory / "result.json").unlink(),
        lambda directory: (directory / "result.json").write_text("no JSON", encoding="utf-8"),
        lambda directory: (directory / "result.json").write_text("[]", encoding="utf-8"),
        lambda directory: (directory / "history.jsonl").write_text("{", encoding="utf-8"),
    ],
    ids=["no history", "no result", "no JSON", "not a run", "half a line"],
)
def test_a_folder_without_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: object
) -> None:
    """One sentence and exit code 2, and no page is written."""
    directory = saved(tmp_path)
    assert callable(spoil)
    spoil(directory)
    assert main([str(directory)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (directory / "report.html").exists()
    with pytest.raises(NotARun):
        read(directory)


def test_the_run_as_a_whole_is_a_test_case(tmp_path: Path) -> None:
    """A system that reads JUnit alone sees a failed audit, too."""
    directory = saved(tmp_path)
    content, events = read(directory)
    render(directory, content, events)
    names = [case.get("name") for case in ET.parse(directory / "junit.xml").iter("testcase")]  # noqa: S314 - the project's own file
    assert names.count(content["whole"]["name"]) == 1
    assert len(names) == len(content["scenarios"]) + 1
