"""The lanes of a sequence diagram: who took part.

Guarantee: the five parts of the stack always have a lane, in the same order. Processes that lived at the same time have a
lane each, one that took a dead one's place has that one's lane.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from chaos.report.history import Event

CHAOS = "chaos"
SHOPPER = "shopper"
TOXIPROXY = "toxiproxy"
POSTGRES = "postgres"
# What the harness did that belongs to no other lane: a note, a copy of a request that it sent itself.
_DONE_ELSEWHERE = {"armed", "healed", "crashed", "stopped", "resumed", "observed"}
_TITLES = {
    CHAOS: "chaos",
    SHOPPER: "shopper",
    "order_service": "order",
    TOXIPROXY: "Toxiproxy",
    "billing_service": "billing",
    POSTGRES: "Postgres",
    "notification_service": "notification",
}


@dataclass(frozen=True)
class Lane:
    """One vertical line; `pids` are the processes that lived on it, one after the other."""

    part: str
    pids: tuple[int, ...] = ()

    @property
    def title(self) -> str:
        """As it stands above the line."""
        return _TITLES[self.part]


def lanes(events: Sequence[Event]) -> tuple[Lane, ...]:
    """All lanes from left to right; the harness and the shopper have one when they did something of their own."""
    found: list[Lane] = []
    for part in _TITLES:
        if part in (CHAOS, SHOPPER) and not any(_takes_part(part, event) for event in events):
            continue
        if part in (CHAOS, SHOPPER, TOXIPROXY, POSTGRES):
            found.append(Lane(part))
        else:
            found.extend(Lane(part, pids) for pids in _processes(events, part))
    return tuple(found)


def lane_of(all_lanes: Sequence[Lane], part: str, pid: int | None = None) -> int:
    """The lane of a process; of a part without a named process, its first."""
    of_part = [number for number, lane in enumerate(all_lanes) if lane.part == part]
    return next((number for number in of_part if pid in all_lanes[number].pids), of_part[0])


def lane_named(all_lanes: Sequence[Lane], what: str) -> int | None:
    """The lane that the harness means: "billing_service", "postgres", "billing_service 4711"; None when it cannot be told."""
    words = what.lower().replace("pid", " ").replace("=", " ").split()
    of_part = [number for number, lane in enumerate(all_lanes) if words and lane.part == words[0]]
    named = [
        number for number in of_part if any(str(pid) in words[1:] for pid in all_lanes[number].pids)
    ]
    candidates = named or of_part
    return candidates[0] if len(candidates) == 1 else None


def _takes_part(part: str, event: Event) -> bool:
    if part == SHOPPER:
        return event["service"] == "order_service" and event["seam"] in ("arrival", "reply")
    return event["service"] == CHAOS and event["seam"] not in _DONE_ELSEWHERE


def _processes(events: Sequence[Event], service: str) -> list[tuple[int, ...]]:
    """The processes of a service, those that replaced each other together."""
    spans: dict[int, tuple[int, int]] = {}
    ends: list[int] = []
    for index, event in enumerate(events):
        if event["service"] == service and event.get("pid") is not None:
            first, _ = spans.get(event["pid"], (index, index))
            spans[event["pid"]] = (first, index)
            if event.get("died"):
                ends.append(index)
        elif event["seam"] == "crashed" and str(event.get("what", "")).split()[:1] == [service]:
            ends.append(index)
    rows: list[list[int]] = []
    for pid, (first, _) in sorted(spans.items(), key=lambda item: item[1]):
        for row in rows:
            if any(spans[row[-1]][1] <= end < first for end in ends):
                row.append(pid)
                break
        else:
            rows.append([pid])
    return [tuple(row) for row in rows] or [()]
