"""The sequence diagram of one case, from its events.

Guarantee: every stroke and mark stands for a recorded event. The judge sees the service from outside: whether a request
that has no answer arrived is not drawn, because it is not known.
"""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass

from judge.outputs.result import Json
from report import drawing, plain_text
from report.figure import Band, End, Figure, Kind, Mark, Stroke
from report.lanes import CALLER, READING, SERVICE, TOXIPROXY, Lane

# A longer diagram is not readable; result.json has all events.
MOMENTS_MAX = 160
_LANES = (Lane(CALLER), Lane(TOXIPROXY), Lane(SERVICE), Lane(READING))
_CALLER, _TOXIPROXY, _SERVICE, _READING = range(len(_LANES))
_FAULTS = {
    "armed": (_TOXIPROXY, Kind.ARMED),
    "healed": (_TOXIPROXY, Kind.HEALED),
    "killed": (_SERVICE, Kind.CRASH),
    "terminated": (_SERVICE, Kind.CRASH),
    "started": (_SERVICE, Kind.RESUMED),
}
# What ends the stretch that a fault begins.
_ENDS = {Kind.ARMED: Kind.HEALED, Kind.CRASH: Kind.RESUMED}


@dataclass(frozen=True)
class _Moment:
    at_ms: float
    event: Json
    is_end: bool = False


def svg_element(events: Sequence[Json], title: str, identity: str) -> ET.Element:
    """The picture as an element of a page that has the diagrams' style."""
    return drawing.draw(_figure(events), title, text(events), identity)


def text(events: Sequence[Json]) -> str:
    """The diagram as lines of plain text."""
    return plain_text.draw(_figure(events))


def left_out(events: Sequence[Json]) -> int:
    """How many moments are not drawn."""
    return max(0, len(_moments(events)) - MOMENTS_MAX)


def _figure(events: Sequence[Json]) -> Figure:
    moments = _moments(events)[:MOMENTS_MAX]
    strokes: list[Stroke] = []
    marks: list[Mark] = []
    for row, moment in enumerate(moments):
        event = moment.event
        if event["kind"] == "attempt":
            (_draw_end if moment.is_end else _draw_begin)(row, event, strokes, marks)
        elif event["kind"] == "reading":
            marks.append(Mark(row, _READING, _kind_of(event), _reading(event)))
        else:
            lane, kind = _FAULTS[event["kind"]]
            marks.append(Mark(row, lane, kind, event["text"]))
    origin_ms = moments[0].at_ms if moments else 0.0
    return Figure(
        _LANES,
        tuple(moment.at_ms - origin_ms for moment in moments),
        tuple(strokes),
        tuple(marks),
        tuple(_bands(marks, len(moments) - 1)),
    )


def _moments(events: Sequence[Json]) -> list[_Moment]:
    moments = []
    for event in events:
        moments.append(_Moment(event["at_ms"], event))
        if event["kind"] == "attempt" and event["ended_ms"] is not None:
            moments.append(_Moment(event["ended_ms"], event, is_end=True))
    return sorted(moments, key=lambda moment: moment.at_ms)


def _draw_begin(row: int, event: Json, strokes: list[Stroke], marks: list[Mark]) -> None:
    del marks
    label = f"{event['number']} {event['label']}"
    if _is_proxied(event):
        # It went on, or not: only Toxiproxy knows.
        strokes.append(Stroke(_CALLER, _TOXIPROXY, row, row, End.OPEN, label))
    else:
        strokes.append(
            Stroke(_CALLER, _SERVICE, row, row, End.ARRIVED if event["status"] else End.OPEN, label)
        )


def _draw_end(row: int, event: Json, strokes: list[Stroke], marks: list[Mark]) -> None:
    if not event["status"]:
        marks.append(Mark(row, _CALLER, Kind.IN_DOUBT, f"{event['number']} saw {event['saw']}"))
        return
    lane = _TOXIPROXY if _is_proxied(event) else _SERVICE
    strokes.append(
        Stroke(lane, _CALLER, row, row, End.ARRIVED, f"{event['number']}: {event['saw']}")
    )


def _is_proxied(event: Json) -> bool:
    return bool(event["through"] != "directly")


def _kind_of(event: Json) -> Kind:
    return Kind.COMMITTED if event["effects"] else Kind.OBSERVED


def _reading(event: Json) -> str:
    return f"{event['value']} (effects {event['effects']:g})"


def _bands(marks: Sequence[Mark], last_row: int) -> list[Band]:
    bands = []
    for mark in marks:
        if mark.kind in _ENDS:
            ends = [
                other.row
                for other in marks
                if other.lane == mark.lane
                and other.row > mark.row
                and other.kind is _ENDS[mark.kind]
            ]
            bands.append(Band(mark.lane, mark.row, min(ends, default=last_row), mark.kind))
    return bands
