"""When a message may go on: not before the fault of the attempt before it is over, and not after its service has gone."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import pytest

from chaos.evidence.journal import Event
from lab.columns import COLUMNS, Column
from lab.held import Holds, NotPossible
from lab.history import History
from lab.ledger import Reading
from lab.messages import Messages
from lab.plans import Action, Decision, Seam
from lab.rounds import Lane, Round
from lab.strikes import Strikes

COLUMN = COLUMNS[2]


@dataclass
class Rules:
    """What is set on the page."""

    step: bool = False
    cut: bool = False


def made(rules: Rules) -> tuple[Messages, Lane, Holds]:
    """The messages of one order; nothing here strikes, so there is no stack."""
    lane = Lane(COLUMN, "account")
    played = Round(1, {COLUMN.name: lane}, "", {})
    history = History(dict)
    holds = Holds(history.changed)

    async def read(_: Lane) -> Reading | None:
        return None

    def find(account: str) -> Round | None:
        return played if account == lane.account else None

    route: Callable[[Column], str] = lambda column: f"{column.proxy}:1"  # noqa: E731
    no_strikes = cast(Strikes, None)
    return Messages(rules, holds, no_strikes, history, find, read, route), lane, holds


def sends(span: str, retry: str = "?0") -> dict[str, Any]:
    """The event before an attempt is sent."""
    return {
        "service": "order_service",
        "seam": "attempt",
        "account": "account",
        "sequence_key": '"7"',
        "retry": retry,
        "span": span,
        "pid": 1,
        "order_id": "x",
    }


async def test_the_next_attempt_waits_for_the_end_of_the_fault() -> None:
    """It is told to go only when the attempt before it is over; then it takes its column's own proxy."""
    messages, lane, _ = made(Rules())
    assert await messages.decide(sends("one")) == {"do": "go", "via": f"{COLUMN.proxy}:1"}
    second = asyncio.ensure_future(messages.decide(sends("two", "?1")))
    done, _ = await asyncio.wait((second,), timeout=0.2)
    assert not done
    assert len(lane.attempts) == 1
    lane.attempts[0].over.set()
    async with asyncio.timeout(10):
        assert (await second)["do"] == "go"
    assert [attempt.retry for attempt in lane.attempts] == [False, True]


async def test_a_message_whose_service_has_gone_is_held_no_longer() -> None:
    """Its place is free, and nobody can decide about it."""
    messages, _, holds = made(Rules(step=True))
    deciding = asyncio.ensure_future(messages.decide(sends("one")))
    async with asyncio.timeout(10):
        while not len(holds):
            await asyncio.wait((deciding,), timeout=0.01)
    (held,) = holds
    deciding.cancel()
    await asyncio.gather(deciding, return_exceptions=True)
    assert len(holds) == 0
    with pytest.raises(NotPossible):
        holds.decide(held.number, Action.PASS)


async def test_messages_of_others_pass() -> None:
    """An account that is none of the play's is not held, whatever is set."""
    messages, _, holds = made(Rules(step=True, cut=True))
    assert await messages.decide({**sends("one"), "account": "alice"}) == {"do": "go"}
    assert len(holds) == 0


async def test_an_answer_that_got_through() -> None:
    """It left before the answers were cut, or came after: its attempt was not struck, whatever was ordered."""
    messages, lane, _ = made(Rules())
    await messages.decide(sends("one"))
    (attempt,) = lane.attempts
    attempt.strike(Seam.REPLY, Action.LOSE)
    lane.decisions = [Decision("k", Seam.REPLY, 1, Action.LOSE)]
    answer = Event(1, "order_service", 1, "answer", "account", {"status": 201, "peer": "charges"})
    await messages.ended(lane, answer)
    assert (attempt.struck, attempt.seam, lane.decisions) == (None, None, [])
    assert attempt.answered
    assert attempt.over.is_set()
