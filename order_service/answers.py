"""Decides which answers are believed: those that the asked service documents, for the charge that was asked about.

Guarantee: the answer of a gateway, a proxy or a login page is unknown, with any JSON and any status; so is a complete answer
to another charge.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import BaseModel

import billing_service.wire as billing
import notification_service.wire as notifications
from billing_service.wire import Charge, Charged, Declined, KeyExecuted, KeyState, SettledBelow
from notification_service.wire import Notification, Shown
from order_service.outcomes import (
    CHARGED_OTHERWISE,
    DECLINED_UNNAMED,
    KEY_OF_ANOTHER,
    VOIDED,
    Acknowledged,
    Outcome,
    Refused,
    Unknown,
)

# A day. No longer Retry-After is honoured, and a number of any length becomes one that fits into a float.
_RETRY_AFTER_MAX_S = 86_400.0
# One line of a record that a person reads. The text may come from any program.
_SAW_LENGTH_MAX = 200
_JSON = "application/json"
_PROBLEM = "application/problem+json"

Body = TypeVar("Body", bound=BaseModel)


@dataclass(frozen=True)
class Received:
    """A whole HTTP answer. `headers` takes names in any case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def media_type(self) -> str:
        """Without its parameters."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @property
    def retry_after_s(self) -> float:
        """Delay in seconds. RFC 9110 also allows a date; billing never sends one, and clocks that differ would falsify it."""
        value = self.headers.get("Retry-After", "")
        wish_s = float(value) if value.isascii() and value.isdigit() else 0.0
        return min(wish_s, _RETRY_AFTER_MAX_S)


class _Problem(BaseModel):
    """Problem details (RFC 9457, section 3.1). Members that are not named here are not kept."""

    type: str
    title: billing.ProblemText
    status: int
    detail: billing.ProblemText


def of_charge(received: Received, charge: Charge) -> Outcome:
    """What the answer to `POST /charges` says of this charge."""
    saw = f"HTTP {received.status}"
    replayed = received.headers.get(billing.REPLAYED_HEADER) == "?1"
    seen = f"{saw}, replayed" if replayed else saw
    if received.status == 201:
        charged = _body(received, Charged)
        return _undocumented(received) if charged is None else _for(charge, charged, seen)
    if _documented(received, billing.DECLINES) is not None:
        declined = _body(received, Declined, _PROBLEM)
        return _undocumented(received) if declined is None else _for(charge, declined, seen)
    if (problem := _documented(received, billing.REFUSALS)) is not None:
        return Refused(f"{saw} {_slug(problem)}", problem.model_dump())
    if (problem := _documented(received, billing.NOT_YET)) is not None:
        return Unknown(f"{saw} {_slug(problem)}", received.retry_after_s)
    return _undocumented(received)


def of_void(received: Received, charge: Charge, sequence_key: int) -> Outcome:
    """What the answer to `DELETE /charges/{sequence_key}` says of the charge that was sent under this key.

    `Refused` names in its answer why the charge was not executed and never will be; see `order_service.outcomes`.
    """
    saw = f"HTTP {received.status}"
    if received.status == 200:
        state = _body(received, KeyState)
        if state is None or (state.state, state.sequence_key) != ("voided", sequence_key):
            return _undocumented(received)
        return Refused(f"{saw} voided", _told(VOIDED, "The key was voided."))
    if _documented(received, billing.KEY_EXECUTED) is not None:
        executed = _body(received, KeyExecuted, _PROBLEM)
        return (
            _undocumented(received)
            if executed is None
            else _of_executed(executed, charge, sequence_key)
        )
    if (problem := _documented(received, billing.KEY_FORGOTTEN)) is not None:
        return Refused(f"{saw} {_slug(problem)}", problem.model_dump())
    if (problem := _documented(received, billing.NOT_VOIDED)) is not None:
        return Unknown(f"{saw} {_slug(problem)}", received.retry_after_s)
    return _undocumented(received)


def of_mark(received: Received, first_incomplete: int) -> Outcome:
    """Whether billing has heard that all keys below are settled."""
    if received.status == 202 and _body(received, SettledBelow) == SettledBelow(
        first_incomplete=first_incomplete
    ):
        return Acknowledged("HTTP 202")
    return _undocumented(received)


def of_notification(received: Received, notification: Notification) -> Outcome:
    """What became of the one attempt of this notification."""
    shown = Shown(notification_id=notification.notification_id)
    if received.status == 202 and _body(received, Shown) == shown:
        return Acknowledged("HTTP 202")
    if (problem := _documented(received, notifications.REFUSALS)) is not None:
        return Refused(f"HTTP {received.status} {_slug(problem)}", problem.model_dump())
    return _undocumented(received)


def printable(text: str) -> str:
    """A text from outside as one short line of ASCII, which every record can hold."""
    line = text.encode("ascii", "backslashreplace").decode()
    return re.sub(r"[\x00-\x1f\x7f]+", " ", line)[:_SAW_LENGTH_MAX]


def _for(charge: Charge, answer: Charged | Declined, saw: str) -> Acknowledged | Unknown:
    if _named_by(answer) != _named_by(charge):
        return Unknown(f"{saw}, for another charge", misdirected=True)
    return Acknowledged(saw, answer)


def _of_executed(executed: KeyExecuted, charge: Charge, sequence_key: int) -> Outcome:
    saw = "HTTP 409 key-executed"
    if executed.order_id is None and executed.executed_status == 402:
        # Stored by an older release. Whichever order it was for, nothing was withdrawn under this key, and nothing ever will be.
        return Refused(
            f"{saw}, declined for an order that is not named",
            _told(DECLINED_UNNAMED, f"Key {sequence_key} was declined."),
        )
    answer = _stored_answer(executed)
    if answer is None or _named_by(executed) != _named_by(answer):
        # From an older billing_service, or from an unknown program. Send the charge again: billing then compares its payload.
        return Unknown(f"{saw}, for a charge that is not named")
    if _named_by(answer) == _named_by(charge):
        return Acknowledged(saw, answer)
    if answer.order_id == charge.order_id:
        return Refused(
            f"{saw}, otherwise",
            _told(
                CHARGED_OTHERWISE,
                f"Key {sequence_key} was executed for this order with another account or amount.",
            ),
        )
    # A key is executed for one charge only, so this charge was not executed and will not be. The answer belongs to another
    # order: nothing of it is kept.
    return Refused(
        f"{saw}, for another order",
        _told(KEY_OF_ANOTHER, f"Key {sequence_key} was used for another charge."),
    )


def _stored_answer(executed: KeyExecuted) -> Charged | Declined | None:
    content = executed.answer.encode(errors="replace")
    if executed.executed_status == 201:
        return _parsed(content, Charged)
    declined = _parsed(content, Declined)
    return declined if declined and _slug(declined) in billing.DECLINES else None


def _named_by(answer: Charge | Charged | Declined | KeyExecuted) -> tuple[UUID | None, str, int]:
    """The members that tell charges apart."""
    return answer.order_id, answer.account, answer.amount_cents


def _told(slug: str, detail: str) -> dict[str, Any]:
    return {"type": slug, "detail": detail}


def _undocumented(received: Received) -> Unknown:
    """The answer is not documented, so the request may have been executed."""
    saw = f"HTTP {received.status}"
    if received.media_type == _PROBLEM:
        problem = _parsed(received.content, _Problem)
        saw += f" {problem.type}" if problem else ""
    else:
        saw += f" {received.media_type or 'without a type'}"
    return Unknown(printable(f"{saw}, as no answer is documented"), received.retry_after_s)


def _documented(received: Received, documented: Mapping[str, int]) -> _Problem | None:
    """The problem, when it is one of these, with its status, under a type of the form that the services give theirs."""
    problem = _body(received, _Problem, _PROBLEM)
    if problem is None or problem.status != received.status:
        return None
    slug = _slug(problem)
    return problem if documented.get(slug) == received.status else None


def _slug(problem: _Problem | Declined) -> str:
    """The last part of `/problems/<slug>`; empty when the type is of another form."""
    try:
        url = urlsplit(problem.type)
    except ValueError:
        return ""
    folder, _, slug = url.path.rpartition("/")
    return slug if folder == "/problems" and not url.query and not url.fragment else ""


def _body(received: Received, body: type[Body], media_type: str = _JSON) -> Body | None:
    """The body when it is of this media type and form; None when it is anything else."""
    return _parsed(received.content, body) if received.media_type == media_type else None


def _parsed(content: bytes, body: type[Body]) -> Body | None:
    try:
        json.loads(content, object_pairs_hook=_each_name_once)
        # A later release may send members that this one does not know.
        return body.model_validate_json(content, strict=True, extra="ignore")
    except (ValueError, RecursionError):
        return None


def _each_name_once(members: list[tuple[str, Any]]) -> None:
    """Raises `ValueError` when a name comes twice: which of the two is meant is undefined (RFC 8259, section 4)."""
    if len({name for name, _ in members}) < len(members):
        raise ValueError("a name comes twice")
