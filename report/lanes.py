"""The lanes of a sequence diagram, one for each part of the stack.

Guarantee: the five parts of the stack always have a lane, in the same order. Processes that lived at the same time have a
lane each, one that took a dead one's place has that one's lane.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from report.history import Event

CHAOS = "chaos"
CUSTOMER = "customer"
TOXIPROXY = "toxiproxy"
POSTGRES = "postgres"
# What the harness did that belongs to no other lane: a note, a copy of a request that it sent itself.
_DONE_ELSEWHERE = {"armed", "healed", "crashed", "stopped", "resumed", "observed"}
DONE_BY_THE_CUSTOMER = {"cancels", "cancelled", "customer was answered"}
_TITLES = {
    CHAOS: "chaos",
    CUSTOMER: "customer",
    "order_service": "order",
    TOXIPROXY: "Toxiproxy",
    "billing_service": "billing",
    POSTGRES: "Postgres",
    "notification_service": "notification",
}
# Of a service that is not ours: the judge's diagrams.
CALLER = "caller"
SERVICE = "service"
READING = "reading"
_TITLES_OF_OTHERS = {CALLER: "caller", SERVICE: "service", READING: "reading"}


@dataclass(frozen=True)
class Lane:
    """One vertical line; `pids` are the processes that lived on it, one after the other."""

    part: str
    pids: tuple[int, ...] = ()
    # Of replicas that lived at the same time; 0 where there is only one.
    number: int = 0

    @property
    def title(self) -> str:
        """As it stands above the line."""
        titles = _TITLES | _TITLES_OF_OTHERS
        return f"{titles[self.part]} {self.number or ''}".rstrip()


def lanes(events: Sequence[Event]) -> tuple[Lane, ...]:
    """All lanes from left to right; the harness and the customer have one when they did something of their own."""
    found: list[Lane] = []
    for part in _TITLES:
        if part in (CHAOS, CUSTOMER) and not any(_takes_part(part, event) for event in events):
            continue
        if part in (CHAOS, CUSTOMER, TOXIPROXY, POSTGRES):
            found.append(Lane(part))
        else:
            replicas = _processes(events, part)
            found.extend(
                Lane(part, pids, number if len(replicas) > 1 else 0)
                for number, pids in enumerate(replicas, start=1)
            )
    return tuple(found)


def lane_of(all_lanes: Sequence[Lane], part: str, pid: int | None = None) -> int:
    """The lane of a process; of a part without a named process, its first."""
    of_part = [number for number, lane in enumerate(all_lanes) if lane.part == part]
    return next((number for number in of_part if pid in all_lanes[number].pids), of_part[0])


def lane_struck(all_lanes: Sequence[Lane], what: str, pid: int | None = None) -> int | None:
    """The lane that the harness struck, by the part's name and, where there are replicas, the process; else None."""
    of_part = [number for number, lane in enumerate(all_lanes) if lane.part == what.lower()]
    if pid is not None:
        of_part = [number for number in of_part if pid in all_lanes[number].pids] or of_part
    return of_part[0] if len(of_part) == 1 else None


def lane_mentioned(all_lanes: Sequence[Lane], what: str) -> int:
    """The lane of a part that is mentioned in a text; where none is, the first lane."""
    words = what.lower().split()
    return next((number for number, lane in enumerate(all_lanes) if lane.part in words), 0)


def _takes_part(part: str, event: Event) -> bool:
    if part == CUSTOMER:
        asked = event["service"] == "order_service" and event["seam"] in ("arrival", "reply")
        return asked or (event["service"] == CHAOS and event["seam"] in DONE_BY_THE_CUSTOMER)
    return event["service"] == CHAOS and event["seam"] not in _DONE_ELSEWHERE | DONE_BY_THE_CUSTOMER


def _processes(events: Sequence[Event], service: str) -> list[tuple[int, ...]]:
    """The processes of a service, those that replaced each other together."""
    spans: dict[int, tuple[int, int]] = {}
    ends: list[tuple[int, int | None]] = []
    for index, event in enumerate(events):
        own = event["service"] == service
        struck = event["service"] == CHAOS and event.get("what") == service
        pid = event.get("pid") if own else event.get("struck") if struck else None
        if pid is not None:
            first, _ = spans.get(pid, (index, index))
            spans[pid] = (first, index)
        if (own and event.get("died")) or (struck and event["seam"] == "crashed"):
            ends.append((index, pid))
    rows: list[list[int]] = []
    for pid, (first, _) in sorted(spans.items(), key=lambda item: item[1]):
        for row in rows:
            if any(
                spans[row[-1]][1] <= end < first and who in (None, row[-1]) for end, who in ends
            ):
                row.append(pid)
                break
        else:
            rows.append([pid])
    return [tuple(row) for row in rows] or [()]
