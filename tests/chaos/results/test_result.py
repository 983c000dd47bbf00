"""Figures of result.json."""

from chaos.evidence.readings import Witness
from chaos.promises.verdict import Verdict
from chaos.results.result import scenario
from chaos.runner.play import Played
from chaos.scenarios.table import CELLS
from report.command import Invocation


def test_what_was_not_measured_has_no_figure() -> None:
    """A scenario whose order was never read: nothing measured, although the cell is computed."""
    cell = next(cell for cell in CELLS if cell.effects)
    missing = (Witness("it struck", seen=False),)
    row = scenario(Played(cell, Verdict.UNKNOWN, missing, (), (), ()), Invocation(7))
    assert row["effects_expected"] == cell.effects
    assert row["effects_measured"] is None
    assert row["arrivals"] is None
    assert (row["verdict"], row["attempts"], row["commits"]) == ("unknown", 0, 0)
