"""The headline table on a terminal, filled in while the scenarios are played.

Guarantee: a cell shows what was measured; what was computed stands beside it only as the thing to compare with.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from chaos.audit import Audit
from chaos.endurance import Endured
from chaos.mutants import Hunted
from chaos.play import Played
from chaos.scenario import Scenario
from chaos.shrink import REPLAYS
from chaos.situations import SITUATIONS, Situation
from chaos.soak import Round
from chaos.verdict import Verdict, worst
from order_service.wire import Delivery

_COLUMNS = {
    Delivery.AT_MOST_ONCE: "at most\nonce",
    Delivery.AT_LEAST_ONCE: "at least\nonce*",
    Delivery.EXACTLY_ONCE: "+ sequence\nkey",
}
# As many as a person reads; --json has them all.
_FINDINGS_SHOWN = 20
_STYLE = {Verdict.PASS: "green", Verdict.FAIL: "bold red", Verdict.UNKNOWN: "bold yellow"}


class Progress:
    """The table, growing cell by cell; one plain line a cell where there is no terminal."""

    def __init__(self, console: Console, scenarios: Sequence[Scenario]) -> None:
        self._console = console
        self._scenarios = scenarios
        self._played: dict[str, Played] = {}
        self._current: Scenario | None = None
        self._live: Live | None = None

    @property
    def tabular(self) -> bool:
        """Whether the scenarios are cells of one family: then they are shown as the table."""
        families = {(scenario.family, scenario.connection) for scenario in self._scenarios}
        return len(families) == 1 and all(scenario.situation for scenario in self._scenarios)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Shows the table live for the length of the block."""
        if not self._console.is_terminal or not self.tabular:
            yield
            return
        with Live(self.table(), console=self._console, transient=True) as live:
            self._live = live
            yield
        self._live = None

    def started(self, scenario: Scenario) -> None:
        """A scenario begins."""
        self._current = scenario
        if self._live is not None:
            self._live.update(self.table())

    def ended(self, played: Played) -> None:
        """A scenario has its verdict."""
        self._played[played.scenario.name] = played
        self._current = None
        if self._live is not None:
            self._live.update(self.table())
        else:
            number = f"{len(self._played):3}/{len(self._scenarios)} "
            self._console.print(number + line(played), highlight=False, soft_wrap=True)

    def table(self) -> Table:
        """Measured cells, with the computed figure beside the ones that differ."""
        table = Table(
            title="Money withdrawn ÷ the order's amount, measured",
            caption="* a fresh key for each attempt",
            box=box.SIMPLE_HEAD,
        )
        table.add_column("what happened to\nthe first attempt")
        table.add_column("executed", justify="center")
        table.add_column("answered", justify="center")
        for title in _COLUMNS.values():
            table.add_column(title, justify="center")
        for number, situation in enumerate(SITUATIONS, start=1):
            table.add_row(
                f"{number} {situation.title}",
                "yes" if situation.executed else "no",
                "yes" if situation.answered else "no",
                *(self._cell(situation, delivery) for delivery in _COLUMNS),
            )
        return table

    def _cell(self, situation: Situation, delivery: Delivery) -> str:
        cells = []
        for scenario in self._scenarios:
            if (scenario.situation, scenario.delivery) != (situation, delivery):
                continue
            played = self._played.get(scenario.name)
            if played is not None:
                style = _STYLE[played.verdict]
                text = "" if played.effects is None else f"{played.effects:g}"
                if played.verdict is Verdict.FAIL:
                    text += f" (computed {played.scenario.effects})"
                if played.verdict is Verdict.UNKNOWN:
                    text += " ?"
                cells.append(f"[{style}]{text}[/]")
            else:
                cells.append("…" if scenario is self._current else "")
        return " ".join(cells)


def line(played: Played) -> str:
    """One scenario in one line; what was broken, and which witness is missing, beneath it."""
    order = played.first
    counts = ""
    if order is not None:
        counts = (
            f"{len(order.order.attempts) if order.order else 0} attempts, "
            + (f"{len(order.arrivals('billing_service'))} arrivals, " if order.journaled else "")
            + f"{order.last.commits} commits, "
            f"effects {order.last.effects:g}, "
        )
    saw = f"caller saw {escape(repr(played.caller_saw))}, " if played.caller_saw else ""
    seen = sum(witness.seen for witness in played.witnesses)
    text = (
        f"[{_STYLE[played.verdict]}]{played.verdict.upper():7}[/] {escape(played.scenario.name)}: "
        f"{saw}{counts}{seen}/{len(played.witnesses)} witnesses, {played.seconds:.2f} s"
    )
    for finding in played.findings:
        if not finding.kept:
            text += f"\n        broken: {finding.promise} {escape(finding.claim)}: {escape(finding.detail)}"
    for witness in played.witnesses:
        if not witness.seen:
            text += f"\n        witness missing: {escape(witness.claim)}"
    return text


def summary(played: Sequence[Played], whole: Played) -> str:
    """The closing lines of a run: the verdict, and how each scenario that did not pass is repeated."""
    verdict = worst([cell.verdict for cell in (*played, whole)])
    counts = ", ".join(f"{sum(cell.verdict is kind for cell in played)} {kind}" for kind in Verdict)
    text = f"[{_STYLE[verdict]}]{verdict.upper()}[/]: {counts}."
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
            text += f"\nAgain: python -m chaos run {escape(cell.scenario.name)}"
    return text


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
            + f"\nIt failed in {endured.failures} of {REPLAYS} trials (the schedule of the operating system is not part of "
            f"the seed)."
        )
    if plan_file is not None:
        text += f"\nAgain: python -m chaos soak --plan {escape(plan_file)}"
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
