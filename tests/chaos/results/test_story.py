"""The demo tells the table cell by cell, in its order; money that was taken twice or never is not green."""

import random
import re
from pathlib import Path

import pytest

from chaos.promises.verdict import Verdict
from chaos.results import latest
from chaos.results.cells import table
from chaos.results.progress import Progress, where
from chaos.results.story import in_the_order_of_the_table
from chaos.runner.play import Played
from chaos.scenarios.scenario import Scenario
from chaos.scenarios.table import TABLE
from report.durations import recorded
from tests.chaos.results.test_progress import DETAIL, Terminal
from tests.chaos.results.test_progress import played as passed

RED, YELLOW, GREEN = "\x1b[31m", "\x1b[33m", "\x1b[32m"


class Measured(Played):
    """A cell whose account was read."""

    figure: float | None

    @property
    def effects(self) -> float | None:
        return self.figure


def played(
    scenario: Scenario, verdict: Verdict = Verdict.PASS, effects: float | None = -1
) -> Played:
    """With the computed figure, unless another one is given."""
    cell = passed(scenario, verdict)
    measured = Measured(**{name: getattr(cell, name) for name in cell.__dataclass_fields__})
    object.__setattr__(measured, "figure", scenario.effects if effects == -1 else effects)
    return measured


def shown(run: list[Played], *, terminal: bool = True, no_color: bool = False) -> Terminal:
    console = Terminal(terminal=terminal, no_color=no_color)
    progress = Progress(console, [each.scenario for each in run], told=True)
    with progress.shown():
        for each in run:
            progress.started(each.scenario)
            progress.ended(each)
    console.print(progress.table())
    return console


WHOLE = [played(scenario) for scenario in TABLE]


@pytest.mark.parametrize("terminal", [True, False])
def test_the_cells_are_told_in_the_order_of_the_table(terminal: bool) -> None:
    """Five rows with three cells each, none wider than 80 columns; each cell once."""
    lines = [line.rstrip() for line in shown(WHOLE, terminal=terminal).lines]
    assert max(map(len, lines)) <= 80
    rows = [line[0] for line in lines if re.match(r"\d [a-z].*: ", line)]
    assert rows == ["1", "2", "3", "4", "5"]
    cells = [line.split()[0] for line in lines if re.match(r" {4}\S.* the caller ", line)]
    assert cells == ["at", "at", "+"] * 5


def test_the_order_of_the_table_is_found() -> None:
    """From any order."""
    drawn = random.Random(7).sample(TABLE, len(TABLE))
    assert drawn != list(TABLE)
    assert in_the_order_of_the_table(drawn) == list(TABLE)


@pytest.mark.parametrize(
    ("effects", "words", "colour"),
    [(0, "0 lost", YELLOW), (1, "1 paid once", GREEN), (2, "2 paid twice", RED), (20, "20 paid 20 times", RED)],
)  # fmt: skip
def test_what_was_paid_has_its_colour_and_its_words(
    effects: float, words: str, colour: str
) -> None:
    """In the line of the cell and in the table, also where all is as computed."""
    console = shown([played(TABLE[4], Verdict.PASS, effects)])
    text = console.written.getvalue()
    assert f"{colour}{words}\x1b[0m" in text
    figure = words.replace("paid ", "").removesuffix(" once")
    assert f"{colour}{figure}" in text[text.index("Money withdrawn") :]
    others = {RED, YELLOW, GREEN} - {colour}
    assert not any(other in text for other in others)


def test_the_words_say_it_without_colours() -> None:
    """With NO_COLOR no colour is set, and without a terminal nothing at all; the words are the same."""
    coloured, plain, piped = (
        shown(WHOLE), shown(WHOLE, no_color=True), shown(WHOLE, terminal=False),
    )  # fmt: skip
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", plain.written.getvalue())
    assert "\x1b" not in piped.written.getvalue()
    told = [line.rstrip() for line in piped.lines]
    for console in (coloured, plain):
        assert {line.rstrip() for line in console.lines} >= {
            line for line in told if "caller" in line
        }
    assert sum("2 paid twice" in line for line in told) == 2
    assert sum("0 lost" in line for line in told) == 2 + 2


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.UNKNOWN])
def test_a_cell_that_did_not_pass_has_its_reason_beside_it(
    terminal: bool, verdict: Verdict
) -> None:
    """Before the next cell is told; its mark is in the table, and the reason is told once."""
    wrong = played(TABLE[5], verdict, 2)
    run = [*WHOLE[:5], wrong, *WHOLE[6:]]
    lines = shown(run, terminal=terminal).lines
    text = " ".join(" ".join(lines).split())
    reason = DETAIL if verdict is Verdict.FAIL else "witness missing: the toxic was still armed"
    assert text.count(reason) == 1
    told = [n for n, line in enumerate(lines) if "the caller" in line and line.startswith("    ")]
    after = " ".join(" ".join(lines[told[5] : told[6]]).split())
    assert f"2 paid twice {verdict.upper()}, computed 1" in after
    assert reason in after
    assert TABLE[5].name in after
    cells = " ".join(" ".join(lines[told[-1] + 1 :]).split())
    assert ("✗ not 1" in cells) == (verdict is Verdict.FAIL)


def test_a_figure_that_could_not_be_read() -> None:
    """It is not taken for one that was."""
    console = shown([played(TABLE[4], Verdict.UNKNOWN, None)])
    text = " ".join(console.lines)
    assert "? not measured" in text
    assert "paid" not in text.partition("balance.")[2].replace("Money", "")


def test_the_table_of_a_run_that_is_not_told() -> None:
    """`matrix` plays in an order of its own and shows the same figures."""
    console = Terminal(terminal=True)
    console.print(table(TABLE, {cell.scenario.name: cell for cell in WHOLE}))
    assert console.written.getvalue().count(f"{RED}2 twice") == 2


def test_where_the_report_is(tmp_path: Path) -> None:
    """An address that a browser opens, and one that stays the same; the second run moves it."""
    for name in ("run 1", "run 2"):
        files = [tmp_path / "results" / name / file for file in ("result.json", "report.html")]
        files[0].parent.mkdir(parents=True)
        files[0].write_text('{"scenarios": [{"name": "x", "seconds": 1}]}', encoding="utf-8")
        lines = where(files)
        assert f"Report: {files[1].as_uri()}" in lines
        assert "%20" in files[1].as_uri()
        link = tmp_path / "results" / "latest"
        assert lines[-1].endswith("results/latest")
        assert link.resolve() == files[0].parent.resolve()
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == [
        "latest",
        "run 1",
        "run 2",
    ]


def test_the_link_is_no_run_of_its_own(tmp_path: Path) -> None:
    """The estimate reads the last ten runs; the link takes the place of none."""
    for number in range(10):
        run = tmp_path / f"2026112{number}T000000Z-7"
        run.mkdir()
        text = f'{{"scenarios": [{{"name": "{number}", "seconds": 1}}]}}'
        (run / "result.json").write_text(text, encoding="utf-8")
    assert latest.point(run) == tmp_path / "latest"
    assert set(recorded(tmp_path)) == set("0123456789")


def test_without_a_link_a_run_is_as_good(tmp_path: Path) -> None:
    """A folder of this name is left alone."""
    (tmp_path / "latest" / "kept").mkdir(parents=True)
    run = tmp_path / "run"
    run.mkdir()
    assert latest.point(run) is None
    assert (tmp_path / "latest" / "kept").is_dir()
    assert len(list(tmp_path.iterdir())) == 2
    assert len(where([run / "result.json", run / "report.html"])) == 2
