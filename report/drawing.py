"""Draws a figure as SVG.

Guarantee: every label lies within the picture; what had to be shortened is whole in its tooltip. Colours come from
classes, so that the picture follows the page; shape and words say the same as colour does. What is in a row of time says in
which one.
"""

import xml.etree.ElementTree as ET
from itertools import pairwise

from report.figure import Band, End, Figure, Kind, Mark, Stroke
from report.lanes import (
    CALLER,
    CHAOS,
    CUSTOMER,
    POSTGRES,
    READING,
    SERVICE,
    TOXIPROXY,
    Lane,
)
from report.markup import element
from report.printable import printable, shortened

# Pixels. A row is as high as a line of text with air around it.
ROW_PX = 34
HEAD_PX = 58
FOOT_PX = 18
CLOCK_PX = 64
# Beside the last lane: room for its title, and for short marks.
MARGIN_PX = 70
# To the right of each lane: as wide as what is usually written there.
GAPS_PX = {
    CHAOS: 100,
    CUSTOMER: 116,
    "order_service": 190,
    TOXIPROXY: 160,
    "billing_service": 120,
    POSTGRES: 190,
    "notification_service": 130,
    CALLER: 300,
    SERVICE: 230,
    READING: 130,
}
# Of the 12 pixel font of the labels, on average and in the widest font that a browser falls back to.
CHARACTER_PX = 7.4


def draw(figure: Figure, title: str, description: str, identity: str) -> ET.Element:
    """An svg element; `description` is read aloud in its place."""
    return _Picture(figure).draw(title, description, identity)


class _Picture:
    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.x = _positions(figure.lanes)
        self.width = self.x[-1] + MARGIN_PX
        self.bottom = HEAD_PX + len(figure.at_ms) * ROW_PX
        self.height = self.bottom + FOOT_PX

    def draw(self, title: str, description: str, identity: str) -> ET.Element:
        figure = self.figure
        root = element(
            "svg",
            element("title", title, id=f"{identity}-title"),
            element("desc", description, id=f"{identity}-desc"),
            xmlns="http://www.w3.org/2000/svg",
            class_="diagram",
            role="img",
            aria_labelledby=f"{identity}-title",
            aria_describedby=f"{identity}-desc",
            viewBox=f"0 0 {self.width} {self.height}",
            width=self.width,
            height=self.height,
        )
        root.append(_text(CLOCK_PX - 16, 22, "ms", "clock", anchor="end"))
        root.extend(self._lane(number, lane) for number, lane in enumerate(figure.lanes))
        root.extend(map(self._band, figure.bands))
        root.extend(self._clock(row, at_ms) for row, at_ms in enumerate(figure.at_ms))
        root.extend(map(self._line, figure.strokes))
        # Labels last, so that no line crosses them.
        root.extend(map(self._label, figure.strokes))
        root.extend(map(self._mark, figure.marks))
        return root

    def _y(self, row: int) -> float:
        return HEAD_PX + row * ROW_PX + ROW_PX / 2

    def _lane(self, number: int, lane: Lane) -> ET.Element:
        x = self.x[number]
        pids = ", then ".join(map(str, lane.pids))
        return element(
            "g",
            element("line", x1=x, x2=x, y1=HEAD_PX - 8, y2=self.bottom + 6, class_="life"),
            _text(x, 22, lane.title, "head", anchor="middle"),
            _text(x, 39, f"pid {pids}", "pid", anchor="middle") if pids else None,
        )

    def _band(self, band: Band) -> ET.Element:
        top, bottom = self._y(band.row_from), self._y(band.row_to)
        x = self.x[band.lane]
        return element(
            "rect",
            x=x - 4,
            y=top,
            width=8,
            height=max(bottom - top, 1),
            class_=f"band {band.kind}",
            data_row=band.row_from,
        )

    def _clock(self, row: int, at_ms: float) -> ET.Element:
        made = _text(CLOCK_PX - 16, self._y(row) + 4, f"{at_ms:.1f}", "clock", anchor="end")
        return _in_row(made, row)

    def _line(self, stroke: Stroke) -> ET.Element:
        x1, x2 = self.x[stroke.lane_from], self.x[stroke.lane_to]
        y1, y2 = self._y(stroke.row_from), self._y(stroke.row_to)
        right = x2 > x1
        classes = f"stroke {stroke.end}" + (" cut" if stroke.cut else "")
        line = element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=classes)
        if stroke.end is End.LOST:
            end = _cross(x2, y2, 6, "lost-cross")
        elif stroke.end is End.OPEN:
            end = element("circle", cx=x2, cy=y2, r=3.5, class_="open-end")
        else:
            end = _head(x1, y1, x2, y2)
        return element(
            "g",
            line,
            element("circle", cx=x1 + (1 if right else -1), cy=y1, r=2.5, class_="start"),
            end,
            data_row=stroke.row_from,
        )

    def _label(self, stroke: Stroke) -> ET.Element:
        x1, x2 = self.x[stroke.lane_from], self.x[stroke.lane_to]
        right = x2 > x1
        # Beside the sender, within the first gap on its way.
        step = 1 if right else -1
        room = abs(self.x[stroke.lane_from + step] - x1) - 20
        lost = " lost" if stroke.end is End.LOST else ""
        label = _text(
            x1 + step * 10,
            self._y(stroke.row_from) - 6,
            stroke.label,
            "label" + lost,
            anchor="start" if right else "end",
            room_px=max(room, abs(x2 - x1) - 30),
        )
        return _in_row(label, stroke.row_from)

    def _mark(self, mark: Mark) -> ET.Element:
        x, y = self.x[mark.lane], self._y(mark.row)
        # The right side has the room, except for the last lane.
        last = mark.lane == len(self.x) - 1
        room = x - CLOCK_PX - 30 if last else self.width - x - 20
        return element(
            "g",
            _glyph(mark.kind, x, y),
            _text(
                x + (-14 if last else 14),
                y + 4,
                mark.label,
                f"label {mark.kind}",
                anchor="end" if last else "start",
                room_px=room,
            ),
            class_=f"mark {mark.kind}",
            data_row=mark.row,
        )


def _in_row(made: ET.Element, row: int) -> ET.Element:
    """Says in which row of time it is, so that a player can show one row after the other."""
    made.set("data-row", f"{row}")
    return made


def _positions(lanes: tuple[Lane, ...]) -> list[int]:
    """The x of each lane."""
    x = [CLOCK_PX + 30]
    for lane, following in pairwise(lanes):
        # Between replicas nothing is written that could not go on across the next lane.
        x.append(x[-1] + (120 if lane.part == following.part else GAPS_PX[lane.part]))
    return x


def _text(
    x: float, y: float, text: str, classes: str, *, anchor: str, room_px: float = 400
) -> ET.Element:
    shown = shortened(text, int(room_px / CHARACTER_PX))
    whole = " ".join(printable(text).split())
    return element(
        "text",
        shown,
        element("title", whole) if shown != whole else None,
        x=x,
        y=y,
        text_anchor=anchor,
        class_=classes,
    )


def _head(x1: float, y1: float, x2: float, y2: float) -> ET.Element:
    """An arrow head at the end of a line that may slope."""
    length = max(((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5, 1.0)
    ux, uy = (x2 - x1) / length, (y2 - y1) / length
    back_x, back_y = x2 - 9 * ux, y2 - 9 * uy
    points = (
        f"{x2:.1f},{y2:.1f} "
        f"{back_x - 4.5 * uy:.1f},{back_y + 4.5 * ux:.1f} "
        f"{back_x + 4.5 * uy:.1f},{back_y - 4.5 * ux:.1f}"
    )
    return element("polygon", points=points, class_="arrow")


def _cross(x: float, y: float, size: float, classes: str) -> ET.Element:
    return element(
        "path",
        d=f"M{x - size:g} {y - size:g} L{x + size:g} {y + size:g} "
        f"M{x - size:g} {y + size:g} L{x + size:g} {y - size:g}",
        class_=classes,
    )


def _glyph(kind: Kind, x: float, y: float) -> ET.Element:
    match kind:
        case Kind.ARMED | Kind.HEALED:
            return element("rect", x=x - 6, y=y - 6, width=12, height=12, rx=2, class_="glyph")
        case Kind.CRASH:
            return element(
                "g",
                element("circle", cx=x, cy=y, r=9, class_="glyph"),
                _cross(x, y, 4, "crash-cross"),
            )
        case Kind.OBSERVED | Kind.COMMITTED | Kind.EXCEEDED:
            points = f"{x:g},{y - 7:g} {x + 7:g},{y:g} {x:g},{y + 7:g} {x - 7:g},{y:g}"
            return element("polygon", points=points, class_="glyph")
        case Kind.STOPPED:
            bars = f"M{x - 3:g} {y - 6:g} V{y + 6:g} M{x + 3:g} {y - 6:g} V{y + 6:g}"
            return element("path", d=bars, class_="bars")
        case Kind.RESUMED:
            points = f"{x - 5:g},{y - 6:g} {x + 7:g},{y:g} {x - 5:g},{y + 6:g}"
            return element("polygon", points=points, class_="glyph")
        case Kind.IN_DOUBT:
            return element("circle", cx=x, cy=y, r=6, class_="glyph")
        case Kind.NOTE:
            return element("circle", cx=x, cy=y, r=3, class_="glyph")
