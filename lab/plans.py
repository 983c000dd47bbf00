"""A play as text: what was done to which message, anchored to logical points and never to times.

Guarantee: what is written can be read again and means the same; a text that is no plan is refused with one sentence.

Orders are separated by `;`. An order is a list of decisions separated by `.`, or `-` when nothing struck it. A decision is
the column (m, l, k, or * for all three), the seam (s: before sending, a: on arrival, r: before the reply), the number of
the attempt, and the action (l: lose, d: delay, f: delay until its
key is forgotten, c: copy, k: kill). `!name` restarts the services with a planted bug, `!`
with none. `*r1l;!dedupe_in_memory;*r1k` is a play of two orders.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lab.columns import BY_LETTER, COLUMNS, Column

# Longer than an evening; a browser takes a much longer address.
TEXT_LENGTH_MAX = 4_000
ORDERS_MAX = 40
# More attempts than a person keeps the button pressed for.
_ATTEMPT_MAX = 999


class Seam(StrEnum):
    """Where a message can be held. The value is the seam's letter in a plan."""

    SEND = "s"
    ARRIVAL = "a"
    REPLY = "r"


class Action(StrEnum):
    """What can be done to a held message. The value is its letter in a plan; passing is not written down."""

    PASS = "p"  # noqa: S105 - a letter, no password
    LOSE = "l"
    DELAY = "d"
    FORGET = "f"
    COPY = "c"
    KILL = "k"


# What is possible where: what has arrived cannot be lost any more. A request that is copied before its reply arrives again
# after it was executed.
POSSIBLE: Mapping[Seam, tuple[Action, ...]] = {
    Seam.SEND: (
        Action.PASS,
        Action.LOSE,
        Action.DELAY,
        Action.FORGET,
        Action.COPY,
        Action.KILL,
    ),
    Seam.ARRIVAL: (Action.PASS, Action.COPY, Action.KILL),
    Seam.REPLY: (Action.PASS, Action.LOSE, Action.COPY, Action.KILL),
}
_DECISION = re.compile(r"([mlk*])([sar])([1-9][0-9]{0,2})([ldfck])")
_BUG = re.compile(r"!([a-z_]{0,60})")


class NotAPlan(Exception):
    """The text is no plan; the message says why."""


@dataclass(frozen=True)
class Decision:
    """One action on one message; `column` is the column's letter."""

    column: str
    seam: Seam
    attempt: int
    action: Action

    def __str__(self) -> str:
        return f"{self.column}{self.seam}{self.attempt}{self.action}"


@dataclass(frozen=True)
class Plant:
    """Restarts the services with a planted bug; an empty name is none."""

    bug: str


# An order with what strikes it, or a restart.
Entry = tuple[Decision, ...] | Plant

# The rows of the table, and two that are outside of it.
SITUATIONS: Mapping[str, str] = {
    "success": "-",
    "response_lost": "*r1l",
    "crash_after_execution": "*r1k",
    "crash_before_execution": "*a1k",
    "request_lost": "*s1l",
    "late": "*s1d",
    "forgotten": "*s1f",
    "twin": "*a1c",
    "copied": "*r1c",
}


def read(text: str) -> Sequence[Entry]:
    """The entries of a plan. Raises `NotAPlan`."""
    if len(text) > TEXT_LENGTH_MAX:
        raise NotAPlan(f"A plan has at most {TEXT_LENGTH_MAX} characters.")
    entries = [_entry(part) for part in text.split(";") if part]
    if not entries:
        raise NotAPlan("The plan is empty.")
    if len(entries) > ORDERS_MAX:
        raise NotAPlan(f"A plan has at most {ORDERS_MAX} orders and restarts.")
    return entries


def write(entries: Iterable[Entry]) -> str:
    """The text of a plan."""
    return ";".join(
        f"!{entry.bug}" if isinstance(entry, Plant) else _decisions(entry) for entry in entries
    )


def of_columns(decisions: Iterable[Decision]) -> Mapping[tuple[Column, Seam, int], Action]:
    """What to do with each message."""
    return {
        (column, decision.seam, decision.attempt): decision.action
        for decision in decisions
        for column in (COLUMNS if decision.column == "*" else (BY_LETTER[decision.column],))
    }


def _entry(part: str) -> Entry:
    if (bug := _BUG.fullmatch(part)) is not None:
        return Plant(bug[1])
    if part == "-":
        return ()
    found = [_DECISION.fullmatch(word) for word in part.split(".")]
    if None in found:
        raise NotAPlan(f"This part of the plan cannot be read: {part[:40]!r}.")
    decisions = tuple(
        Decision(match[1], Seam(match[2]), int(match[3]), Action(match[4]))
        for match in found
        if match is not None
    )
    for decision in decisions:
        if decision.action not in POSSIBLE[decision.seam]:
            raise NotAPlan(f"{str(decision)!r} cannot be done at that point.")
    return decisions


def _decisions(decisions: Sequence[Decision]) -> str:
    """What was done to all three columns is written once."""
    by_point: dict[tuple[Seam, int, Action], set[str]] = {}
    for decision in decisions:
        point = (decision.seam, min(decision.attempt, _ATTEMPT_MAX), decision.action)
        by_point.setdefault(point, set()).update(
            BY_LETTER if decision.column == "*" else decision.column
        )
    words = []
    for (seam, attempt, action), letters in by_point.items():
        of = "*" if letters == set(BY_LETTER) else sorted(letters, key="mlk".index)
        words += [f"{letter}{seam}{attempt}{action}" for letter in of]
    return ".".join(words) or "-"
