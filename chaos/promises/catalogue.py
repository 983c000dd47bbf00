"""What the stack promises: each promise is a check of the evidence of one order.
Long because it is the list of the promises, so that they can be compared with the documents one by one.

Guarantee: a promise is judged from evidence alone, never from what a scenario expects; one that says nothing about an
order is left out, so that "kept" always means that it was put to the test.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from chaos.evidence.journal import Event
from chaos.evidence.readings import Observed
from order_service.wire import Delivery, Fate, Status
from report.numbers import often, was

# How late a process on a busy machine may notice that a deadline has passed.
_LATE_S = 2.0


class Kind(StrEnum):
    """`safety`: nothing wrong happened. `liveness`: everything settled after healing. `computed`: a cell of the table."""

    SAFETY = "safety"
    LIVENESS = "liveness"
    COMPUTED = "computed"


@dataclass(frozen=True)
class Finding:
    """One promise, put to the test; `detail` says of one that is broken what was found, as a clause without its full stop."""

    promise: str
    claim: str
    kind: Kind
    kept: bool
    detail: str = ""
    # Breaking it fails the scenario even without a witnessed fault: it has evidence of its own.
    whatever_struck: bool = False


# What the order did or is that breaks it, as a predicate ("is billed, and ..."), or None.
Question = Callable[[Observed], str | None]


@dataclass(frozen=True)
class Promise:
    """One line of the contract. `about` tells whether it speaks of an order at all."""

    name: str
    claim: str
    kind: Kind
    about: Callable[[Observed], bool]
    broken: Question

    def put_to(self, order: Observed) -> Finding | None:
        """The finding; None when the promise says nothing about this order."""
        if not self.about(order):
            return None
        detail = self.broken(order)
        found = f"{order.label} {detail}" if detail else ""
        return Finding(self.name, self.claim, self.kind, detail is None, found)


def _no_effect_without_order(order: Observed) -> str | None:
    if order.order is None and order.last.effects:
        return f"was never recorded, and its amount {was('withdrawn', order.last.effects)}"
    return None


def _definite_failure_moves_nothing(order: Observed) -> str | None:
    status = order.order.status if order.order else None
    if order.last.effects and status in (Status.FAILED, Status.DECLINED, Status.CANCELLED):
        return f"is {status}, and its amount {was('withdrawn', order.last.effects)} all the same"
    return None


def _between_ok_and_not_failed(order: Observed) -> str | None:
    if order.order is None:
        return None
    outcomes: defaultdict[int, set[str]] = defaultdict(set)
    for attempt in order.order.attempts:
        outcomes[attempt.sequence_key].add(attempt.outcome)
    # A 402 is an answer too, so only what was billed has to be there.
    ok = sum("acknowledged" in seen for seen in outcomes.values())
    if order.order.status is not Status.BILLED:
        ok = 0
    possible = sum(seen != {"refused"} for seen in outcomes.values()) or 1
    if not ok <= order.last.commits <= possible:
        executed = was("executed", order.last.commits)
        if ok > order.last.commits:
            return f"{executed}, and {ok} of its keys were answered as billed"
        return f"{executed}, and by its caller's record only {possible} of its keys can have been"
    return None


def _sent_at_most_once(order: Observed) -> str | None:
    sent, arrived = len(order.sent()), len(order.arrivals("billing_service"))
    if sent > 1 or arrived > 1 or order.last.commits > 1:
        executed = was("executed", order.last.commits)
        return f"was sent {often(sent)} by its caller, arrived {often(arrived)} and {executed}"
    return None


def _notified_once(order: Observed) -> str | None:
    sent, arrived = len(order.sent("notify")), len(order.arrivals("notification_service"))
    if order.notifications > 1 or sent > 1 or arrived > 1:
        shown = was("shown", order.notifications)
        return (
            f"has a notification that was sent {often(sent)}, arrived {often(arrived)} and {shown}"
        )
    return None


def _fate_is_true(order: Observed) -> str | None:
    fate = order.order.notification if order.order else None
    if order.notifications != (fate is Fate.ACKNOWLEDGED):
        shown = was("shown", order.notifications)
        return f"has a notification that was {fate} to its sender, and {shown}"
    return None


def _settled(order: Observed) -> str | None:
    if order.order is None:
        return "was accepted, as its customer was told, and is not there"
    if order.order.status is Status.PENDING:
        return f"is still pending, and {len(order.order.attempts)} attempts are over"
    return None


def _keys(order: Observed) -> dict[str, list[Event]]:
    by_key: defaultdict[str, list[Event]] = defaultdict(list)
    for event in order.sent():
        by_key[event.fields["sequence_key"]].append(event)
    return by_key


def _same_payload(order: Observed) -> str | None:
    for key, events in _keys(order).items():
        if len({event.fields["payload"] for event in events}) > 1:
            return f"was sent with different payloads under key {key}"
    return None


def _retry_flag(order: Observed) -> str | None:
    sent = order.sent()
    recorded = len(order.order.attempts) if order.order else len(sent)
    for number, event in enumerate(sent, start=1):
        # A process that died may have recorded the first attempt and not sent it; what comes next is a retry all the same.
        if number == 1 and recorded > len(sent):
            continue
        expected = "?1" if number > 1 and order.delivery is Delivery.EXACTLY_ONCE else "?0"
        if event.fields["retry"] != expected:
            return f"carried the retry flag {event.fields['retry']} in attempt {number}"
    return None


def _one_key(order: Observed) -> str | None:
    keys = sorted(_keys(order))
    return f"was sent under the keys {', '.join(keys)}" if len(keys) > 1 else None


def _in_flight(order: Observed) -> Iterator[tuple[Event, int]]:
    """Each attempt with the number of attempts of its key whose end is not recorded, itself included.

    The process that sent an attempt may die; then its end is the death, and what another process sends comes after it.
    """
    open_by_key: Counter[str] = Counter()
    sender: dict[str, int] = {}
    for event in order.events:
        if event.service != "order_service" or event.fields.get("peer") != "charges":
            continue
        key = event.fields["sequence_key"]
        if event.seam == "attempt":
            if sender.get(key) != event.pid:
                open_by_key[key] = 0
            sender[key] = event.pid
            open_by_key[key] += 1
            yield event, open_by_key[key]
        elif sender.get(key) == event.pid:
            open_by_key[key] -= 1


def _one_in_flight(order: Observed) -> str | None:
    for event, count in _in_flight(order):
        if count > 1:
            key = event.fields["sequence_key"]
            return f"was sent under key {key} while another attempt of that key was open"
    return None


def _nothing_after_ok(order: Observed) -> str | None:
    answered_ns = [
        event.at_ns
        for event in order.events
        if event.seam == "answer"
        and event.fields.get("peer") == "charges"
        and event.fields["status"] in (201, 402)
        and not _died_with(order, event)
    ]
    if not answered_ns:
        return None
    late = [event for event in order.sent() if event.at_ns > min(answered_ns)]
    return f"was sent again after its answer had come, {often(len(late))}" if late else None


def _died_with(order: Observed, answer: Event) -> bool:
    """Whether the process that got the answer was killed before it could write it down: another one must ask again."""
    later = [e for e in order.events if e.service == "order_service" and e.at_ns > answer.at_ns]
    return any(event.pid != answer.pid for event in later)


def _charged_once(order: Observed) -> str | None:
    if order.last.effects > 1 or order.last.commits > 1:
        return f"was paid {often(order.last.effects)}, in {order.last.commits} withdrawals"
    wrong = [cents for cents in order.withdrawn_cents if cents != order.amount_cents]
    if wrong:
        withdrawn = ", ".join(map(str, wrong))
        return f"costs {order.amount_cents} cents, and {withdrawn} were withdrawn"
    return None


def _billed_means_charged(order: Observed) -> str | None:
    if order.order and order.order.status is Status.BILLED and order.last.effects < 1:
        return f"is billed, and its amount {was('withdrawn', order.last.effects)}"
    return None


def _ends_as_it_must(order: Observed) -> str | None:
    status = order.order.status if order.order else None
    if status not in (None, Status.PENDING, order.ending):
        answer = (order.order.answer or {}) if order.order else {}
        title = f" ({answer['title']})" if answer.get("title") else ""
        return f"was accepted and had to end {order.ending}, and is {status}{title}"
    return None


def _key_means_effect(order: Observed) -> str | None:
    for shot in order.snapshots:
        if shot.effects > 1 or shot.keys != shot.commits:
            held = f"had {shot.keys} processed keys and {shot.commits} withdrawals at one moment"
            return f"{held}, and its amount had moved {often(shot.effects)}"
    return None


def _acknowledged_stays(order: Observed) -> str | None:
    told_ns = order.acknowledged_ns
    for shot in order.snapshots:
        if told_ns is not None and shot.at_ns > told_ns and shot.effects < 1:
            return f"was acknowledged to its customer, and later its amount {was('withdrawn', shot.effects)}"
    return None


def _equal_answers(order: Observed) -> str | None:
    answers: defaultdict[str, set[str]] = defaultdict(set)
    for event in order.events:
        # A process that died there has answered nothing.
        whole = (event.service, event.seam) == (
            "billing_service",
            "reply",
        ) and "digest" in event.fields
        if whole and event.fields["status"] in (201, 402):
            answers[event.fields["sequence_key"]].add(event.fields["digest"])
    different = [key for key, digests in answers.items() if len(digests) > 1]
    return f"got different answers under key {different[0]}" if different else None


def _money_is_explained(order: Observed) -> str | None:
    if abs(order.last.effects * order.amount_cents - sum(order.withdrawn_cents)) >= 1:
        return (
            f"took {order.last.effects * order.amount_cents:.0f} cents from its account's balance, and its withdrawals say "
            f"{sum(order.withdrawn_cents)}"
        )
    return None


def _within_the_deadline(order: Observed) -> str | None:
    for attempt in order.order.attempts if order.order else ():
        if order.deadline_s is not None and attempt.seconds > order.deadline_s + _LATE_S:
            took = f"{attempt.seconds:.1f} s in attempt {attempt.attempt}"
            return f"took {took}, whose deadline is {order.deadline_s:g} s"
    return None


def _always(_: Observed) -> bool:
    return True


def _journaled(order: Observed) -> bool:
    return order.journaled and bool(order.sent())


def _exactly_once(order: Observed) -> bool:
    return order.delivery is Delivery.EXACTLY_ONCE


def _of(delivery: Delivery) -> Callable[[Observed], bool]:
    return lambda order: order.delivery is delivery


SAFETY, LIVENESS = Kind.SAFETY, Kind.LIVENESS
# In the order of faults.md's list: what holds always, then what each semantics adds.
PROMISES = (
    Promise("C1", "no effect without an order", SAFETY, _always, _no_effect_without_order),
    Promise(
        "C2", "a definite failure moves nothing", SAFETY, _always, _definite_failure_moves_nothing
    ),
    Promise(
        "C3",
        "no fewer charges than were acknowledged, and no more than may not have failed",
        SAFETY,
        lambda order: order.order is not None and bool(order.order.attempts),
        _between_ok_and_not_failed,
    ),
    Promise(
        "M1",
        "at most once: no more than one attempt, one arrival and one effect",
        SAFETY,
        _of(Delivery.AT_MOST_ONCE),
        _sent_at_most_once,
    ),
    Promise("M2", "a notification is sent and shown at most once", SAFETY, _always, _notified_once),
    Promise(
        "M3",
        "an acknowledged notification was shown once, a refused one never",
        SAFETY,
        lambda order: (
            order.order is not None
            and order.order.notification in (Fate.ACKNOWLEDGED, Fate.REFUSED)
        ),
        _fate_is_true,
    ),
    Promise(
        "L1",
        "every accepted order has an answer by the bound after healing",
        LIVENESS,
        lambda order: order.accepted,
        _settled,
    ),
    Promise(
        "L2", "all attempts of a key carry the same payload", SAFETY, _journaled, _same_payload
    ),
    Promise(
        "L3",
        "the retry flag is set on every attempt but the first",
        SAFETY,
        _journaled,
        _retry_flag,
    ),
    Promise("L4", "one attempt of a key is in flight", SAFETY, _journaled, _one_in_flight),
    Promise("L5", "nothing is sent after the answer", SAFETY, _journaled, _nothing_after_ok),
    Promise(
        "L6",
        "no attempt outlasts its deadline, however slowly the answer arrives",
        SAFETY,
        lambda order: order.deadline_s is not None and order.order is not None,
        _within_the_deadline,
    ),
    Promise(
        "X0",
        "exactly once: one key for all attempts of an order",
        SAFETY,
        lambda order: _exactly_once(order) and _journaled(order),
        _one_key,
    ),
    Promise(
        "X1", "the order's amount is withdrawn at most once", SAFETY, _exactly_once, _charged_once
    ),
    Promise("X1b", "a billed order was withdrawn", SAFETY, _exactly_once, _billed_means_charged),
    Promise(
        "X1c",
        "an accepted order ends billed; declined only for lack of money, cancelled only by the customer",
        SAFETY,
        lambda order: _exactly_once(order) and order.accepted,
        _ends_as_it_must,
    ),
    Promise(
        "X2",
        "at every moment a key is processed if, and only if, its effect is there",
        SAFETY,
        _exactly_once,
        _key_means_effect,
    ),
    Promise(
        "X3",
        "an acknowledged charge is there in every later reading",
        SAFETY,
        lambda order: order.acknowledged_ns is not None,
        _acknowledged_stays,
    ),
    Promise("X4", "all answers of a key are equal", SAFETY, _journaled, _equal_answers),
    Promise(
        "X5",
        "the withdrawals explain the balance to the cent",
        SAFETY,
        _always,
        _money_is_explained,
    ),
)
