"""One scenario on a terminal: one line that fits 80 columns, and beneath it, unless it passed, why it did not.

Guarantee: a line has the whole name of its scenario, which plays it again.
"""

from datetime import timedelta

from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

from chaos.promises.verdict import Verdict
from chaos.runner.play import Played

STYLE = {Verdict.PASS: "green", Verdict.FAIL: "bold red", Verdict.UNKNOWN: "bold yellow"}
_INDENT = 8


def short(played: Played, number: int, count: int, left_s: float | None, width: int) -> str:
    """`12/133 PASS name 3.2s 6m left`; what is left is dropped where the line would not fit."""
    position = f"{number:{len(str(count))}}/{count} "
    verdict = played.verdict.upper()
    rest = f" {played.scenario.name} {played.seconds:.1f}s"
    left = "" if left_s is None or number == count else f" {duration(left_s)} left"
    if len(position) + len(verdict) + len(rest) + len(left) > width:
        left = ""
    return f"{position}[{STYLE[played.verdict]}]{verdict}[/]{escape(rest)}{left}"


def duration(seconds: float) -> str:
    """How long it takes, as precise as an estimate can be: `40s`, `6m`, `1h 5m`."""
    if seconds < 60:
        # In tens: a figure that jumps with each scenario says less.
        return f"{max(10, round(seconds / 10) * 10)}s"
    minutes = round(timedelta(seconds=seconds) / timedelta(minutes=1))
    return f"{minutes}m" if minutes < 60 else f"{minutes // 60}h {minutes % 60}m"


def reasons(played: Played) -> Padding:
    """The verdict, what was measured and why it is no pass, indented and wrapped at the width of the terminal."""
    first, *rest = line(played).splitlines()
    return Padding(
        Text.from_markup("\n".join((first, *(row.strip() for row in rest)))), (0, 0, 0, 2)
    )


def line(played: Played) -> str:
    """One scenario with all that was counted; what was broken, and which witness is missing, beneath it."""
    return "\n".join(
        (
            f"[{STYLE[played.verdict]}]{played.verdict.upper():7}[/] {escape(played.scenario.name)}: "
            f"{counted(played)}, {played.seconds:.2f} s",
            *(f"{'':{_INDENT}}{reason}" for reason in why(played)),
        )
    )


def counted(played: Played) -> str:
    """What the caller saw, and how often everything happened."""
    order = played.first
    parts = []
    if played.caller_saw:
        parts.append(f"caller saw {escape(repr(played.caller_saw))}")
    if order is not None:
        parts.append(f"{len(order.order.attempts) if order.order else 0} attempts")
        if order.journaled:
            parts.append(f"{len(order.arrivals('billing_service'))} arrivals")
        parts += [f"{order.last.commits} commits", f"effects {order.last.effects:g}"]
    seen = sum(witness.seen for witness in played.witnesses)
    return ", ".join((*parts, f"{seen}/{len(played.witnesses)} witnesses"))


def why(played: Played) -> list[str]:
    """Each promise that was broken and each witness that is missing, escaped for rich."""
    broken = [
        f"broken: {finding.promise} {escape(finding.claim)}: {escape(finding.detail)}"
        for finding in played.findings
        if not finding.kept
    ]
    missing = [
        f"witness missing: {escape(witness.claim)}"
        for witness in played.witnesses
        if not witness.seen
    ]
    return broken + missing
