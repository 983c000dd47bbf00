"""What there is to draw of one scenario, without saying how: rows in time, lanes, strokes between lanes, marks on them.

Guarantee: every stroke and every mark stands for recorded events. A lost message is what was sent and has no recorded
arrival (a reply: no recorded answer at its caller); it ends at Toxiproxy, where faults strike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from chaos.report.exchanges import RECEIVERS, Exchange, exchanges, peer
from chaos.report.history import Event
from chaos.report.lanes import POSTGRES, SHOPPER, TOXIPROXY, Lane, lane_named, lane_of, lanes


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


def figure(events: Sequence[Event]) -> Figure:
    """The diagram of one scenario's events, which are in the order of their happening."""
    draft = _Draft(events)
    for exchange in draft.exchanges:
        draft.draw_exchange(exchange)
    for index, event in enumerate(events):
        draft.draw_event(index, event)
    return draft.finished()


class _Draft:
    """Strokes, marks and bands as they are found."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self.lanes = lanes(events)
        self.exchanges = exchanges(events)
        self.rows = _rows(events, self.exchanges)
        self.strokes: list[Stroke] = []
        self.marks: list[Mark] = []
        self.toxiproxy = lane_of(self.lanes, TOXIPROXY)
        self.effects: float | None = None

    def finished(self) -> Figure:
        at_ms: dict[int, float] = {}
        for index, event in enumerate(self.events):
            at_ms.setdefault(self.rows[index], float(event["at_ms"]))
        return Figure(
            self.lanes,
            tuple(at_ms.values()),
            tuple(sorted(self.strokes, key=lambda stroke: stroke.row_from)),
            tuple(sorted(self.marks, key=lambda mark: mark.row)),
            tuple(self._bands(len(at_ms))),
        )

    def draw_exchange(self, exchange: Exchange) -> None:
        self._draw_request(exchange)
        self._draw_answer(exchange)

    def draw_event(self, index: int, event: Event) -> None:
        """What is no exchange between services."""
        service, seam = event["service"], event["seam"]
        if event.get("died"):
            self._mark(index, self._lane(index), Kind.CRASH, _death(event))
        elif service == "chaos":
            self._draw_harness(index, event)
        elif service == "order_service" and seam == "arrival":
            label = "POST /orders"
            self._stroke(index, index, lane_of(self.lanes, SHOPPER), self._lane(index), label)
        elif service == "order_service" and seam == "reply":
            label = f"{event.get('status', 'reply')}"
            self._stroke(index, index, self._lane(index), lane_of(self.lanes, SHOPPER), label)
        elif not self._in_an_exchange(index):
            self._mark(index, self._lane(index), Kind.NOTE, _plain(event))

    def _draw_request(self, exchange: Exchange) -> None:
        sent, arrived = exchange.sent, exchange.arrived
        if sent is None:
            if arrived is not None:
                label = _request(self.events[arrived])
                self._stroke(arrived, arrived, self.toxiproxy, self._lane(arrived), label)
            return
        label = _request(self.events[sent])
        if exchange.unsent:
            self._mark(sent, self._lane(sent), Kind.NOTE, f"about to send {label}")
        elif arrived is not None:
            cut = not self.events[arrived].get("complete", True)
            label += ", cut short" if cut else ""
            self._stroke(sent, arrived, self._lane(sent), self._lane(arrived), label, cut=cut)
        else:
            end = End.OPEN if self._answered(exchange) else End.LOST
            self._stroke(sent, sent, self._lane(sent), self.toxiproxy, label, end)

    def _draw_answer(self, exchange: Exchange) -> None:
        replied, ended = exchange.replied, exchange.ended
        if ended is not None and not self._answered(exchange):
            saw = self.events[ended].get("saw", "no answer")
            self._mark(ended, self._lane(ended), Kind.IN_DOUBT, f"saw {saw}")
        if replied is None:
            if ended is not None and self._answered(exchange):
                label = f"{self.events[ended].get('status', 'answer')}"
                self._stroke(ended, ended, self.toxiproxy, self._lane(ended), label)
            return
        label = f"{self.events[replied].get('status', 'reply')}"
        if ended is not None and self._answered(exchange):
            self._stroke(replied, ended, self._lane(replied), self._lane(ended), label)
        elif exchange.sent is None or self.events[exchange.sent]["service"] == "chaos":
            # Nothing says whether whoever sent the copy got the answer.
            self._mark(replied, self._lane(replied), Kind.NOTE, f"replies {label}")
        else:
            self._stroke(replied, replied, self._lane(replied), self.toxiproxy, label, End.LOST)

    def _draw_harness(self, index: int, event: Event) -> None:
        seam = event["seam"]
        if seam == "armed":
            label = f"armed {event.get('proxy', '')}: {event.get('toxic', '')}"
            self._mark(index, self.toxiproxy, Kind.ARMED, label)
        elif seam == "healed":
            self._mark(index, self.toxiproxy, Kind.HEALED, f"healed {event.get('proxy', '')}")
        elif seam in ("crashed", "stopped", "resumed"):
            what = str(event.get("what", ""))
            kind = Kind.CRASH if seam == "crashed" else Kind(seam)
            lane = lane_named(self.lanes, what)
            # Which of two replicas it was is not guessed.
            self._mark(index, self.toxiproxy if lane is None else lane, kind, f"{what} {seam}")
        elif seam == "observed":
            self._draw_observation(index, event)
        elif not self._in_an_exchange(index):
            label = str(event["text"]) if "text" in event else _plain(event)
            self._mark(index, 0, Kind.NOTE, label)

    def _draw_observation(self, index: int, event: Event) -> None:
        before, effects = self.effects, float(event.get("effects", 0))
        self.effects = effects
        keys = f", keys {event['keys']}" if "keys" in event else ""
        changed = effects != (before or 0.0)
        label = f"{before or 0.0:g} → {effects:g}" if changed else f"{effects:g}"
        kind = Kind.COMMITTED if changed else Kind.OBSERVED
        self._mark(index, lane_of(self.lanes, POSTGRES), kind, f"effects {label}{keys}")

    def _bands(self, rows: int) -> list[Band]:
        starts = {Kind.ARMED, Kind.STOPPED, Kind.CRASH}
        return [
            Band(mark.lane, mark.row, self._band_end(mark, rows - 1), mark.kind)
            for mark in self.marks
            if mark.kind in starts
        ]

    def _band_end(self, mark: Mark, last_row: int) -> int:
        """A toxic ends when its proxy is healed, a pause when resumed, a death with the first sign of life."""
        later = [other for other in self.marks if other.lane == mark.lane and other.row > mark.row]
        if mark.kind is Kind.ARMED:
            proxy = mark.label.removeprefix("armed ").partition(":")[0]
            ends = [other.row for other in later if other.label == f"healed {proxy}"]
        elif mark.kind is Kind.STOPPED:
            ends = [other.row for other in later if other.kind is Kind.RESUMED]
        else:
            ends = [other.row for other in later]
            ends += [
                row
                for stroke in self.strokes
                for lane, row in (
                    (stroke.lane_from, stroke.row_from),
                    (stroke.lane_to, stroke.row_to),
                )
                if lane == mark.lane and row > mark.row
            ]
        return min(ends, default=last_row)

    def _lane(self, index: int) -> int:
        event = self.events[index]
        if event["service"] == "chaos":
            return lane_of(self.lanes, SHOPPER)
        return lane_of(self.lanes, event["service"], event.get("pid"))

    def _answered(self, exchange: Exchange) -> bool:
        return exchange.ended is not None and self.events[exchange.ended]["seam"] == "answer"

    def _in_an_exchange(self, index: int) -> bool:
        return any(
            index in (exchange.sent, exchange.arrived, exchange.replied, exchange.ended)
            for exchange in self.exchanges
        )

    def _mark(self, index: int, lane: int, kind: Kind, label: str) -> None:
        self.marks.append(Mark(self.rows[index], lane, kind, label))

    def _stroke(
        self,
        index_from: int,
        index_to: int,
        lane_from: int,
        lane_to: int,
        label: str,
        end: End = End.ARRIVED,
        *,
        cut: bool = False,
    ) -> None:
        rows = (self.rows[index_from], self.rows[index_to])
        self.strokes.append(Stroke(lane_from, lane_to, *rows, end, label, cut))


def _rows(events: Sequence[Event], all_exchanges: Sequence[Exchange]) -> list[int]:
    """The row of each event: a new one each, but sending and arriving share one when nothing came between."""
    joined = {
        second
        for exchange in all_exchanges
        for first, second in (
            (exchange.sent, exchange.arrived),
            (exchange.replied, exchange.ended),
        )
        if first is not None and second == first + 1 and events[second]["seam"] != "no answer"
    }
    rows: list[int] = []
    for index in range(len(events)):
        rows.append(len(set(rows)) - (index in joined))
    return rows


def _request(event: Event) -> str:
    """What is asked: a charge with its key and its retry flag, a notification, a copy made by the harness."""
    if peer(event) == "notifications" or event["service"] == "notification_service":
        return "notify"
    verb = "retry" if event.get("retry") == "?1" else "charge"
    if event["service"] == "chaos":
        verb = f"copy of a {verb}"
    return " ".join(filter(None, (verb, str(event.get("sequence_key") or ""), event.get("retry"))))


def _death(event: Event) -> str:
    where = {
        "arrival": "on arrival, before executing",
        "reply": "before replying",
        "attempt": "before sending",
        "notify": "before notifying",
    }
    return f"died {where.get(event['seam'], 'at: ' + str(event['seam']))}"


def _plain(event: Event) -> str:
    """An event without a drawing of its own: its seam and its fields."""
    known = {"scenario", "at_ms", "service", "pid", "seam", "account", "order_id"}
    fields = ", ".join(
        f"{name} {value}"
        for name, value in event.items()
        if name not in known and value not in ("", None)
    )
    return f"{event['seam']}: {fields}" if fields else str(event["seam"])


__all__ = ["RECEIVERS", "Band", "End", "Figure", "Kind", "Mark", "Stroke", "figure"]
