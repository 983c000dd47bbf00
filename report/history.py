"""history.jsonl: what was recorded of a run, one event a line.

Guarantee: what was written is read back as it was, in the order of its happening; a reader finds the whole file or none.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

NAME = "history.jsonl"

# As the journal and the harness recorded it: scenario, at_ms, service, pid, seam, account, and what the seam adds.
Event = Mapping[str, Any]


class Unreadable(Exception):
    """A line is no JSON object."""


def write(directory: Path, history: Iterable[Event]) -> Path:
    """Writes all events at once."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / NAME
    draft = directory / f"{NAME}.tmp"
    # ASCII only: a lone surrogate in hostile text could not be written as UTF-8.
    draft.write_text(
        "".join(json.dumps(dict(event), allow_nan=False) + "\n" for event in history),
        encoding="utf-8",
    )
    os.replace(draft, path)
    return path


def read(path: Path) -> list[dict[str, Any]]:
    """All events of a run, in the order of the file."""
    events = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            event = json.loads(line)
        except ValueError as exc:
            raise Unreadable(f"{path}:{number} is no JSON: {exc}") from exc
        if not isinstance(event, dict):
            raise Unreadable(f"{path}:{number} is no JSON object")
        events.append(event)
    return events


def of_scenario(history: Iterable[Event], name: str) -> list[Event]:
    """The events of one scenario by time; what has the same time keeps its order."""
    return sorted(
        (event for event in history if event.get("scenario") == name),
        key=lambda event: float(event["at_ms"]),
    )
