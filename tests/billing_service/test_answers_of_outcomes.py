"""Each outcome of a charge as an answer: which problem, in which words, and when to ask again."""

import json
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
import structlog
from fastapi import FastAPI, Request
from pydantic import SecretStr

from billing_service import answers, problems
from billing_service.metrics import Metrics
from billing_service.outcomes import (
    AccountUnknown,
    Answer,
    ChargeOutcome,
    ClientHeld,
    KeyForgotten,
    KeyInFlight,
    KeyReused,
    MarkLeap,
    NeverSeen,
    QueueFull,
    TooLate,
    Voided,
)
from billing_service.process import Billing
from billing_service.settings import Settings
from billing_service.wire import Charge
from service_kit.bounded_pool import DatabaseTrouble, LockWaitTooLong, ReadsFull
from service_kit.problem_details import Problem
from service_kit.problem_details.problem import ProblemType
from tests.billing_service.replica import sample

CHARGE = Charge(order_id=UUID(int=1), account="alice", amount_cents=5)
WAIT = {"Retry-After": "1"}


def answered(outcome: ChargeOutcome, *, retry: bool = False, metrics: Metrics | None = None) -> Any:
    return answers.to_charge(
        outcome, CHARGE, 7, retry=retry, timeout_s=2.5, metrics=metrics or Metrics()
    )


@pytest.mark.parametrize(
    "outcome, kind, detail, headers, members",
    [
        (Voided(), problems.KEY_VOIDED, "Key 7 was voided.", {}, {}),
        (KeyReused(), problems.KEY_REUSED, "Key 7 was used for another charge.", {}, {}),
        (
            KeyForgotten(9),
            problems.KEY_FORGOTTEN,
            "Key 7 lies below first incomplete 9.",
            {},
            {"first_incomplete": 9},
        ),
        (
            KeyInFlight(),
            problems.KEY_IN_FLIGHT,
            "Key 7 is being executed by another request.",
            WAIT,
            {},
        ),
        (AccountUnknown(), problems.ACCOUNT_UNKNOWN, "There is no account alice.", {}, {}),
        (
            TooLate(),
            problems.DEADLINE_PASSED,
            "The caller waits no longer than 2.5 s.",
            WAIT,
            {},
        ),
    ],
)
def test_a_refusal(
    outcome: ChargeOutcome,
    kind: ProblemType,
    detail: str,
    headers: dict[str, str],
    members: dict[str, Any],
) -> None:
    """It names the key or the account; only what may be otherwise soon asks the caller to come again."""
    with pytest.raises(Problem) as refused:
        answered(outcome)
    problem = refused.value
    assert (problem.kind, problem.detail) == (kind, detail)
    assert (problem.headers, problem.extensions) == (headers, members)


@pytest.mark.parametrize("retry", [False, True])
@pytest.mark.parametrize("replayed", [False, True])
@pytest.mark.parametrize(
    "status, media_type", [(201, "application/json"), (402, "application/problem+json")]
)
def test_a_final_answer(status: int, media_type: str, retry: bool, replayed: bool) -> None:
    """It is sent as it was stored, marked when it is a replay, and counted by its flag and by whether the key was known."""
    metrics = Metrics()
    body = f'{{"order_id":"{UUID(int=1)}","account":"alice"}}'
    response = answered(Answer(status, body, replayed), retry=retry, metrics=metrics)
    assert (response.status_code, response.body.decode()) == (status, body)
    assert response.headers["content-type"] == media_type
    assert response.headers.get("Idempotency-Replayed") == ("?1" if replayed else None)
    labels = {"flag": "yes" if retry else "no", "key": "known" if replayed else "new"}
    assert sample(metrics.registry, "billing_charges_total", **labels) == 1


def test_an_old_answer_that_names_no_order() -> None:
    """A replay adds the order of the charge; a new answer stays as it is."""
    body = '{"charge_id":"x","account":"alice"}'
    replayed = answered(Answer(201, body, True)).body.decode()
    assert replayed == f'{{"charge_id":"x","order_id":"{UUID(int=1)}","account":"alice"}}'
    assert answered(Answer(201, body)).body.decode() == body


def test_a_key_in_flight_is_counted() -> None:
    """As a wait for a key that took too long."""
    metrics = Metrics()
    with pytest.raises(Problem):
        answered(KeyInFlight(), metrics=metrics)
    assert sample(metrics.registry, "billing_lock_waits_too_long_total", lock="key") == 1


@pytest.fixture
def billing() -> Billing:
    """One that is never connected."""
    return Billing(
        Settings(
            database_url=SecretStr("postgresql://x:drawn@127.0.0.1:9/x"),
            tokens={"curl": (SecretStr("token-of-client-curl"),)},
        )
    )


def request_of(billing: Billing) -> Request:
    app = FastAPI()
    app.state.process = billing
    return cast(Request, SimpleNamespace(app=app, url=SimpleNamespace(path="/charges")))


def said(response: Any) -> tuple[int, dict[str, Any]]:
    return response.status_code, json.loads(response.body)


async def test_a_mark_that_leaps(billing: Billing) -> None:
    """The refusal says how far it lies above which key."""
    leap = MarkLeap("curl", 900, 100, 700)
    with structlog.testing.capture_logs() as lines:
        status, document = said(await answers.mark_leaps(request_of(billing), leap))
    (line,) = lines
    assert (line["log_level"], line["client"], line["first_incomplete"]) == ("warning", "curl", 900)
    assert status == problems.MARK_LEAP.status
    assert document["detail"] == "900 lies more than 700 above 100."
    assert document["highest_key"] == 100
    assert document["type"].endswith("/problems/mark-leap")
    assert str(leap) == "900 lies more than 700 above 100"


async def test_a_full_queue(billing: Billing) -> None:
    """It is refused in the queue's own words, counted, and may be sent again."""
    response = await answers.overloaded(request_of(billing), QueueFull("103 charges wait."))
    status, document = said(response)
    assert (status, document["detail"]) == (503, "103 charges wait.")
    assert response.headers["Retry-After"] == "1"
    assert document["type"].endswith("/problems/overloaded")
    assert sample(billing.metrics.registry, "billing_charges_shed_total") == 1


@pytest.mark.parametrize(
    "trouble, detail, lock",
    [
        (
            DatabaseTrouble("gone"),
            "The database did not answer in time; the request may or may not have been executed.",
            "",
        ),
        (
            LockWaitTooLong("held"),
            "The database did not answer in time; the request may or may not have been executed.",
            "account",
        ),
        (
            ClientHeld("held"),
            "The database did not answer in time; the request may or may not have been executed.",
            "client",
        ),
        (ReadsFull("full"), "Too many reads are waiting. Nothing was begun.", ""),
    ],
)
async def test_what_may_have_happened(
    billing: Billing, trouble: Exception, detail: str, lock: str
) -> None:
    """503, with when to ask again; a read that was not begun says so; a wait for a lock is counted by its lock.

    All but such a read are logged: under overload, a line for each would add to the load.
    """
    with structlog.testing.capture_logs() as lines:
        response = await answers.unavailable(request_of(billing), trouble)
    line = {"event": "the outcome is unknown", "path": "/charges", "reason": str(trouble)}
    logged = not isinstance(trouble, ReadsFull)
    assert lines == [{**line, "log_level": "warning"}] * logged
    status, document = said(response)
    assert (status, document["detail"]) == (503, detail)
    assert document["type"].endswith("/problems/unavailable")
    assert response.headers["Retry-After"] == "1"
    waits = {
        each: sample(billing.metrics.registry, "billing_lock_waits_too_long_total", lock=each)
        for each in ("account", "client", "key")
    }
    assert waits == {each: float(each == lock) for each in waits}


@pytest.mark.parametrize(
    "outcome, name",
    [(Answer(201, ""), "charged"), (Answer(402, ""), "declined"), (NeverSeen(), "NeverSeen")],
)
def test_the_name_of_an_outcome_in_the_log(outcome: object, name: str) -> None:
    """The state of an answer, or what else became of it."""
    assert answers.name(outcome) == name
