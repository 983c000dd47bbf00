"""What a run says on a terminal of 80 columns, and without a terminal."""

import io
import re

import pytest
from rich.console import Console

from chaos.evidence.readings import Witness
from chaos.promises.catalogue import Finding, Kind
from chaos.promises.verdict import Verdict
from chaos.results.lines import duration
from chaos.results.progress import Progress, summary
from chaos.runner.play import Played
from chaos.runner.whole import THE_RUN
from chaos.scenarios.catalogue import SCENARIOS
from chaos.scenarios.scenario import Scenario
from chaos.scenarios.table import TABLE
from report.command import Invocation

SEEN = (Witness("the toxic was read back from Toxiproxy", seen=True),)
MISSING = (Witness("the toxic was still armed on billing", seen=False),)
DETAIL = "the order was withdrawn twice, and this sentence is longer than any terminal of eighty columns is wide"
BROKEN = (Finding("X1", "withdrawn at most once", Kind.SAFETY, kept=False, detail=DETAIL),)
KEPT = (Finding("X1", "withdrawn at most once", Kind.SAFETY, kept=True),)
LONGEST = max(SCENARIOS, key=lambda scenario: len(scenario.name))
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def played(scenario: Scenario, verdict: Verdict = Verdict.PASS, seconds: float = 3.21) -> Played:
    witnesses = MISSING if verdict is Verdict.UNKNOWN else SEEN
    found = BROKEN if verdict is Verdict.FAIL else KEPT
    return Played(scenario, verdict, witnesses, found, (), (), 0, seconds)


class Terminal(Console):
    """A console whose output can be read."""

    def __init__(self, *, terminal: bool, no_color: bool = False, width: int = 80) -> None:
        self.written = io.StringIO()
        super().__init__(
            file=self.written,
            force_terminal=terminal,
            no_color=no_color,
            color_system="standard" if terminal else None,
            width=width,
            # A live display of rich is wiped out again; only what stays is looked at.
            legacy_windows=False,
        )

    @property
    def lines(self) -> list[str]:
        return ESCAPE.sub("", self.written.getvalue()).replace("\r", "\n").splitlines()


def shown(console: Terminal, run: list[Played], before: dict[str, float] | None = None) -> None:
    progress = Progress(console, [each.scenario for each in run], before or {})
    with progress.shown():
        for each in run:
            progress.started(each.scenario)
            progress.ended(each)
    if progress.tabular:
        console.print(progress.table())


@pytest.mark.parametrize("terminal", [True, False])
def test_a_run_fits_80_columns(terminal: bool) -> None:
    """One line a scenario, with its number, its whole name and the time left; none is wider than 80 columns."""
    console = Terminal(terminal=terminal)
    shown(console, [played(scenario) for scenario in SCENARIOS])
    assert max(map(len, console.lines)) <= 80
    for number, scenario in enumerate(SCENARIOS, start=1):
        position = f"{number:3}/{len(SCENARIOS)} PASS {scenario.name} 3.2s"
        lines = [line for line in console.lines if line.startswith(position)]
        assert len(lines) == 1
        if number < len(SCENARIOS):
            assert re.fullmatch(re.escape(position) + r" (\d+s|\dm) left", lines[0])


@pytest.mark.parametrize("verdict", list(Verdict))
def test_the_longest_line_fits(verdict: Verdict) -> None:
    """The longest name, the longest verdict, many seconds and hours left: the time left is what gives way."""
    console = Terminal(terminal=False)
    run = [played(LONGEST, verdict, 123.4), *(played(s) for s in SCENARIOS if s is not LONGEST)]
    shown(console, run, {scenario.name: 300.0 for scenario in SCENARIOS})
    (line,) = [line for line in console.lines if f" {LONGEST.name} 123.4s" in line]
    assert len(line) <= 80


def test_the_time_left_of_the_first_scenario() -> None:
    """Before anything was measured it comes from the runs before."""
    console = Terminal(terminal=False)
    shown(console, [played(s) for s in SCENARIOS], {s.name: 6.0 for s in SCENARIOS})
    assert console.lines[0] == f"{len(SCENARIOS)} scenarios, about {duration(6 * len(SCENARIOS))}"


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize(
    ("verdict", "reason"),
    [(Verdict.FAIL, DETAIL), (Verdict.UNKNOWN, "witness missing: the toxic was still armed")],
)
def test_a_cell_of_the_table_that_did_not_pass(
    terminal: bool, verdict: Verdict, reason: str
) -> None:
    """The reasons stand beneath the table, or beneath the line where there is no terminal; a pass has none."""
    console = Terminal(terminal=terminal)
    shown(console, [played(TABLE[4], verdict), *(played(cell) for cell in TABLE[5:])])
    text = " ".join(" ".join(console.lines).split())
    assert reason in text
    assert TABLE[4].name in text
    clean = Terminal(terminal=terminal)
    shown(clean, [played(cell) for cell in TABLE[4:]])
    assert reason not in " ".join(" ".join(clean.lines).split())


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.UNKNOWN])
def test_a_reason_is_wrapped_under_its_line(verdict: Verdict) -> None:
    """On a terminal, indented; nothing is wider than it."""
    console = Terminal(terminal=True)
    shown(console, [played(LONGEST, verdict), played(SCENARIOS[0])])
    assert max(map(len, console.lines)) <= 80


def test_without_a_terminal_it_is_plain() -> None:
    """No control sequence at all."""
    console = Terminal(terminal=False)
    shown(console, [played(LONGEST, Verdict.FAIL), played(TABLE[0])])
    assert "\x1b" not in console.written.getvalue()


def test_no_color_is_respected() -> None:
    """No colour is set; the negative control: without the wish there are colours."""
    colours = re.compile(r"\x1b\[[0-9;]*3[0-9]")
    for no_color in (True, False):
        console = Terminal(terminal=True, no_color=no_color)
        shown(console, [played(LONGEST, Verdict.FAIL), played(TABLE[0])])
        assert bool(colours.search(console.written.getvalue())) is not no_color


@pytest.mark.parametrize(
    ("verdicts", "whole", "words"),
    [
        ([Verdict.PASS] * 2, Verdict.PASS, "PASS: 2 pass, 0 fail, 0 unknown of 2 scenarios"),
        ([Verdict.UNKNOWN] * 6, Verdict.UNKNOWN, "UNKNOWN: 0 pass, 0 fail, 6 unknown of 6"),
        ([Verdict.PASS, Verdict.FAIL], Verdict.PASS, "FAIL: 1 pass, 1 fail, 0 unknown of 2"),
        ([Verdict.UNKNOWN], Verdict.FAIL, "FAIL: 0 pass, 0 fail, 1 unknown of 1 scenarios"),
    ],
)
def test_the_closing_line(verdicts: list[Verdict], whole: Verdict, words: str) -> None:
    """The verdict is one of those that are counted, or that of the run as a whole, which stands beside them."""
    run = [played(SCENARIOS[number], verdict) for number, verdict in enumerate(verdicts)]
    text = plain(summary(run, played(THE_RUN, whole), Invocation(7)))
    assert text.startswith(words)
    assert f"the run as a whole: {whole}." in text.splitlines()[0]


def test_what_did_not_pass_can_be_played_again() -> None:
    """By a command with the target and the seed of the run."""
    text = plain(summary([played(LONGEST, Verdict.FAIL)], played(THE_RUN), Invocation(7)))
    assert f"\nAgain: .venv/bin/python -m chaos run {LONGEST.name} --seed 7" in text


@pytest.mark.parametrize(
    ("seconds", "words"), [(3, "10s"), (44, "40s"), (70, "1m"), (600, "10m"), (3900, "1h 5m")]
)
def test_a_duration(seconds: float, words: str) -> None:
    """As precise as an estimate can be."""
    assert duration(seconds) == words


def plain(markup: str) -> str:
    console = Terminal(terminal=False)
    console.print(markup, highlight=False, soft_wrap=True)
    return console.written.getvalue()
