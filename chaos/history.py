"""What really happened, read from the journal that the wrapped services wrote.

Guarantee: a line is evidence of the event before it, never of an intention; a line that a crash cut short is left out.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Event:
    """One line of the journal. `at_ns` is the machine's monotonic clock."""

    at_ns: int
    service: str
    pid: int
    seam: str
    account: str
    fields: dict[str, Any]


@dataclass(frozen=True)
class History:
    """The journal of one run."""

    journal: Path

    def of_account(self, account: str) -> list[Event]:
        """All events of an account, in the order of their happening."""
        return sorted(
            (event for event in self._events() if event.account == account),
            key=lambda event: event.at_ns,
        )

    def arrivals(self, service: str, account: str) -> list[Event]:
        """Requests that reached a service complete, whatever became of them."""
        return [
            event
            for event in self.of_account(account)
            if event.service == service and event.seam == "arrival" and event.fields.get("complete")
        ]

    def _events(self) -> Iterator[Event]:
        if not self.journal.exists():
            return
        for line in self.journal.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                fields = json.loads(line)
                yield Event(
                    fields.pop("at_ns"),
                    fields.pop("service"),
                    fields.pop("pid"),
                    fields.pop("seam"),
                    fields.pop("account"),
                    fields,
                )
