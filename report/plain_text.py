"""Draws a figure with characters, for a console or a failing test.

Guarantee: one line a row, every label in it: in its line where there is room for it, else at the line's end.
"""

from report.figure import End, Figure, Kind, Mark, Stroke
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
from report.printable import shortened

CLOCK = 9
# Characters from each lane to the next: what is usually written there, and an arrow's ends.
_GAPS = {
    CHAOS: 12,
    CUSTOMER: 18,
    "order_service": 24,
    TOXIPROXY: 18,
    "billing_service": 12,
    POSTGRES: 13,
    "notification_service": 16,
    CALLER: 30,
    SERVICE: 24,
    READING: 14,
}
_GLYPHS = {
    Kind.ARMED: "■",
    Kind.HEALED: "□",
    Kind.CRASH: "✗",
    Kind.STOPPED: "‖",
    Kind.RESUMED: "▸",
    Kind.OBSERVED: "◇",
    Kind.COMMITTED: "◆",
    Kind.EXCEEDED: "◆",
    Kind.IN_DOUBT: "?",
    Kind.NOTE: "•",
}
# As long as a toxic with all its attributes.
_LABEL_LENGTH_MAX = 90


def draw(figure: Figure) -> str:
    """Lines without a line break at the end."""
    return "\n".join([*_head(figure.lanes), *_body(figure), _LEGEND])


_LEGEND = (
    "╌✗ lost   ✗ crash   ■ armed   □ healed   ◆ money moved   ◇ read   ? the caller cannot know"
)


def _head(lanes: tuple[Lane, ...]) -> list[str]:
    titles = _Line(lanes)
    pids = _Line(lanes)
    for number, lane in enumerate(lanes):
        titles.write(titles.x[number] - len(lane.title) // 2, lane.title)
        for_pid = ">".join(map(str, lane.pids))
        pids.write(pids.x[number] - len(for_pid) // 2, for_pid)
    return [titles.text(), pids.text()]


def _body(figure: Figure) -> list[str]:
    lines = []
    for row, at_ms in enumerate(figure.at_ms):
        line = _Line(figure.lanes)
        line.write(0, f"{at_ms:{CLOCK - 1}.1f}")
        line.lives()
        for stroke in figure.strokes:
            _draw_stroke(line, stroke, row)
        for mark in figure.marks:
            if mark.row == row:
                _draw_mark(line, mark)
        lines.append(line.text())
    return lines


def _draw_stroke(line: "_Line", stroke: Stroke, row: int) -> None:
    """What arrives later than it was sent leaves a stub in the row of its sending."""
    if row == stroke.row_from != stroke.row_to:
        line.arrow(stroke.lane_from, stroke.lane_to, stroke.label, stub=True)
    elif row == stroke.row_to:
        since = "" if stroke.row_from == stroke.row_to else " arrives"
        line.arrow(
            stroke.lane_from,
            stroke.lane_to,
            stroke.label + since,
            lost=stroke.end is End.LOST,
            open_end=stroke.end is End.OPEN,
        )


def _draw_mark(line: "_Line", mark: Mark) -> None:
    line.put(line.x[mark.lane], _GLYPHS[mark.kind])
    line.remark(mark.label)


class _Line:
    """One row of characters, with remarks behind it."""

    def __init__(self, lanes: tuple[Lane, ...]) -> None:
        self.x = [CLOCK + 4]
        for lane in lanes[:-1]:
            self.x.append(self.x[-1] + _GAPS[lane.part])
        self._cells = [" "] * (self.x[-1] + 8)
        self._remarks: list[str] = []

    def text(self) -> str:
        """The whole line; remarks stand behind the last lane."""
        drawn = "".join(self._cells)
        return (drawn + "  ".join(self._remarks)).rstrip() if self._remarks else drawn.rstrip()

    def lives(self) -> None:
        for x in self.x:
            self.put(x, "│")

    def put(self, x: int, character: str) -> None:
        self._cells[x] = character

    def write(self, x: int, text: str) -> None:
        for offset, character in enumerate(text):
            if 0 <= x + offset < len(self._cells):
                self._cells[x + offset] = character

    def remark(self, label: str) -> None:
        self._remarks.append(shortened(label, _LABEL_LENGTH_MAX))

    def arrow(
        self,
        lane_from: int,
        lane_to: int,
        label: str,
        *,
        lost: bool = False,
        open_end: bool = False,
        stub: bool = False,
    ) -> None:
        right = lane_to > lane_from
        step = 1 if right else -1
        start, end = self.x[lane_from], self.x[lane_to]
        if stub:
            end = self.x[lane_from + step] - 2 * step
        self.put(start, "├" if right else "┤")
        for x in range(start + step, end, step):
            self.put(x, "╌" if lost or stub else "─")
        if lost:
            self.put(end, "✗")
        elif stub:
            self.put(end, "┄")
        else:
            self.put(end - step, "○" if open_end else "▶" if right else "◀")
        shown = shortened(label, _LABEL_LENGTH_MAX)
        room = abs(self.x[lane_from + step] - start) - 4
        if len(shown) + 2 <= max(room, abs(end - start) - 4):
            text = f" {shown} "
            self.write(start + 2 if right else start - 1 - len(text), text)
        else:
            self.remark(shown)
