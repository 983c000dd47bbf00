"""What a run says on a terminal while it is played, and at its end.

Guarantee: each scenario has one line that fits 80 columns, with its whole name and what is left of the run; one that did
not pass has its reasons beneath. Without a terminal the lines are plain.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich import box
from rich.console import Console, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from chaos.mutation import Hunted
from chaos.promises.audit import Audit
from chaos.promises.verdict import Verdict, worst
from chaos.results import latest, story
from chaos.results.cells import are_cells, table, with_reasons
from chaos.results.lines import STYLE as _STYLE
from chaos.results.lines import duration, reasons, short
from chaos.results.lines import line as line
from chaos.runner.play import Played
from chaos.scenarios.scenario import Scenario
from chaos.soak.endurance import Endured
from chaos.soak.rounds import Round
from report import durations
from report.command import Invocation, chaos

# As many as a person reads; --json has them all.
_FINDINGS_SHOWN = 20
# Of a log or a pipe, which have no width.
_COLUMNS = 80


class Progress:
    """The table, growing cell by cell, or one line a scenario; plain lines where there is no terminal.

    `before` has the seconds that scenarios took in earlier runs. With `told`, the cells of the table, which are played in its order,
    are told one by one as well.
    """

    def __init__(
        self,
        console: Console,
        scenarios: Sequence[Scenario],
        before: Mapping[str, float] = {},
        *,
        told: bool = False,
    ) -> None:
        self._console = console
        self._scenarios = scenarios
        self._before = before
        self._told = told
        self._played: dict[str, Played] = {}
        self._current: Scenario | None = None
        self._live: Live | None = None

    @property
    def tabular(self) -> bool:
        """Whether the scenarios are cells of one family: then they are shown as the table."""
        return are_cells(self._scenarios)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Shows live, for the length of the block, the table or what is being played."""
        if self._told:
            self._console.print(story.OPENING, highlight=False)
        left_s = self._left_s()
        if not self.tabular and left_s is not None:
            self._console.print(
                f"{len(self._scenarios)} scenarios, about {duration(left_s)}", highlight=False
            )
        if not self._console.is_terminal:
            yield
            return
        with Live(self._now(), console=self._console, transient=True) as live:
            self._live = live
            yield
        self._live = None

    def started(self, scenario: Scenario) -> None:
        """A scenario begins."""
        before = next(reversed(self._played.values()), None)
        happens = story.happens(scenario, before.scenario if before else None)
        if self._told and happens is not None:
            self._console.print(happens, highlight=False, soft_wrap=True)
        self._current = scenario
        self._refresh()

    def ended(self, played: Played) -> None:
        """A scenario has its verdict."""
        self._played[played.scenario.name] = played
        self._current = None
        self._refresh()
        if self._told:
            self._console.print(story.told(played), highlight=False)
        elif self._live is None or not self.tabular:
            self._print_line(played)

    def table(self) -> RenderableType:
        """The cells, and on a terminal, where no lines were printed before, why some of them did not pass."""
        made = table(self._scenarios, self._played, self._current)
        silent = self._console.is_terminal and not self._told
        return with_reasons(made, self._played.values()) if silent else made

    def _print_line(self, played: Played) -> None:
        width = min(self._console.width, _COLUMNS) if self._console.is_terminal else _COLUMNS
        text = short(played, len(self._played), len(self._scenarios), self._left_s(), width)
        self._console.print(text, highlight=False, soft_wrap=True)
        if played.verdict is Verdict.PASS:
            return
        if self._console.is_terminal:
            self._console.print(reasons(played), highlight=False)
        else:
            # Whatever reads a log or a pipe has a width of its own.
            self._console.print(line(played), highlight=False, soft_wrap=True)

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.update(self._now())

    def _now(self) -> RenderableType:
        if self.tabular:
            return self.table()
        name = "" if self._current is None else self._current.name
        left_s = self._left_s()
        left = "" if left_s is None else f", {duration(left_s)} left"
        text = f"{len(self._played) + 1}/{len(self._scenarios)} {name}{left}"
        return Text(text, style="dim", no_wrap=True, overflow="ellipsis")

    def _left_s(self) -> float | None:
        return durations.left_s(
            (s.name for s in self._scenarios if s.name not in self._played),
            {name: played.seconds for name, played in self._played.items()},
            self._before,
        )


def summary(played: Sequence[Played], whole: Played, invocation: Invocation) -> str:
    """The closing lines of a run: the verdict, and how each scenario that did not pass is repeated."""
    verdict = worst([cell.verdict for cell in (*played, whole)])
    counts = ", ".join(f"{sum(cell.verdict is kind for cell in played)} {kind}" for kind in Verdict)
    text = (
        f"[{_STYLE[verdict]}]{verdict.upper()}[/]: {counts} of {len(played)} scenarios; "
        f"the run as a whole: {whole.verdict}."
    )
    saw = {
        cell.caller_saw
        for cell in played
        if cell.scenario.situation is not None and not cell.scenario.situation.answered
    }
    if saw:
        text += "\nIn situations 2 to 5 the caller saw " + (
            "the same:" if len(saw) == 1 else "these, the same one in each family:"
        )
        text += "".join(f"\n  {escape(what)}" for what in sorted(saw))
    for cell in played:
        if cell.verdict is not Verdict.PASS:
            text += f"\nAgain: {escape(invocation.one(cell.scenario.name))}"
    return text


def where(written: Sequence[Path]) -> list[str]:
    """Where a run's files are; of the report also the address that a browser opens, and the one that stays."""
    *files, page = written
    lines = [f"Written: {os.path.relpath(path)}" for path in files]
    lines.append(f"Report: {page.resolve().as_uri()}")
    link = latest.point(page.parent)
    return lines if link is None else [*lines, f"The newest run: {os.path.relpath(link)}"]


def hunted_line(hunted: Hunted) -> str:
    """One planted bug, as it was hunted."""
    style, word = ("green", "caught") if hunted.caught else ("bold red", "MISSED")
    seconds = sum(cell.seconds for cell in hunted.played)
    return f"[{style}]{word}[/] {escape(hunted.bug.name)} ({seconds:.1f} s)"


def hunted_table(hunted: Sequence[Hunted]) -> Table:
    """Bug by promise that caught it."""
    table = Table(
        box=box.SIMPLE_HEAD, caption=f"{sum(h.caught for h in hunted)} of {len(hunted)} caught"
    )
    for title in ("planted bug", "what is wrong", "caught by", "in"):
        table.add_column(title)
    for found in hunted:
        by = [promise for promise in found.broken if promise in found.bug.promises]
        table.add_row(
            escape(found.bug.name),
            escape(found.bug.title),
            f"[green]{', '.join(by)}[/]" if by else "[bold red]nothing[/]",
            escape(", ".join(found.bug.scenarios)),
        )
    return table


def round_line(number: int, played: Round) -> str:
    """One round of a soak; what was broken, and which witness is missing, beneath it."""
    text = (
        f"[{_STYLE[played.verdict]}]{played.verdict.upper():7}[/] round {number}: {played.accepted} orders, "
        f"{played.attempts} attempts, {played.seconds:.1f} s; "
        + escape("; ".join(str(strike) for strike in played.plan.strikes))
    )
    for finding in played.broken:
        text += (
            f"\n        broken: {finding.promise} {escape(finding.claim)}: {escape(finding.detail)}"
        )
    for witness in played.witnesses:
        if not witness.seen:
            text += f"\n        witness missing: {escape(witness.claim)}"
    return text


def soak_summary(endured: Endured, plan_file: str | None) -> str:
    """The closing lines of a soak: the verdict, and how the smallest failing plan is played again."""
    verdict = endured.verdict
    text = (
        f"[{_STYLE[verdict]}]{verdict.upper()}[/]: {endured.rounds} rounds, {endured.accepted} orders on accounts of "
        f"their own, {endured.attempts} attempts."
    )
    if endured.smallest is not None:
        text += (
            f"\nThe smallest plan that failed: {endured.smallest.orders} orders; "
            + escape(
                "; ".join(str(strike) for strike in endured.smallest.strikes) or "no strike at all"
            )
            + f"\nIt failed in {endured.failures} of {endured.replays} trials (the schedule of the operating system is not part of "
            f"the seed)."
        )
    if plan_file is not None:
        text += f"\nAgain: {escape(chaos('soak', '--plan', plan_file))}"
    return text


def print_audit(console: Console, found: Audit) -> None:
    """The findings of an audit, and what it looked at."""
    if found.findings:
        table = Table(box=box.SIMPLE_HEAD)
        for title in ("finding", "what", "detail"):
            table.add_column(title)
        for finding in found.findings[:_FINDINGS_SHOWN]:
            table.add_row(finding.kind, escape(finding.subject), escape(finding.detail))
        console.print(table)
        if len(found.findings) > _FINDINGS_SHOWN:
            console.print(f"… and {len(found.findings) - _FINDINGS_SHOWN} more")
    console.print(
        f"[{_STYLE[found.verdict]}]{found.verdict.upper()}[/]: {found.orders} orders "
        f"({found.pending} pending), {found.withdrawals} withdrawals, {len(found.findings)} findings; "
        f"{found.harm} more withdrawals are the harm of at_least_once.",
        highlight=False,
        soft_wrap=True,
    )
