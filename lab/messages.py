"""Every message of the orders in play: where it is, what is done to it, and how its attempt ended.

Guarantee: a message is shown when a wrapped service reports it, and not before; the next attempt of an order leaves only
after the fault of the one before was healed and what it did was read.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from chaos.evidence.journal import Event
from lab.columns import Column
from lab.held import Holds
from lab.history import History
from lab.ledger import Reading
from lab.plans import Action, Decision, Seam
from lab.rounds import Attempt, Lane, Round
from lab.strikes import Strikes

# An attempt whose end nothing reports (its process was killed) must not hold up the next one for ever.
_OVER_BOUND_S = 20.0
_GO = {"do": "go"}
_SEAMS = {
    ("order_service", "attempt"): Seam.SEND,
    ("billing_service", "arrival"): Seam.ARRIVAL,
    ("billing_service", "reply"): Seam.REPLY,
}


class Rules(Protocol):
    """What a person has set for all messages."""

    @property
    def step(self) -> bool:
        """Whether each message stops at barriers."""

    @property
    def cut(self) -> bool:
        """Whether all answers are being cut."""


class Messages:
    """`find` gives the round of an account, `read` its rows in Postgres, `route` the way to a column's billing process."""

    def __init__(
        self,
        rules: Rules,
        holds: Holds,
        strikes: Strikes,
        history: History,
        find: Callable[[str], Round | None],
        read: Callable[[Lane], Any],
        route: Callable[[Column], str],
    ) -> None:
        self._rules = rules
        self._holds = holds
        self._strikes = strikes
        self._history = history
        self._find = find
        self._read = read
        self._route = route

    async def decide(self, event: dict[str, Any]) -> dict[str, Any]:
        """What a wrapped service is told; it waits for the answer."""
        found = self._find(str(event["account"]))
        lane = found.lane_of(str(event["account"])) if found else None
        if found is None or lane is None:
            return _GO
        place = (str(event["service"]), str(event["seam"]))
        if place == ("order_service", "attempt"):
            return await self._sent(found, lane, event)
        if place == ("billing_service", "arrival"):
            return await self._arrived(found, lane, event)
        if place == ("billing_service", "reply"):
            return await self._replies(found, lane, event)
        self._pass_by(lane, event)
        return _GO

    async def ended(self, lane: Lane, event: Event) -> None:
        """The caller has an answer of billing, or gave up: a line of the journal."""
        if not lane.attempts:
            return
        attempt = lane.attempts[-1]
        if event.seam == "answer":
            attempt.answered = True
            attempt.status = int(event.fields.get("status", 0))
            if attempt.struck is Action.LOSE and not attempt.is_one_shot:
                # It left before the answers were cut, or came after.
                attempt.struck = attempt.seam = None
                lane.decisions = [d for d in lane.decisions if d.attempt != attempt.number]
        else:
            attempt.saw = str(event.fields.get("saw", ""))
        reading: Reading | None = await self._read(lane)
        attempt.executed = reading is not None and attempt.key in reading.keys
        if attempt.struck is Action.LOSE and not attempt.is_one_shot:
            self._strikes.witness_loss(attempt)
        attempt.ended.set()
        if not attempt.is_one_shot:
            attempt.over.set()
        self._history.note(
            "answered" if attempt.answered else "gave up",
            column=lane.column.name,
            attempt=attempt.number,
            key=attempt.key,
            status=attempt.status,
            saw=attempt.saw,
        )
        self._history.changed()

    def caller_died(self, current: Round) -> None:
        """The order service was killed: what it had in hand has ended."""
        for lane in current.lanes.values():
            lane.is_caller_dead = True
            for attempt in lane.attempts:
                if not attempt.ended.is_set():
                    attempt.saw = attempt.saw or "the order service died"
                    attempt.ended.set()
                    attempt.over.set()

    async def _sent(self, found: Round, lane: Lane, event: dict[str, Any]) -> dict[str, Any]:
        for before in lane.attempts:
            try:
                async with asyncio.timeout(_OVER_BOUND_S):
                    await before.over.wait()
            except TimeoutError:
                before.over.set()
        key = int(str(event["sequence_key"]).strip('"') or 0)
        retry = event.get("retry") == "?1"
        attempt = Attempt(
            len(lane.attempts) + 1, key, retry, str(event["span"]), str(event.get("order_id", ""))
        )
        lane.attempts.append(attempt)
        lane.begun.set()
        self._note("sends", lane, attempt, pid=event["pid"])
        return await self._barrier(found, lane, attempt, Seam.SEND, event)

    async def _arrived(self, found: Round, lane: Lane, event: dict[str, Any]) -> dict[str, Any]:
        attempt = lane.attempt_of(str(event["span"]))
        if attempt is None:
            self._history.note("copy arrives", column=lane.column.name, key=event["sequence_key"])
            if (arrived := self._strikes.copies.get(lane.account)) is not None:
                arrived.set()
            return _GO
        attempt.arrivals += 1
        late = attempt.ended.is_set()
        self._note("arrives", lane, attempt, pid=event["pid"], late=late)
        return await self._barrier(found, lane, attempt, Seam.ARRIVAL, event)

    async def _replies(self, found: Round, lane: Lane, event: dict[str, Any]) -> dict[str, Any]:
        attempt = lane.attempt_of(str(event["span"]))
        if attempt is None:
            return _GO
        attempt.replayed = bool(event.get("replayed"))
        status = int(event.get("status", 0))
        # Its row is committed: what the account has paid can be read before the reply leaves.
        await self._read(lane)
        attempt.status = status
        self._note(
            "replies",
            lane,
            attempt,
            pid=event["pid"],
            status=status,
            replayed=attempt.replayed,
            late=attempt.ended.is_set(),
        )
        if not attempt.ended.is_set():
            await found.none_delayed.wait()
        return await self._barrier(found, lane, attempt, Seam.REPLY, event)

    async def _barrier(
        self, found: Round, lane: Lane, attempt: Attempt, seam: Seam, event: dict[str, Any]
    ) -> dict[str, Any]:
        """Asks the plan, then the buttons that are pressed, then the person; and strikes."""
        pid = int(event["pid"])
        script = found.script.pop((lane.column, seam, attempt.number), None)
        if script is not None:
            action = script
        elif self._rules.cut and seam is Seam.REPLY and not attempt.ended.is_set():
            # The toxic is armed already, and stays so while the button is pressed.
            attempt.strike(seam, Action.LOSE)
            attempt.witnesses.append(("the toxic was read back when it was armed", True))
            lane.decisions.append(Decision(lane.column.letter, seam, attempt.number, Action.LOSE))
            return _GO
        elif self._rules.step and not found.over:
            self._history.changed()
            action = await self._holds.wait(lane, attempt, seam, pid)
        else:
            action = Action.PASS
        self._history.changed()
        if action is Action.PASS:
            return {**_GO, "via": self._route(lane.column)} if seam is Seam.SEND else _GO
        if action is Action.COPY and seam is Seam.SEND:
            # The network copies it on its way: both arrive together.
            found.script[lane.column, Seam.ARRIVAL, attempt.number] = Action.COPY
            return {**_GO, "via": self._route(lane.column)}
        lane.decisions.append(Decision(lane.column.letter, seam, attempt.number, action))
        self._note("struck", lane, attempt, seam=seam.name.lower(), action=action.name.lower())
        return await self._strikes.strike(found, lane, attempt, seam, action, pid)

    def _pass_by(self, lane: Lane, event: dict[str, Any]) -> None:
        """Messages that nothing strikes: the customer's, and the notification."""
        kind = {
            ("order_service", "arrival"): "ordered",
            ("order_service", "reply"): "customer answered",
            ("order_service", "notify"): "notifies",
            ("notification_service", "arrival"): "notified",
        }.get((str(event["service"]), str(event["seam"])))
        if kind is not None:
            self._history.note(
                kind, column=lane.column.name, pid=event["pid"], status=event.get("status", 0)
            )
            self._history.changed()

    def _note(self, kind: str, lane: Lane, attempt: Attempt, **more: Any) -> None:
        self._history.note(
            kind,
            column=lane.column.name,
            attempt=attempt.number,
            key=attempt.key,
            retry=attempt.retry,
            **more,
        )
        self._history.changed()
