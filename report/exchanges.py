"""Which arrival belongs to which attempt, and which answer to which reply.

Guarantee: each recorded event belongs to one exchange at most, and an exchange holds nothing that was not recorded.

The wire carries no name of an attempt, so requests with the same account, key and flag cannot be told apart. An arrival is
given to the newest of them that was still waiting for its answer, else to the newest that had been given up: a caller has
one attempt of a key in flight, and what comes later than that is the delayed one. A process writes its reply down after it
has handed it over, so the caller's record of the answer may come first.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from report.history import Event

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
    # Its sender ended with it in hand, and it never arrived: whether it ever left is not known.
    in_hand: bool = False


def exchanges(events: Sequence[Event]) -> list[Exchange]:
    """All exchanges between services, in the order in which they began."""
    found: list[Exchange] = []
    for index, event in enumerate(events):
        seam = event["seam"]
        if event.get("died"):
            continue
        if event["service"] in RECEIVERS and seam == "arrival":
            _arrived(found, events, index)
        elif event["service"] in RECEIVERS and seam == "reply":
            _replied(found, events, index)
        elif seam in _SENDING and peer(event) in RECEIVERS.values():
            found.append(Exchange(sent=index))
        elif seam in ("answer", "no answer"):
            _ended(found, events, index)
    for exchange in found:
        exchange.in_hand = _left_in_hand(exchange, events)
    return found


def peer(event: Event) -> str:
    """What a sender's event is addressed to: charges, notifications, or another resource."""
    named = event.get("peer") or _SENDING.get(event["seam"], "")
    return str(named).strip("/")


def _arrived(found: list[Exchange], events: Sequence[Event], index: int) -> None:
    event = events[index]
    waiting = [
        exchange
        for exchange in found
        if exchange.sent is not None
        and exchange.arrived is None
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
    """Whether the attempt still waits: an answered attempt does not, and what arrives later is another request."""
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
            if event["seam"] == "answer" and exchange.arrived is None:
                _take_over_arrival(found, events, exchange)
            return


def _take_over_arrival(found: list[Exchange], events: Sequence[Event], answered: Exchange) -> None:
    """What was answered has arrived: an arrival given to one that had been given up before was this one's."""
    for exchange in reversed(found):
        if (
            answered.sent is not None
            and exchange.sent is not None
            and exchange.arrived is not None
            and exchange.ended is not None
            and exchange.ended < answered.sent < exchange.arrived
            and _same_key(events[exchange.sent], events[answered.sent])
            and peer(events[exchange.sent]) == peer(events[answered.sent])
        ):
            answered.arrived, exchange.arrived = exchange.arrived, None
            answered.replied, exchange.replied = exchange.replied, None
            return


def _left_in_hand(exchange: Exchange, events: Sequence[Event]) -> bool:
    if exchange.sent is None or exchange.arrived is not None or exchange.ended is not None:
        return False
    sender = events[exchange.sent]
    return any(
        (event.get("died") and _same_process(sender, event))
        or (event["seam"] == "crashed" and event.get("struck") == sender.get("pid"))
        for event in events[exchange.sent + 1 :]
    )


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
