"""Judges one cell of the table from evidence.

Guarantee: a cell passes only when its fault has every witness and the money agrees with what is computed from what
happened. Without a witness the verdict is unknown, never a pass.
"""

from dataclasses import dataclass
from enum import StrEnum

from order_service.wire import Delivery


class Verdict(StrEnum):
    """The exit code of a run is that of its worst verdict."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    UNKNOWN = "unknown"

    @property
    def exit_code(self) -> int:
        """0 all as computed, 1 a promise was broken, 2 unknown."""
        return {"pass": 0, "fail": 1, "unknown": 2}[self.value]


@dataclass(frozen=True)
class Witness:
    """Recorded proof that something really happened, or the lack of it."""

    claim: str
    seen: bool


@dataclass(frozen=True)
class Measured:
    """What was observed of one cell.

    `effects` is money moved divided by the order's amount, from the account's balance.
    """

    effects: float
    arrivals: int
    commits: int
    attempts: int
    caller_saw: str
    witnesses: tuple[Witness, ...]


def effects_computed(*, executed: bool, answered: bool, delivery: Delivery) -> int:
    """The cell of the headline table, from what happened to the first attempt.

    At most once: nothing is sent again, so the effect is that of the first attempt. At least once with a fresh key:
    what is sent again is executed again. Exactly once: executed once, by the first attempt or by a later one.
    """
    match delivery:
        case Delivery.AT_MOST_ONCE:
            return int(executed)
        case Delivery.AT_LEAST_ONCE:
            return int(executed) + int(not answered)
        case Delivery.EXACTLY_ONCE:
            return 1


def judge(expected: int, measured: Measured) -> Verdict:
    """Pass, fail or unknown for one cell."""
    if not all(witness.seen for witness in measured.witnesses) or not measured.witnesses:
        return Verdict.UNKNOWN
    if measured.effects != expected or measured.commits != expected:
        return Verdict.FAIL
    return Verdict.PASS


def worst(verdicts: list[Verdict]) -> Verdict:
    """The verdict of a run: a broken promise outweighs the unknown; nothing judged is unknown."""
    for verdict in (Verdict.FAIL, Verdict.UNKNOWN):
        if verdict in verdicts:
            return verdict
    return Verdict.PASS if verdicts else Verdict.UNKNOWN
