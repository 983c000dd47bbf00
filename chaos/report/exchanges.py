"""Which arrival belongs to which attempt, and which answer to which reply.

Guarantee: each recorded event belongs to one exchange at most, and an exchange holds nothing that was not recorded.

The wire carries no name of an attempt, so requests with the same account, key and flag cannot be told apart. An arrival is
given to the newest of them that was still waiting for its answer, else to the newest that had been given up: a caller has
one attempt of a key in flight, and what comes later than that is the delayed one. A process writes its reply down after it
has handed it over, so the caller's record of the answer may come first.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from chaos.report.history import Event

RECEIVERS = {"billing_service": "charges", "notification_service": "notifications"}
_SENDING = {"attempt": "charges", "notify": "notifications", "sent": "charges"}


@dataclass
class Exchange:
    """One request and its answer; each field is the position of a recorded event, None where there is none."""

    sent: int | None = None
    arrived: int | None = None
    replied: int | None = None
    # The sender's "answer" or "no answer".
    ended: int | None = None
    # The sender died when it was about to send.
    unsent: bool = False


def exchanges(events: Sequence[Event]) -> list[Exchange]:
    """All exchanges between services, in the order in which they began."""
    found: list[Exchange] = []
    for index, event in enumerate(events):
        seam = event["seam"]
        if event.get("died"):
            _sender_died(found, events, event)
        elif event["service"] in RECEIVERS and seam == "arrival":
            _arrived(found, events, index)
        elif event["service"] in RECEIVERS and seam == "reply":
            _replied(found, events, index)
        elif seam in _SENDING and peer(event) in RECEIVERS.values():
            found.append(Exchange(sent=index))
        elif seam in ("answer", "no answer"):
            _ended(found, events, index)
    return found


def peer(event: Event) -> str:
    """Whom a sender's event is addressed to: charges, notifications, or another resource."""
    named = event.get("peer") or _SENDING.get(event["seam"], "")
    return str(named).strip("/")


def _arrived(found: list[Exchange], events: Sequence[Event], index: int) -> None:
    event = events[index]
    waiting = [
        exchange
        for exchange in found
        if exchange.sent is not None
        and exchange.arrived is None
        and not exchange.unsent
        and not _answered(exchange, events)
        and peer(events[exchange.sent]) == RECEIVERS[event["service"]]
        and _same_key(events[exchange.sent], event)
    ]
    alike = [
        exchange
        for exchange in waiting
        if exchange.sent is not None and _same_flag(events[exchange.sent], event)
    ]
    still_open = [exchange for exchange in alike if exchange.ended is None]
    # The harness may turn the flag of an attempt on its way; then only one that still waits can be meant.
    turned = [exchange for exchange in waiting if exchange.ended is None]
    candidates = still_open or alike or turned
    if candidates:
        candidates[-1].arrived = index
    else:
        found.append(Exchange(arrived=index))


def _replied(found: list[Exchange], events: Sequence[Event], index: int) -> None:
    event = events[index]
    for exchange in found:
        if exchange.arrived is None or exchange.replied is not None:
            continue
        arrival = events[exchange.arrived]
        if _same_process(arrival, event) and _same_request(arrival, event):
            exchange.replied = index
            return


def _answered(exchange: Exchange, events: Sequence[Event]) -> bool:
    """Whoever has its answer waits for nothing more: what arrives later is another request."""
    return exchange.ended is not None and events[exchange.ended]["seam"] == "answer"


def _ended(found: list[Exchange], events: Sequence[Event], index: int) -> None:
    event = events[index]
    for exchange in reversed(found):
        if exchange.sent is None or exchange.ended is not None:
            continue
        sent = events[exchange.sent]
        if (
            _same_process(sent, event)
            and _same_request(sent, event)
            and peer(event) in ("", peer(sent))
        ):
            exchange.ended = index
            return


def _sender_died(found: list[Exchange], events: Sequence[Event], event: Event) -> None:
    if event["seam"] not in _SENDING:
        return
    for exchange in reversed(found):
        if exchange.sent is None:
            continue
        sent = events[exchange.sent]
        if (
            sent["seam"] == event["seam"]
            and sent.get("account") == event.get("account")
            and _same_process(sent, event)
        ):
            exchange.unsent = exchange.arrived is None and exchange.ended is None
            return


def _same_process(one: Event, other: Event) -> bool:
    return (one["service"], one.get("pid")) == (other["service"], other.get("pid"))


def _same_request(one: Event, other: Event) -> bool:
    return _same_key(one, other) and _same_flag(one, other)


def _same_key(one: Event, other: Event) -> bool:
    """A request that was cut short has headers and no account."""
    accounts = {one.get("account"), other.get("account")} - {"", None}
    return len(accounts) <= 1 and (one.get("sequence_key") or "") == (
        other.get("sequence_key") or ""
    )


def _same_flag(one: Event, other: Event) -> bool:
    return (one.get("retry") or "") == (other.get("retry") or "")
