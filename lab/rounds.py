"""One round: the same order in three columns, its attempts, what struck them, and what came of it.

Guarantee: everything here was reported by a wrapped service, by Toxiproxy or by Postgres; nothing is computed ahead of it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chaos.evidence.journal import Event
from chaos.harness.harness import AMOUNT_CENTS
from lab.columns import Column
from lab.ledger import Reading
from lab.plans import Action, Decision, Seam
from order_service.wire import Fate, Status
from report.situations import SITUATIONS

# A diagram with more events cannot be read; and the memory of one order stays bounded.
EVENTS_MAX = 400
ATTEMPTS_SHOWN_MAX = 60
# By what happened to the first attempt: executed, answered, and whether a process died of it.
_SITUATION = {(s.executed, s.answered, s.name.startswith("crash")): s.name for s in SITUATIONS}


@dataclass
class Attempt:
    """One attempt of a charge. `span` is the identity of its request."""

    number: int
    key: int
    retry: bool
    span: str
    order_id: str = ""
    arrivals: int = 0
    # Whether its key's withdrawal was committed when the attempt ended.
    executed: bool = False
    status: int = 0
    replayed: bool = False
    answered: bool = False
    saw: str = ""
    struck: Action | None = None
    seam: Seam | None = None
    # Evidence that the fault struck: what was claimed and whether it was seen.
    witnesses: list[tuple[str, bool]] = field(default_factory=list)
    # The caller has its answer, or has seen that there will be none.
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    # Its fault is healed and what it did was read: not earlier is the next attempt sent.
    over: asyncio.Event = field(default_factory=asyncio.Event)
    # The fault is healed by a task of its own.
    is_one_shot: bool = False

    @property
    def is_witnessed(self) -> bool:
        """Whether independent evidence shows that the fault struck."""
        return bool(self.witnesses) and all(seen for _, seen in self.witnesses)

    def strike(self, seam: Seam, action: Action) -> None:
        """Remembers what is done to it."""
        self.seam, self.struck = seam, action

    def shown(self) -> dict[str, Any]:
        """For the page."""
        return {
            "number": self.number,
            "key": self.key,
            "retry": self.retry,
            "arrivals": self.arrivals,
            "executed": self.executed,
            "status": self.status,
            "replayed": self.replayed,
            "answered": self.answered,
            "saw": self.saw,
            "struck": self.struck.name.lower() if self.struck else "",
            "seam": self.seam.name.lower() if self.seam else "",
            "witnesses": [{"claim": claim, "seen": seen} for claim, seen in self.witnesses],
        }


@dataclass
class Lane:
    """The order of one column. `late` counts requests that are still on their way after their caller gave up."""

    column: Column
    account: str
    attempts: list[Attempt] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    events_left_out: int = 0
    reading: Reading | None = None
    late: int = 0
    # Its first attempt has begun: the order is recorded and has its key.
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    # The order service answered, or died, without having recorded the order.
    is_unrecorded: bool = False
    is_caller_dead: bool = False
    decisions: list[Decision] = field(default_factory=list)

    def attempt_of(self, span: str) -> Attempt | None:
        """The attempt whose request this is; None for a copy that the lab has sent."""
        return next((a for a in reversed(self.attempts) if a.span == span), None)

    def keep(self, event: Event) -> None:
        """Remembers an event for the diagram."""
        if len(self.events) < EVENTS_MAX:
            self.events.append(event)
        else:
            self.events_left_out += 1

    @property
    def moved_cents(self) -> int:
        """Money that has left the account."""
        return self.reading.moved_cents if self.reading else 0

    @property
    def effects(self) -> float:
        """Money that has left the account, divided by the price."""
        return self.moved_cents / AMOUNT_CENTS

    @property
    def status(self) -> str:
        """As the order service has recorded it; empty before."""
        return self.reading.status if self.reading else ""

    @property
    def is_settled(self) -> bool:
        """Whether nothing of it is under way any more."""
        if self.is_unrecorded:
            return True
        open_still = self.status in ("", Status.PENDING) or self.late
        # Its notification has one attempt, which is over soon; of a process that died it stays attempted for ever.
        telling = self.reading is not None and self.reading.notification == Fate.ATTEMPTED
        return not (open_still or (telling and not self.is_caller_dead))

    @property
    def caller_saw(self) -> str:
        """What the first attempt showed to its caller; empty before it has ended."""
        ended = self.reading.attempts if self.reading else ()
        return ended[0].caller_saw if ended else ""

    @property
    def faults(self) -> list[Attempt]:
        """Attempts that were struck."""
        return [attempt for attempt in self.attempts if attempt.struck]

    @property
    def situation(self) -> str | None:
        """The row of the table that the order belongs to: one of five, if its first attempt, and none other, was struck so."""
        if not self.attempts or any(not a.is_witnessed for a in self.faults):
            return None
        first = self.attempts[0]
        if not (first.answered or first.struck):
            return None
        if any(a.struck in (Action.DELAY, Action.FORGET, Action.COPY) for a in self.faults):
            return None
        if first.struck is Action.KILL and first.seam is Seam.SEND:
            return None
        crashed = first.struck is Action.KILL
        return _SITUATION.get((first.executed, first.answered, crashed))

    def shown(self) -> dict[str, Any]:
        """For the page: the last attempts, if there are very many."""
        reading = self.reading
        return {
            "account": self.account,
            "moved_cents": self.moved_cents,
            "withdrawals": len(reading.keys) if reading else 0,
            "effects": self.effects,
            "status": self.status,
            "order_id": reading.order_id if reading else "",
            "caller_saw": self.caller_saw,
            "told": reading.told if reading else 0,
            "attempts": [attempt.shown() for attempt in self.attempts[-ATTEMPTS_SHOWN_MAX:]],
            "attempts_count": len(self.attempts),
            "late": self.late,
            "situation": self.situation,
        }


@dataclass
class Round:
    """The order with this number, from the moment it is placed. `bug` is planted meanwhile, if any."""

    number: int
    lanes: Mapping[str, Lane]
    bug: str
    script: dict[tuple[Column, Seam, int], Action]
    over: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    # Requests that were delayed and have not come; while there are any, the answers of their retries wait: an order that is
    # open keeps its key, and all later keys, from being forgotten.
    delayed: int = 0
    none_delayed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.none_delayed.set()

    def delay(self, more: int) -> None:
        """One more request is delayed, or one fewer."""
        self.delayed += more
        if self.delayed:
            self.none_delayed.clear()
        else:
            self.none_delayed.set()

    def lane_of(self, account: str) -> Lane | None:
        """The column that this account belongs to."""
        return next((lane for lane in self.lanes.values() if lane.account == account), None)

    @property
    def accounts(self) -> list[str]:
        """One for each column."""
        return [lane.account for lane in self.lanes.values()]

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What was done in all columns."""
        return tuple(d for lane in self.lanes.values() for d in lane.decisions)

    def shown(self) -> dict[str, Any]:
        """For the page."""
        return {
            "number": self.number,
            "over": self.over,
            "bug": self.bug,
            "columns": {name: lane.shown() for name, lane in self.lanes.items()},
        }
