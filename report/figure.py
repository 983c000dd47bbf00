"""What a sequence diagram consists of, without saying how it is drawn.

Guarantee: a stroke never goes back in time, and everything lies on a lane and a row that the figure has.
"""

from dataclasses import dataclass
from enum import StrEnum

from report.lanes import Lane


class End(StrEnum):
    """How a stroke ends."""

    ARRIVED = "arrived"
    LOST = "lost"
    # The record says that it went on, and not where to.
    OPEN = "open"


class Kind(StrEnum):
    """What a mark means."""

    ARMED = "armed"
    HEALED = "healed"
    CRASH = "crash"
    STOPPED = "stopped"
    RESUMED = "resumed"
    OBSERVED = "observed"
    COMMITTED = "committed"
    # More than was computed for this scenario.
    EXCEEDED = "exceeded"
    IN_DOUBT = "in_doubt"
    NOTE = "note"


@dataclass(frozen=True)
class Stroke:
    """A message from a lane at a row to a lane at the same or a later row."""

    lane_from: int
    lane_to: int
    row_from: int
    row_to: int
    end: End
    label: str
    # Only a part of it arrived.
    cut: bool = False


@dataclass(frozen=True)
class Mark:
    """Something that happened on one lane."""

    row: int
    lane: int
    kind: Kind
    label: str
    # The proxy that was armed or healed.
    proxy: str = ""


@dataclass(frozen=True)
class Band:
    """A stretch of a lane: under a toxic, stopped, or dead."""

    lane: int
    row_from: int
    row_to: int
    kind: Kind


@dataclass(frozen=True)
class Figure:
    """A whole diagram; `at_ms` has the time of each row."""

    lanes: tuple[Lane, ...]
    at_ms: tuple[float, ...]
    strokes: tuple[Stroke, ...]
    marks: tuple[Mark, ...]
    bands: tuple[Band, ...]
