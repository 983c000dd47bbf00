"""What all rounds together have shown: the table, the harm, and the challenge.

Guarantee: a cell is money divided by price, read from the balance after everything was settled; it is filled only by an order
whose fault has its witness, on services without a planted bug.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from chaos.harness.harness import AMOUNT_CENTS
from chaos.promises.catalogue import PROMISES
from lab.columns import COLUMNS, SAFE
from lab.rounds import Lane, Round
from order_service.wire import Status
from report.situations import SITUATIONS

_CLAIMS = {promise.name: promise.claim for promise in PROMISES}
# Those of the third column, by what is seen in its account.
_TWICE, _GHOST, _FAILED = "X1", "X1b", "C2"


@dataclass
class _Challenge:
    tries: int = 0
    faults: int = 0
    hurt: int = 0
    broken: tuple[str, str] | None = None

    def shown(self) -> dict[str, Any]:
        promise, claim = self.broken or ("", "")
        return {
            "tries": self.tries,
            "faults": self.faults,
            "hurt": self.hurt,
            "promise": promise,
            "claim": claim,
        }


class Tally:
    """Counts each round once, when it is over."""

    def __init__(self) -> None:
        self._cells: dict[tuple[str, str], dict[str, Any]] = {}
        self._taken_cents = 0
        self._lost = 0
        # By planted bug; the empty name is the services as they are.
        self._challenges: defaultdict[str, _Challenge] = defaultdict(_Challenge)

    def count(self, ended: Round) -> None:
        """A round that is over."""
        for column in COLUMNS:
            lane = ended.lanes[column.name]
            self._taken_cents += taken_cents(lane)
            self._lost += is_lost(lane)
            if lane.situation is not None and not ended.bug:
                self._cells[lane.situation, column.name] = {
                    "effects": lane.effects,
                    "round": ended.number,
                    "faults": len(lane.faults),
                    "saw": lane.caller_saw,
                }
        safe = ended.lanes[SAFE.name]
        challenge = self._challenges[ended.bug]
        witnessed = [attempt for attempt in safe.faults if attempt.is_witnessed]
        broken = broken_promise(safe)
        challenge.tries += bool(safe.faults or broken)
        challenge.faults += len(witnessed)
        if broken:
            challenge.hurt += 1
            challenge.broken = (broken, _CLAIMS[broken])

    def clear_cells_of(self, number: int) -> None:
        """The round is not remembered any more, so its cells could not be explained."""
        self._cells = {at: cell for at, cell in self._cells.items() if cell["round"] != number}

    def shown(self, current: Round | None, bug: str) -> dict[str, Any]:
        """For the page; the money that the current round has taken too much is counted at once."""
        running = current is not None and not current.over
        taken = sum(map(taken_cents, current.lanes.values())) if running and current else 0
        return {
            "table": [
                {
                    "name": situation.name,
                    "title": situation.title,
                    "cells": {c.name: self._cells.get((situation.name, c.name)) for c in COLUMNS},
                }
                for situation in SITUATIONS
            ],
            "harm": {"taken_cents": self._taken_cents + taken, "lost": self._lost},
            "challenge": self._challenges[bug].shown(),
        }


def taken_cents(lane: Lane) -> int:
    """Money that was taken and should not have been."""
    if lane.status in (Status.FAILED, Status.DECLINED, Status.CANCELLED):
        return lane.moved_cents
    return max(lane.moved_cents - AMOUNT_CENTS, 0)


def is_lost(lane: Lane) -> bool:
    """Whether the order is over and its price was never taken."""
    return lane.is_settled and lane.moved_cents == 0


def broken_promise(lane: Lane) -> str:
    """The promise that the account of the safe column shows to be broken; empty when none is."""
    if lane.moved_cents > AMOUNT_CENTS:
        return _TWICE
    if lane.status == Status.BILLED and lane.moved_cents < AMOUNT_CENTS:
        return _GHOST
    if lane.status == Status.FAILED and lane.moved_cents:
        return _FAILED
    return ""
