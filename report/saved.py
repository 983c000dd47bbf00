"""A saved run: result.json and history.jsonl in one folder, and the pages that are rendered from them.

Guarantee: the pages come from these two files alone, so a run that was saved can be rendered again anywhere.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from report.junit import junit
from report.page import page


class NotARun(Exception):
    """The folder holds no run that can be rendered; the message says why."""


def read(directory: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The content of result.json and the events of history.jsonl. Raises `NotARun`."""
    try:
        content = json.loads((directory / "result.json").read_text(encoding="utf-8"))
        lines = (directory / "history.jsonl").read_text(encoding="utf-8").splitlines()
        events = [json.loads(line) for line in lines]
    except OSError as exc:
        raise NotARun(f"{exc.filename} cannot be read: {exc.strerror}") from exc
    except ValueError as exc:
        raise NotARun(f"{directory} does not hold the files of a run: {exc}") from exc
    if not isinstance(content, dict) or not {"scenarios", "whole"} <= content.keys():
        raise NotARun(f"{directory}/result.json is not the result of a run of scenarios")
    return content, events


def render(
    directory: Path, content: Mapping[str, Any], events: Sequence[dict[str, Any]]
) -> list[Path]:
    """Writes junit.xml and report.html; the paths, for people the most telling one last."""
    whole = {**content, "scenarios": [*content["scenarios"], content["whole"]]}
    written = []
    for name, text in {
        "junit.xml": junit(whole, events),
        "report.html": page(whole, events),
    }.items():
        (directory / name).write_text(text, encoding="utf-8")
        written.append(directory / name)
    return written
