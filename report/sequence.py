"""Turns the recorded events of one scenario into a figure: rows in time, strokes between lanes, marks on them.

Guarantee: every stroke and every mark stands for recorded events. A lost message is what was sent and has no recorded
arrival (a reply: no recorded answer at its caller); it ends at Toxiproxy, where faults strike.
"""

from collections.abc import Sequence
from typing import Any

from report.captions import death, plain, reply, request
from report.exchanges import Exchange, exchanges
from report.figure import Band, End, Figure, Kind, Mark, Stroke
from report.history import Event
from report.lanes import (
    CUSTOMER,
    DONE_BY_THE_CUSTOMER,
    POSTGRES,
    TOXIPROXY,
    lane_mentioned,
    lane_of,
    lane_struck,
    lanes,
)

# What a dead or stopped process cannot do.
_SIGNS_OF_LIFE = {Kind.OBSERVED, Kind.COMMITTED, Kind.EXCEEDED, Kind.IN_DOUBT, Kind.NOTE}


def figure(events: Sequence[Event], effects_max: float | None = None) -> Figure:
    """The diagram of one scenario's events, which are in the order of their happening.

    Where more than `effects_max` effects were read, the mark says so.
    """
    draft = _Draft(events, effects_max)
    for exchange in draft.exchanges:
        draft.draw_exchange(exchange)
    for index, event in enumerate(events):
        draft.draw_event(index, event)
    return draft.finished()


def condensed(events: Sequence[Event]) -> list[Event]:
    """Of readings of Postgres that follow each other and say the same, the first and the last, which says how many."""
    told: list[Event] = []
    for event in events:
        alike = told and event["seam"] == "observed" and _reading(told[-1]) == _reading(event)
        if alike and told[-1].get("alike"):
            told[-1] = {**event, "alike": told[-1]["alike"] + 1}
        else:
            told.append({**event, "alike": 2} if alike else event)
    return told


def _reading(event: Event) -> tuple[Any, ...]:
    return tuple(event.get(name) for name in ("seam", "account", "effects", "keys", "commits"))


class _Draft:
    """Strokes, marks and bands as they are found."""

    def __init__(self, events: Sequence[Event], effects_max: float | None) -> None:
        self.events = events
        self.effects_max = effects_max
        self.lanes = lanes(events)
        self.exchanges = exchanges(events)
        self.rows = _rows(events, self.exchanges)
        self.strokes: list[Stroke] = []
        self.marks: list[Mark] = []
        self.toxiproxy = lane_of(self.lanes, TOXIPROXY)
        # By account.
        self.effects: dict[Any, float] = {}
        # That of the order that the fault strikes: it is the first one that is read.
        self.first = next((e.get("account") for e in events if e["seam"] == "observed"), None)

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
            self._mark(index, self._lane(index), Kind.CRASH, death(event))
        elif service == "chaos":
            self._draw_harness(index, event)
        elif service == "order_service" and seam == "arrival":
            label = "POST /orders"
            label += self._whose(event)
            self._stroke(index, index, lane_of(self.lanes, CUSTOMER), self._lane(index), label)
        elif service == "order_service" and seam == "reply":
            label = f"{event.get('status', 'reply')}"
            self._stroke(index, index, self._lane(index), lane_of(self.lanes, CUSTOMER), label)
        elif not self._in_an_exchange(index):
            self._mark(index, self._lane(index), Kind.NOTE, plain(event))

    def _draw_request(self, exchange: Exchange) -> None:
        sent, arrived = exchange.sent, exchange.arrived
        if sent is None:
            if arrived is not None:
                label = f"stray {request(self.events[arrived])}" + self._whose(self.events[arrived])
                self._stroke(arrived, arrived, self.toxiproxy, self._lane(arrived), label)
            return
        label = request(self.events[sent]) + self._whose(self.events[sent])
        if exchange.in_hand:
            self._mark(sent, self._lane(sent), Kind.NOTE, f"about to send {label}")
        elif arrived is not None:
            arrival = self.events[arrived]
            cut = not arrival.get("complete", True)
            label += ", cut short" if cut else ""
            if arrival.get("retry") != self.events[sent].get("retry"):
                label += f" → {arrival.get('retry')}"
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
        label = reply(self.events[replied])
        if ended is not None and self._answered(exchange):
            # The reply may be written down after it was read; it cannot have left later than it arrived.
            left = min(replied, ended)
            self._stroke(left, ended, self._lane(replied), self._lane(ended), label)
        elif exchange.sent is None or self.events[exchange.sent]["service"] == "chaos":
            # Nothing records whether the sender of the copy got the answer.
            self._mark(replied, self._lane(replied), Kind.NOTE, f"replies {label}")
        else:
            self._stroke(replied, replied, self._lane(replied), self.toxiproxy, label, End.LOST)

    def _draw_harness(self, index: int, event: Event) -> None:
        seam = event["seam"]
        if seam in ("armed", "healed"):
            proxy = str(event.get("proxy", ""))
            label = f"{seam} {proxy}" + (f": {event['toxic']}" if "toxic" in event else "")
            self._mark(index, self.toxiproxy, Kind(seam), label, proxy)
        elif seam in ("crashed", "stopped", "resumed"):
            self._draw_process(index, event)
        elif seam == "observed":
            self._draw_observation(index, event)
        elif not self._in_an_exchange(index):
            lane = lane_of(self.lanes, CUSTOMER) if seam in DONE_BY_THE_CUSTOMER else 0
            self._mark(index, lane, Kind.NOTE, str(event.get("text", plain(event))))

    def _draw_process(self, index: int, event: Event) -> None:
        what, seam = str(event.get("what", "")), event["seam"]
        lane = lane_struck(self.lanes, what, event.get("struck"))
        kind = Kind.CRASH if seam == "crashed" else Kind(seam)
        if lane is None:
            # Only a part of it, or one of two replicas: which one is not guessed.
            lane, kind = lane_mentioned(self.lanes, what), Kind.NOTE
        self._mark(index, lane, kind, f"{what} {seam}")

    def _draw_observation(self, index: int, event: Event) -> None:
        account, effects = event.get("account"), float(event.get("effects", 0))
        before = self.effects.get(account)
        self.effects[account] = effects
        changed = before is not None and before != effects
        label = f"effects {before:g} → {effects:g}" if changed else f"effects {effects:g}"
        keys = f", keys {event['keys']}" if "keys" in event else ""
        # An account has moved nothing when a scenario opens it.
        kind = Kind.OBSERVED if effects == (before or 0) else Kind.COMMITTED
        if self.effects_max is not None and account == self.first and effects > self.effects_max:
            kind, keys = Kind.EXCEEDED, f", not {self.effects_max:g}{keys}"
        alike = f", the same {event['alike']} times" if event.get("alike", 0) > 2 else ""
        label += keys + alike + self._whose(event)
        self._mark(index, lane_of(self.lanes, POSTGRES), kind, label)

    def _whose(self, event: Event) -> str:
        account = event.get("account")
        return f", {str(account)[-4:]}" if account and self.first not in (None, account) else ""

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
            ends = [
                other.row
                for other in later
                if other.kind is Kind.HEALED and other.proxy == mark.proxy
            ]
        elif mark.kind is Kind.STOPPED:
            ends = [other.row for other in later if other.kind is Kind.RESUMED]
        else:
            ends = [other.row for other in later if other.kind in _SIGNS_OF_LIFE]
            ends += [row for row in self._touched(mark.lane) if row > mark.row]
        return min(ends, default=last_row)

    def _touched(self, lane: int) -> list[int]:
        """The rows in which a message left this lane or arrived at it."""
        return [
            row
            for stroke in self.strokes
            for at, row in ((stroke.lane_from, stroke.row_from), (stroke.lane_to, stroke.row_to))
            if at == lane
        ]

    def _lane(self, index: int) -> int:
        event = self.events[index]
        return lane_of(self.lanes, event["service"], event.get("pid"))

    def _answered(self, exchange: Exchange) -> bool:
        return exchange.ended is not None and self.events[exchange.ended]["seam"] == "answer"

    def _in_an_exchange(self, index: int) -> bool:
        return any(
            index in (exchange.sent, exchange.arrived, exchange.replied, exchange.ended)
            for exchange in self.exchanges
        )

    def _mark(self, index: int, lane: int, kind: Kind, label: str, proxy: str = "") -> None:
        self.marks.append(Mark(self.rows[index], lane, kind, label, proxy))

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
        max(one, other)
        for exchange in all_exchanges
        for one, other in (
            (exchange.sent, exchange.arrived),
            (exchange.replied, exchange.ended),
        )
        if one is not None
        and other is not None
        and abs(one - other) == 1
        and events[other]["seam"] != "no answer"
    }
    rows: list[int] = []
    for index in range(len(events)):
        row = rows[-1] + (index not in joined) if rows else 0
        rows.append(row)
    return rows
