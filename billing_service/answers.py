"""Turns the outcomes and errors of `billing_service/outcomes.py` into HTTP answers.

Guarantee: an answer says 503 `unavailable` when the withdrawal may have happened, and no other problem leaves that open.
"""

from typing import Literal, cast

import structlog
from fastapi import Request, Response

from billing_service import problems, stored_answers
from billing_service.metrics import Metrics
from billing_service.outcomes import (
    CHARGED,
    DECLINED,
    AccountUnknown,
    Answer,
    ChargeOutcome,
    ClientHeld,
    KeyForgotten,
    KeyInFlight,
    KeyReused,
    MarkLeap,
    TooLate,
    Voided,
)
from billing_service.process import Billing
from billing_service.wire import REPLAYED_HEADER, Charge
from service_kit import problem_details
from service_kit.bounded_pool import LockWaitTooLong, ReadsFull
from service_kit.problem_details import Problem
from service_kit.problem_details.problem import MEDIA_TYPE

log = structlog.get_logger()

# A caller that meets a lock or a failing database retries after this time: most restarts take longer, most locks less.
RETRY_AFTER_S = 1
TOO_MANY_READS = "Too many reads are waiting. Nothing was begun."
STATES: dict[int, Literal["charged", "declined"]] = {CHARGED: "charged", DECLINED: "declined"}

_MEDIA_TYPES = {CHARGED: "application/json", DECLINED: MEDIA_TYPE}


def to_charge(
    outcome: ChargeOutcome,
    charge: Charge,
    sequence_key: int,
    *,
    retry: bool,
    timeout_s: float | None,
    metrics: Metrics,
) -> Response:
    """The answer to a charge; raises the `Problem` of a refusal."""
    match outcome:
        case Answer(status, body, replayed):
            # The pair is a diagnosis; see the table in docs/protocol.md.
            metrics.charges_by[retry, replayed].inc()
            return Response(
                # A replayed answer was stored for a charge with the same fingerprint, and therefore for the same order.
                stored_answers.naming(charge.order_id, body) if replayed else body,
                status_code=status,
                media_type=_MEDIA_TYPES[status],
                headers={REPLAYED_HEADER: "?1"} if replayed else None,
            )
        case Voided():
            raise Problem(problems.KEY_VOIDED, f"Key {sequence_key} was voided.")
        case KeyReused():
            raise Problem(problems.KEY_REUSED, f"Key {sequence_key} was used for another charge.")
        case KeyForgotten(first_incomplete):
            raise forgotten(sequence_key, first_incomplete)
        case KeyInFlight():
            metrics.lock_waits.labels(lock="key").inc()
            raise in_flight(sequence_key)
        case AccountUnknown():
            raise Problem(problems.ACCOUNT_UNKNOWN, f"There is no account {charge.account}.")
        case TooLate():
            raise Problem(
                problems.DEADLINE_PASSED,
                f"The caller waits no longer than {timeout_s:g} s.",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )


def forgotten(sequence_key: int, first_incomplete: int) -> Problem:
    return Problem(
        problems.KEY_FORGOTTEN,
        f"Key {sequence_key} lies below first incomplete {first_incomplete}.",
        first_incomplete=first_incomplete,
    )


def in_flight(sequence_key: int) -> Problem:
    return Problem(
        problems.KEY_IN_FLIGHT,
        f"Key {sequence_key} is being executed by another request.",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def name(outcome: object) -> str:
    """An outcome's name in the log: the state of an answer, or the class."""
    return STATES[outcome.status] if isinstance(outcome, Answer) else type(outcome).__name__


async def mark_leaps(request: Request, exc: Exception) -> Response:
    """The answer to `MarkLeap`."""
    leap = cast(MarkLeap, exc)
    log.warning(
        "refused a mark that leaps", client=leap.client, first_incomplete=leap.first_incomplete
    )
    return _answer(
        request,
        Problem(
            problems.MARK_LEAP,
            f"{leap.first_incomplete} lies more than {leap.leap_max} above {leap.highest_key}.",
            highest_key=leap.highest_key,
        ),
    )


async def overloaded(request: Request, exc: Exception) -> Response:
    """The answer to `QueueFull`."""
    _billing(request).metrics.charges_shed.inc()
    return _answer(
        request,
        Problem(problems.OVERLOADED, str(exc), headers={"Retry-After": str(RETRY_AFTER_S)}),
    )


async def unavailable(request: Request, exc: Exception) -> Response:
    """The answer to `DatabaseTrouble` and `LockWaitTooLong`."""
    # Under overload, a log line for each refused read would add to the load.
    if not isinstance(exc, ReadsFull):
        log.warning("the outcome is unknown", path=request.url.path, reason=str(exc))
    if isinstance(exc, LockWaitTooLong):
        lock = "client" if isinstance(exc, ClientHeld) else "account"
        _billing(request).metrics.lock_waits.labels(lock=lock).inc()
    return _answer(
        request,
        Problem(
            problems.UNAVAILABLE,
            TOO_MANY_READS
            if isinstance(exc, ReadsFull)
            else "The database did not answer in time; the request may or may not have been executed.",
            headers={"Retry-After": str(RETRY_AFTER_S)},
        ),
    )


def _answer(request: Request, problem: Problem) -> Response:
    return problem_details.answer(_billing(request).catalogue, problem)


def _billing(request: Request) -> Billing:
    billing: Billing = request.app.state.process
    return billing
