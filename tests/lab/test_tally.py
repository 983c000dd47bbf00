"""What the rounds of the lab add up to: which cells they fill, what was taken too much, and what a planted bug has hurt."""

from typing import Any

import pytest

from chaos.harness.harness import AMOUNT_CENTS
from lab.columns import COLUMNS, SAFE, Column
from lab.ledger import Reading
from lab.plans import Action, Seam
from lab.rounds import Attempt, Lane, Round
from lab.tally import Tally
from order_service.wire import Status

BUG = "dedupe_in_memory"


def lane(column: Column, *, times: int = 1, status: str = Status.BILLED, seen: bool = True) -> Lane:
    """An order that is over: its answer was lost, and its price was taken so many times."""
    attempt = Attempt(1, 7, retry=False, span="s", executed=True)
    attempt.strike(Seam.REPLY, Action.LOSE)
    attempt.witnesses.append(("the answer was lost", seen))
    reading = Reading(times * AMOUNT_CENTS, (7,) * times, status, (), 1, "x", "acknowledged")
    return Lane(column, f"account of {column.name}", [attempt], reading=reading)


def played(number: int = 1, bug: str = "", **changes: Any) -> Round:
    lanes = {column.name: lane(column, **changes) for column in COLUMNS}
    return Round(number, lanes, bug, {})


def cells(tally: Tally) -> list[Any]:
    """Those that are filled."""
    table = tally.shown(None, "")["table"]
    return [cell for row in table for cell in row["cells"].values() if cell is not None]


def test_a_cell_is_filled_by_its_order() -> None:
    """In the row of what struck it; another round takes its place."""
    tally = Tally()
    tally.count(played(1))
    tally.count(played(2, times=2))
    assert [(cell["effects"], cell["round"]) for cell in cells(tally)] == [(2, 2)] * len(COLUMNS)
    tally.clear_cells_of(1)
    assert len(cells(tally)) == len(COLUMNS)
    tally.clear_cells_of(2)
    assert cells(tally) == []


@pytest.mark.parametrize(
    ("bug", "seen"), [(BUG, True), ("", False)], ids=["a planted bug", "no witness"]
)
def test_a_cell_is_not_filled(bug: str, seen: bool) -> None:
    """By services that are not as they are, nor by a fault that nothing has seen."""
    tally = Tally()
    tally.count(played(1))
    tally.count(played(2, bug, times=2, seen=seen))
    assert {cell["round"] for cell in cells(tally)} == {1}


def test_the_harm() -> None:
    """What was taken beyond the price, or for nothing; and orders that ended without their money."""
    tally = Tally()
    tally.count(played(1, times=3))
    tally.count(played(2, status=Status.FAILED))
    tally.count(played(3, times=0, status=Status.UNKNOWN))
    # It may still be billed.
    tally.count(played(5, times=0, status=Status.PENDING))
    running = played(4, times=2)
    each = len(COLUMNS)
    harm = tally.shown(running, "")["harm"]
    assert harm == {"taken_cents": each * (2 + 1 + 1) * AMOUNT_CENTS, "lost": each}
    running.over = True
    assert tally.shown(running, "")["harm"]["taken_cents"] == each * (2 + 1) * AMOUNT_CENTS


@pytest.mark.parametrize(
    ("changes", "promise"),
    [
        ({}, ""),
        ({"times": 2}, "X1"),
        ({"times": 0}, "X1b"),
        ({"status": Status.FAILED}, "C2"),
        ({"times": 0, "status": Status.FAILED}, ""),
    ],
)
def test_the_challenge(changes: dict[str, Any], promise: str) -> None:
    """Of the safe column, and of each planted bug by itself: how often it was tried, and which promise was hurt."""
    tally = Tally()
    tally.count(played(1, BUG, **changes))
    challenge = tally.shown(None, BUG)["challenge"]
    assert (challenge["tries"], challenge["faults"]) == (1, 1)
    assert (challenge["hurt"], challenge["promise"]) == (bool(promise), promise)
    assert tally.shown(None, "")["challenge"]["tries"] == 0
    tally.count(played(2, BUG, seen=False))
    unseen = tally.shown(None, BUG)["challenge"]
    assert (unseen["tries"], unseen["faults"]) == (2, 1)
    other = Tally()
    lanes = {column.name: lane(column, times=2) for column in COLUMNS}
    other.count(Round(1, {**lanes, SAFE.name: lane(SAFE)}, BUG, {}))
    assert other.shown(None, BUG)["challenge"]["hurt"] == 0


@pytest.mark.parametrize(
    ("seam", "action", "executed", "answered", "situation"),
    [
        (Seam.REPLY, Action.LOSE, True, False, "response_lost"),
        (Seam.SEND, Action.LOSE, False, False, "request_lost"),
        (Seam.REPLY, Action.KILL, True, False, "crash_after_execution"),
        (Seam.ARRIVAL, Action.KILL, False, False, "crash_before_execution"),
        (Seam.SEND, Action.KILL, False, False, None),
        (Seam.ARRIVAL, Action.DELAY, False, False, None),
        (Seam.REPLY, Action.COPY, True, True, None),
    ],
)
def test_the_row_of_an_order(
    seam: Seam, action: Action, executed: bool, answered: bool, situation: str | None
) -> None:
    """What happened between caller and billing; a caller that died, a delay or a copy is none of the five."""
    attempt = Attempt(1, 7, retry=False, span="s", executed=executed, answered=answered)
    attempt.strike(seam, action)
    attempt.witnesses.append(("it struck", True))
    assert Lane(SAFE, "account", [attempt]).situation == situation
