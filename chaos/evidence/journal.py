"""What really happened: the journal that the wrapped services and the harness wrote.

Guarantee: a line is evidence of the event before it, never of an intention; a line that a crash cut short is left out.
"""

import json
import os
import time
from collections.abc import Collection
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


class Journal:
    """The journal of one run; each line is parsed once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._parsed: list[Event] = []
        self._tail = Tail(path)

    def note(self, seam: str, account: str = "", **fields: Any) -> None:
        """What the harness itself did or saw, in its place among the events of the services."""
        line = {
            "at_ns": time.monotonic_ns(),
            "service": "chaos",
            "pid": os.getpid(),
            "seam": seam,
            "account": account,
            **fields,
        }
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def of_account(self, account: str) -> list[Event]:
        """All events of an account, in the order of their happening."""
        found = [event for event in self._events() if event.account == account]
        return sorted(found, key=lambda event: event.at_ns)

    def since(self, at_ns: int, accounts: Collection[str]) -> list[Event]:
        """Events of these accounts from a moment on, in the order of their happening.

        Half a request names no account; it belongs to the scenario that runs at the time.
        """
        return sorted(
            (
                event
                for event in self._events()
                if event.at_ns >= at_ns
                and (event.account in accounts or event.fields.get("complete") is False)
            ),
            key=lambda event: event.at_ns,
        )

    def last(self, service: str, seam: str) -> Event:
        """The latest event of a seam that no process died of. Raises `ValueError` when there is none."""
        found = [e for e in self._events() if (e.service, e.seam) == (service, seam)]
        return max((e for e in found if "died" not in e.fields), key=lambda event: event.at_ns)

    def has_broken_arrival(self, service: str, since_ns: int) -> bool:
        """Whether a request came in half since then: its caller went in the middle."""
        return any(
            event.service == service
            and event.seam == "arrival"
            and event.at_ns >= since_ns
            and event.fields.get("complete") is False
            for event in self._events()
        )

    def arrivals(self, service: str, account: str) -> list[Event]:
        """Requests that reached a service complete, whatever became of them."""
        return [
            event
            for event in self.of_account(account)
            if event.service == service and event.seam == "arrival" and event.fields.get("complete")
        ]

    def _events(self) -> list[Event]:
        self._parsed += self._tail.read()
        return self._parsed


class Tail:
    """What was written to a journal since the last reading; nothing is kept."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset_bytes = 0

    def read(self) -> list[Event]:
        """The new lines, in the order of the file."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset_bytes)
            unread = file.read()
        # The end of the last whole line: what comes after it is being written, or was cut short by a crash.
        whole = unread[: unread.rfind(b"\n") + 1]
        self._offset_bytes += len(whole)
        return [_event(json.loads(line)) for line in whole.splitlines()]


def _event(fields: dict[str, Any]) -> Event:
    return Event(
        fields.pop("at_ns"),
        fields.pop("service"),
        fields.pop("pid"),
        fields.pop("seam"),
        fields.pop("account"),
        fields,
    )
