"""Each promise says no to evidence that breaks it, and to that alone."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from chaos.evidence.journal import Event
from chaos.evidence.readings import Observed, Snapshot
from chaos.promises.catalogue import PROMISES
from order_service.wire import Attempt, Delivery, Fate, Order, Status

ACCOUNT = "cell-1"
ORDER = UUID(int=1)
NOW = datetime(2026, 11, 24, tzinfo=UTC)


def event(at_ns: int, service: str, seam: str, pid: int = 7, **fields: Any) -> Event:
    return Event(at_ns, service, pid, seam, ACCOUNT, fields)


def attempt_sent(
    at_ns: int, retry: str = "?0", key: str = '"1"', payload: str = "p", pid: int = 7
) -> Event:
    return event(
        at_ns,
        "order_service",
        "attempt",
        pid,
        sequence_key=key,
        retry=retry,
        payload=payload,
        peer="charges",
    )


def ended(at_ns: int, seam: str, status: int = 201, key: str = '"1"') -> Event:
    return event(at_ns, "order_service", seam, sequence_key=key, status=status, peer="charges")


def arrived(at_ns: int, service: str = "billing_service", *, complete: bool = True) -> Event:
    return event(at_ns, service, "arrival", 8, complete=complete, sequence_key='"1"')


def replied(at_ns: int, digest: str = "d", status: int = 201, key: str = '"1"') -> Event:
    return event(
        at_ns, "billing_service", "reply", 8, status=status, digest=digest, sequence_key=key
    )


def order(status: Status = Status.BILLED, outcomes: tuple[str, ...] = ("acknowledged",)) -> Order:
    return Order(
        order_id=ORDER,
        customer=ACCOUNT,
        item="book",
        amount_cents=1999,
        delivery=Delivery.EXACTLY_ONCE,
        status=status,
        sequence_key=1,
        attempts=[
            Attempt(attempt=n, sequence_key=1, retry=n > 1, outcome=o, caller_saw="", seconds=0.0)
            for n, o in enumerate(outcomes, start=1)
        ],
        answer=None,
        notification=Fate.ACKNOWLEDGED,
        created_at=NOW,
        settled_at=NOW,
    )


def slow() -> Order:
    drip = order()
    return drip.model_copy(
        update={"attempts": [drip.attempts[0].model_copy(update={"seconds": 5.0})]}
    )


GOOD = Observed(
    label="the order",
    account=ACCOUNT,
    delivery=Delivery.EXACTLY_ONCE,
    amount_cents=1999,
    accepted=True,
    order=order(outcomes=("unknown", "acknowledged")),
    acknowledged_ns=60,
    events=(
        attempt_sent(10),
        arrived(20),
        ended(30, "no answer"),
        attempt_sent(40, "?1"),
        arrived(45),
        replied(48),
        ended(50, "answer"),
        event(52, "order_service", "notify"),
        arrived(54, "notification_service"),
    ),
    snapshots=(Snapshot(25, 0, 0, 0), Snapshot(70, 1, 1, 1)),
    withdrawn_cents=(1999,),
    notifications=1,
    journaled=True,
)
ONCE = replace(
    GOOD, delivery=Delivery.AT_MOST_ONCE, order=order(), events=(attempt_sent(10), arrived(20))
)
SETTLED = Snapshot(70, 1, 1, 1)


def after(*snapshots: Snapshot, **changes: Any) -> Observed:
    return replace(GOOD, snapshots=snapshots, **changes)


BROKEN = {
    "C1": replace(GOOD, order=None),
    "C2": replace(GOOD, order=order(Status.FAILED)),
    "C3": after(Snapshot(70, 0, 0, 0)),
    "M1": replace(ONCE, events=(attempt_sent(10), attempt_sent(20))),
    "M2": replace(GOOD, notifications=2),
    "M3": replace(GOOD, notifications=0),
    "L1": replace(GOOD, order=order(Status.PENDING)),
    "L2": replace(GOOD, events=(attempt_sent(10), attempt_sent(20, "?1", payload="q"))),
    "L3": replace(GOOD, events=(attempt_sent(10), ended(15, "no answer"), attempt_sent(20, "?0"))),
    "L4": replace(GOOD, events=(attempt_sent(10), attempt_sent(20, "?1"))),
    "L5": replace(GOOD, events=(attempt_sent(10), ended(15, "answer"), attempt_sent(20, "?1"))),
    "L6": replace(GOOD, deadline_s=2.0, order=slow()),
    "X0": replace(GOOD, events=(attempt_sent(10), attempt_sent(20, "?1", key='"2"'))),
    "X1": after(Snapshot(70, 2, 2, 1), withdrawn_cents=(1999, 1999)),
    "X1b": after(Snapshot(70, 0, 0, 0), withdrawn_cents=()),
    "X1c": replace(GOOD, order=order(Status.FAILED)),
    "X2": after(Snapshot(25, 0, 0, 1), SETTLED),
    "X3": after(Snapshot(65, 0, 0, 0), SETTLED),
    "X4": replace(GOOD, events=(replied(10, "a"), attempt_sent(12), replied(20, "b"))),
    "X5": replace(GOOD, withdrawn_cents=(1998,)),
}


def broken(observed: Observed) -> set[str]:
    findings = [promise.put_to(observed) for promise in PROMISES]
    return {f.promise for f in findings if f is not None and not f.kept}


def test_every_promise_has_its_control() -> None:
    """A promise that is added gets evidence that breaks it."""
    assert [promise.name for promise in PROMISES] == list(BROKEN)


def test_good_evidence_breaks_none() -> None:
    """A retried order with its answer, its money and its notification; and one that was sent once."""
    assert broken(GOOD) == set()
    assert broken(ONCE) == set()


@pytest.mark.parametrize("promise", list(BROKEN))
def test_a_promise_says_no(promise: str) -> None:
    """Its own control breaks it, and the finding says what is wrong."""
    assert promise in broken(BROKEN[promise])
    finding = next(p for p in PROMISES if p.name == promise).put_to(BROKEN[promise])
    assert finding is not None
    assert finding.detail.startswith("the order ")


@pytest.mark.parametrize(
    ("snapshot", "withdrawn"),
    [(Snapshot(70, 2, 2, 1), (1999, 1999)), (Snapshot(70, 1, 1, 1), (1000, 999))],
    ids=["twice", "in parts"],
)
def test_double_or_wrong_money(snapshot: Snapshot, withdrawn: tuple[int, ...]) -> None:
    """X1 asks for the amount, not only for the number of withdrawals."""
    assert "X1" in broken(after(snapshot, withdrawn_cents=withdrawn))


def test_another_process_may_ask_again() -> None:
    """An answer that died with its process is no answer, and its attempt is not in flight any more."""
    events = (attempt_sent(10), ended(15, "answer"), attempt_sent(20, "?1", pid=9))
    assert broken(replace(GOOD, events=events)) == set()


@pytest.mark.parametrize(
    ("second", "equal"),
    [
        (replied(20, "b", status=402), False),
        (replied(20, "a", status=402), True),
        (replied(20, "b", status=402, key='"2"'), True),
        (replied(20, "b", status=503), True),
        (replied(20, "b", status=409), True),
    ],
    ids=["another decline", "the same decline", "another key", "unknown", "in flight"],
)
def test_a_decline_is_an_answer_too(second: Event, equal: bool) -> None:
    """X4 compares what is final under one key: a decline as well, and no refusal that asks to come again."""
    answered = replace(GOOD, events=(attempt_sent(5), replied(10, "a", status=402), second))
    assert ("X4" not in broken(answered)) == equal


@pytest.mark.parametrize("complete", [False, True])
def test_a_request_that_was_cut_has_not_arrived(complete: bool) -> None:
    """M1 and M2 count what a service could execute: a part of a request is nothing."""
    charged = replace(ONCE, events=(*ONCE.events, arrived(25, complete=complete)))
    assert broken(charged) == ({"M1"} if complete else set())
    again = arrived(55, "notification_service", complete=complete)
    assert broken(replace(GOOD, events=(*GOOD.events, again))) == ({"M2"} if complete else set())


def test_a_recorded_attempt_may_not_have_been_sent() -> None:
    """Its process died before; what another process sends first is a retry, and says so."""
    events = (attempt_sent(10, "?1"),)
    taken_over = replace(GOOD, events=events, order=order(outcomes=("unknown", "acknowledged")))
    assert broken(taken_over) == set()
    assert "L3" in broken(replace(taken_over, order=order()))


def test_what_was_not_journaled_is_not_judged() -> None:
    """Without wrapped services it is not known what was sent: there is no finding, rather than a kept promise."""
    bare = replace(GOOD, events=(), journaled=False)
    asked = {p.name for p in PROMISES if p.put_to(bare) is not None}
    assert asked.isdisjoint({"L2", "L3", "L4", "L5", "X0", "X4"})
    assert {"X1", "X2", "X3", "X5"} <= asked


def test_a_refused_notification_that_was_shown() -> None:
    """A definite refusal is definite: a caller that relies on it would notify the customer twice."""
    assert GOOD.order is not None
    refused = replace(GOOD, order=GOOD.order.model_copy(update={"notification": Fate.REFUSED}))
    assert "M3" in broken(refused)
    assert "M3" not in broken(replace(refused, notifications=0))
