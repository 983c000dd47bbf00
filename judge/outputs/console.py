"""The terminal: one line for each case while it is played, then what went wrong and the verdict.

Guarantee: colour and movement only on a terminal, and not under NO_COLOR; text of the service is never taken for markup
and shows nothing unprintable.
"""

import sys
from collections.abc import Sequence

from rich.console import Console as Terminal
from rich.table import Table
from rich.text import Text

from judge.cases.case import Case
from judge.outputs.files import Files
from judge.outputs.result import Json
from judge.verdict import LEFT_OUT, Run, Verdict
from report.printable import printable

_STYLES = {"pass": "green", "fail": "bold red", "unknown": "yellow"}
_NAME_WIDTH = 18
_CURLS_MAX = 6


class Console:
    """Progress on standard error, the outcome on standard output. `quiet` leaves standard output to JSON."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._out = Terminal(file=sys.stdout, highlight=False, soft_wrap=True)
        self._err = Terminal(file=sys.stderr, highlight=False, soft_wrap=True)

    def says(self, text: str) -> None:
        """Something that takes a while begins."""
        self._err.print(Text(printable(text), "dim"))

    def begins(self, number: int, of: int, title: str) -> None:
        """A case begins; on a terminal its line is replaced by its verdict."""
        if self._err.is_terminal:
            self._err.print(Text(f"[{number}/{of}] {title} …", "dim"), end="\r")

    def ends(self, verdict: Verdict) -> None:
        """A case has its verdict."""
        if self._err.is_terminal:
            self._err.control()
            self._err.file.write("\x1b[2K")
        line = Text()
        line.append(f"{verdict.kind:<8}", _STYLES[verdict.kind])
        line.append(f"{verdict.name:<{_NAME_WIDTH}}")
        line.append(f"{verdict.seconds:6.1f} s  ", "dim")
        line.append(
            printable(verdict.sentence) if verdict.sentence else verdict.title,
            "" if verdict.sentence else "dim",
        )
        (self._err if self._quiet else self._out).print(line)

    def summary(self, run: Run, document: Json, files: Files) -> None:
        """What went wrong, with the requests, and the verdict."""
        out = self._err if self._quiet else self._out
        for case in document["cases"]:
            if case["verdict"] != "pass":
                _finding(out, case)
        for left in run.not_played:
            if left.why != LEFT_OUT:
                out.print(Text(f"not played: {left.name} ({left.why})", "dim"))
        for case in document["cases"]:
            for note in case["notes"]:
                out.print(Text(f"note, {case['name']}: {printable(note)}", "dim"))
        out.print()
        out.print(
            Text.assemble(
                (run.kind.upper(), _STYLES[run.kind]),
                f"  {_counted(run)} in {run.seconds:.1f} s; {files}",
            )
        )


def _finding(out: Terminal, case: Json) -> None:
    out.print()
    out.print(
        Text(
            f"{case['verdict'].upper()}  {case['name']}: {case['title']}", _STYLES[case["verdict"]]
        )
    )
    out.print(Text(f"  promise: {case['promise']}"))
    out.print(Text(f"  seen:    {printable(case['sentence'])}"))
    if case["cause"]:
        out.print(Text(f"  usual cause: {case['cause']}"))
    readings = [event for event in case["events"] if event["kind"] == "reading"]
    if readings:
        first, last = readings[0], readings[-1]
        out.print(
            Text(
                f"  reading: {first['value']} before, {last['value']} after ({last['effects']:g} effects)"
            )
        )
    attempts = [event for event in case["events"] if event["kind"] == "attempt"]
    for attempt in attempts[:_CURLS_MAX]:
        out.print(Text(f"  {attempt['label']}: {printable(attempt['curl'])}"))
        out.print(Text(f"      → {printable(attempt['saw'])}", "dim"))
    if len(attempts) > _CURLS_MAX:
        out.print(Text(f"  and {len(attempts) - _CURLS_MAX} more requests in result.json", "dim"))


def _counted(run: Run) -> str:
    kinds = [verdict.kind for verdict in run.verdicts]
    parts = [
        f"{kinds.count(kind)} {word}"
        for kind, word in (("pass", "passed"), ("fail", "failed"), ("unknown", "unknown"))
        if kind in kinds
    ]
    return ", ".join(parts)


def listing(cases: Sequence[Case]) -> str:
    """The cases and what each proves."""
    table = Table("case", "what it proves", "control", box=None, padding=(0, 2, 0, 0))
    for case in cases:
        table.add_row(case.name, case.promise, case.control)
    terminal = Terminal(highlight=False)
    with terminal.capture() as captured:
        terminal.print(table)
    return captured.get()
