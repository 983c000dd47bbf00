"""Only what a service documents is believed, and only for the very thing that was asked about."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx
import pytest
from pydantic import SecretStr

import billing_service.app
import billing_service.settings
import notification_service.app
import notification_service.settings
from billing_service import wire as billing
from billing_service.wire import Charge, Charged, Declined, KeyState
from notification_service import wire as notifications
from notification_service.wire import Notification
from order_service import answers
from order_service.answers import Received
from order_service.outcomes import (
    CHARGED_OTHERWISE,
    DECLINED_UNNAMED,
    KEY_OF_ANOTHER,
    VOIDED,
    Acknowledged,
    Outcome,
    Refused,
    Unknown,
    slug_of,
)
from tests.behind import fastapi_behind

MINE, OTHERS = UUID(int=1), UUID(int=2)
CHARGE = Charge(order_id=MINE, account="alice", amount_cents=5)
KEY = 42
NOTIFICATION = Notification(
    notification_id=UUID(int=7), order_id=MINE, customer="alice", text="Your order is billed."
)
JSON, PROBLEM = "application/json", "application/problem+json"


def received(status: int, body: Any, media_type: str = JSON, **headers: str) -> Received:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Received(status, httpx.Headers({"Content-Type": media_type, **named}), content)


def charged(**changes: Any) -> dict[str, Any]:
    body = {
        "charge_id": str(UUID(int=9)),
        "order_id": str(MINE),
        "account": "alice",
        "amount_cents": 5,
        "balance_cents": 95,
    }
    return {name: value for name, value in {**body, **changes}.items() if value is not ...}


def problem(status: int, slug: str, **changes: Any) -> dict[str, Any]:
    body = {"type": f"/problems/{slug}", "title": "t", "status": status, "detail": "d"}
    return {name: value for name, value in {**body, **changes}.items() if value is not ...}


def declined(**changes: Any) -> dict[str, Any]:
    named = {"order_id": str(MINE), "account": "alice", "amount_cents": 5, "balance_cents": 4}
    return problem(402, "insufficient-funds", **{**named, **changes})


def executed(
    answer: dict[str, Any], status: int = 201, outer: dict[str, Any] | None = None
) -> dict[str, Any]:
    named = {name: answer.get(name) for name in ("order_id", "account", "amount_cents")}
    return problem(
        409,
        "key-executed",
        executed_status=status,
        answer=json.dumps(answer),
        **{**named, **(outer or {})},
    )


def of_charge(*arguments: Any, **headers: Any) -> Outcome:
    return answers.of_charge(received(*arguments, **headers), CHARGE)


def of_void(*arguments: Any, **headers: Any) -> Outcome:
    return answers.of_void(received(*arguments, **headers), CHARGE, KEY)


def of_notification(*arguments: Any, **headers: Any) -> Outcome:
    return answers.of_notification(received(*arguments, **headers), NOTIFICATION)


def of_mark(*arguments: Any, **headers: Any) -> Outcome:
    return answers.of_mark(received(*arguments, **headers), KEY)


def with_a_name_twice(body: dict[str, Any], name: str) -> bytes:
    """The same value twice: whoever reads the first and whoever reads the last would see the right one."""
    return (
        json.dumps(body)
        .replace(f'"{name}"', f'"{name}": {json.dumps(body[name])}, "{name}"')
        .encode()
    )


EVERY = pytest.mark.parametrize(
    "judge", [of_charge, of_void, of_notification, of_mark], ids=lambda judge: judge.__name__
)
Judge = Callable[..., Outcome]


def test_a_charge_that_is_named() -> None:
    """201 and 402, with whatever a later release adds to them."""
    assert of_charge(201, charged()) == Acknowledged("HTTP 201", Charged(**charged()))
    assert of_charge(201, charged(currency="EUR")) == Acknowledged("HTTP 201", Charged(**charged()))
    assert of_charge(201, charged(), "Application/JSON; charset=utf-8") == Acknowledged(
        "HTTP 201", Charged(**charged())
    )
    assert of_charge(402, declined(), PROBLEM) == Acknowledged("HTTP 402", Declined(**declined()))
    assert of_charge(402, declined(), PROBLEM, Idempotency_Replayed="?1") == Acknowledged(
        "HTTP 402, replayed", Declined(**declined())
    )


@pytest.mark.parametrize(
    "other", [{"order_id": str(OTHERS)}, {"account": "bob"}, {"amount_cents": 6}], ids=str
)
def test_an_answer_to_another_charge(other: dict[str, Any]) -> None:
    """Whole, documented, and not for this charge: unknown, and named as what it is."""
    for outcome in (
        of_charge(201, charged(**other)),
        of_charge(402, declined(**other), PROBLEM),
    ):
        assert isinstance(outcome, Unknown)
        assert outcome.misdirected


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"created": True},
        [],
        None,
        b"",
        b"{",
        b"<html>",
        b"[" * 60_000,
        b"\xff\xfe{}",
        json.dumps(charged()).encode("utf-16"),
        json.dumps(charged()).encode()[:-1],
        json.dumps(charged()).encode() * 2,
        # Which of the two is meant is undefined.
        json.dumps(charged()).replace('"order_id"', f'"order_id": "{OTHERS}", "order_id"').encode(),
        charged(charge_id="x"),
        charged(charge_id=None),
        charged(order_id=...),
        charged(order_id=None),
        charged(account=...),
        charged(amount_cents="5"),
        charged(amount_cents=5.0),
        charged(amount_cents=True),
        charged(balance_cents=...),
    ],
    ids=lambda body: str(body)[:60],
)
def test_a_201_that_is_not_whole(body: Any) -> None:
    """A field that is missing or of another type: it may have been executed, and it may not."""
    outcome = of_charge(201, body)
    assert isinstance(outcome, Unknown)
    assert not outcome.misdirected


def test_an_answer_with_a_name_twice() -> None:
    """Which of the two is meant is undefined, in the answer to whatever request: nothing is settled by it, and no key is forgotten."""
    voided = {"sequence_key": KEY, "state": "voided", "status": None, "answer": None}
    shown = {"notification_id": str(NOTIFICATION.notification_id)}
    refused = problem(404, "account-unknown")
    stored = executed(charged())
    stored["answer"] = with_a_name_twice(charged(), "order_id").decode()
    for outcome in (
        of_charge(201, with_a_name_twice(charged(), "order_id")),
        of_charge(402, with_a_name_twice(declined(), "amount_cents"), PROBLEM),
        of_charge(404, with_a_name_twice(refused, "type"), PROBLEM),
        of_void(200, with_a_name_twice(voided, "state")),
        of_void(409, stored, PROBLEM),
        of_mark(202, with_a_name_twice({"first_incomplete": KEY}, "first_incomplete")),
        of_notification(202, with_a_name_twice(shown, "notification_id")),
    ):
        assert isinstance(outcome, Unknown)


def test_a_problem_without_a_type() -> None:
    """It has no name, so nothing is concluded from it."""
    for answer in (None, {}, {"detail": "d"}):
        assert slug_of(answer) == ""
    assert slug_of({"type": "/problems/key-reused"}) == slug_of({"type": KEY_OF_ANOTHER})


@EVERY
@pytest.mark.parametrize("status", [200, 201, 202, 204, 301, 302, 303, 304, 307, 308, 500, 502])
@pytest.mark.parametrize("media_type", ["", "text/html", JSON, PROBLEM])
def test_an_undocumented_success(judge: Judge, status: int, media_type: str) -> None:
    """A login page, a health check, an empty body."""
    for body in ({}, {"status": "ok"}, b"", b"<html>"):
        assert isinstance(judge(status, body, media_type), Unknown)


@EVERY
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 409, 410, 413, 415, 422, 429])
@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        ({"message": "no Route matched with those values"}, JSON),
        ({"error": {"code": 1}}, JSON),
        (b"<html>", "text/html"),
        (b"", ""),
        (problem(0, "about:blank", type="about:blank"), PROBLEM),
        ({"title": "Forbidden"}, PROBLEM),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_undocumented_refusal(judge: Judge, status: int, body: Any, media_type: str) -> None:
    """A gateway, in whatever JSON."""
    if isinstance(body, dict) and "status" in body:
        body = {**body, "status": status}
    assert isinstance(judge(status, body, media_type), Unknown)


@EVERY
@pytest.mark.parametrize("status", [400, 401, 404, 405, 409, 410, 413, 422, 500])
def test_a_problem_that_the_service_does_not_give_here(judge: Judge, status: int) -> None:
    """Of the same family (another service behind the same balancer) and not documented for the request."""
    for slug in ("not-found", "method-not-allowed", "order-unknown", "internal", "key-Reused", ""):
        assert isinstance(judge(status, problem(status, slug), PROBLEM), Unknown)


@pytest.mark.parametrize("slug", sorted(billing.REFUSALS))
def test_a_refusal_of_billing(slug: str) -> None:
    """Definite under its own status, media type and place; under any other it is not billing's."""
    status = billing.REFUSALS[slug]
    own = problem(status, slug)
    assert of_charge(status, own, PROBLEM) == Refused(f"HTTP {status} {slug}", own)
    absolute = problem(status, slug, type=f"https://billing.example:8443/problems/{slug}")
    assert isinstance(of_charge(status, absolute, PROBLEM), Refused)
    assert isinstance(of_charge(status, {**own, "errors": [], "instance": "/x"}, PROBLEM), Refused)
    for status_sent, body, media_type in (
        (status, own, JSON),
        (status, own, "text/html"),
        (status, {**own, "status": 418}, PROBLEM),
        (status, {**own, "status": str(status)}, PROBLEM),
        (418, own, PROBLEM),
        (418, {**own, "status": 418}, PROBLEM),
        (status, {**own, "type": slug}, PROBLEM),
        (status, {**own, "type": f"/errors/{slug}"}, PROBLEM),
        (status, {**own, "type": f"/x/problems/{slug}"}, PROBLEM),
        (status, {**own, "type": f"/problems/{slug}/"}, PROBLEM),
        (status, {**own, "type": f"/problems/{slug}?x"}, PROBLEM),
        (status, {**own, "type": f"/problems/{slug}#x"}, PROBLEM),
        (status, {**own, "type": f"//[/problems/{slug}"}, PROBLEM),
        (status, problem(status, slug, detail=...), PROBLEM),
        (status, problem(status, slug, title=...), PROBLEM),
        # Postgres could not store it.
        (status, {**own, "detail": "a\x00b"}, PROBLEM),
        (status, json.dumps({**own, "detail": "?"}).replace("?", "\\ud800").encode(), PROBLEM),
    ):
        assert isinstance(of_charge(status_sent, body, media_type), Unknown), (body, media_type)


@pytest.mark.parametrize("slug", sorted(billing.NOT_YET))
def test_what_billing_cannot_answer_yet(slug: str) -> None:
    """Unknown, with its wish."""
    status = billing.NOT_YET[slug]
    outcome = of_charge(status, problem(status, slug), PROBLEM, Retry_After="2")
    assert outcome == Unknown(f"HTTP {status} {slug}", 2.0)


@pytest.mark.parametrize("body", [declined(order_id=...), declined(balance_cents="4")], ids=str)
def test_a_402_that_is_not_whole(body: dict[str, Any]) -> None:
    """An older billing_service names no order: it is asked again until a newer one answers."""
    assert isinstance(of_charge(402, body, PROBLEM), Unknown)


def test_a_voided_key() -> None:
    """The state of this very key, and nothing else."""
    own = {"sequence_key": KEY, "state": "voided", "status": None, "answer": None}
    outcome = of_void(200, own)
    assert outcome == Refused("HTTP 200 voided", {"type": VOIDED, "detail": "The key was voided."})
    for body in (
        {**own, "sequence_key": KEY + 1},
        {**own, "sequence_key": str(KEY)},
        {**own, "state": "never_seen"},
        {**own, "state": "charged"},
        {"state": "voided"},
        {"sequence_key": KEY},
    ):
        assert isinstance(of_void(200, body), Unknown), body
    assert isinstance(of_void(200, own, "text/plain"), Unknown)
    assert isinstance(of_void(202, own), Unknown)


def test_an_executed_key() -> None:
    """The stored answer counts as if it had come at once, when it is for this charge."""
    assert of_void(409, executed(charged()), PROBLEM) == Acknowledged(
        "HTTP 409 key-executed", Charged(**charged())
    )
    assert of_void(409, executed(declined(), 402), PROBLEM) == Acknowledged(
        "HTTP 409 key-executed", Declined(**declined())
    )


@pytest.mark.parametrize(
    ("answer", "status"),
    [(charged(order_id=str(OTHERS)), 201), (declined(order_id=str(OTHERS)), 402)],
    ids=["charged", "declined"],
)
def test_a_key_that_was_executed_for_another_order(answer: dict[str, Any], status: int) -> None:
    """A fact about this charge: it never was and never will be executed. Nothing of the other order is kept."""
    outcome = of_void(409, executed(answer, status), PROBLEM)
    assert outcome == Refused(
        "HTTP 409 key-executed, for another order",
        {"type": KEY_OF_ANOTHER, "detail": "Key 42 was used for another charge."},
    )


@pytest.mark.parametrize("other", [{"account": "bob"}, {"amount_cents": 6}], ids=str)
def test_a_key_that_was_executed_otherwise(other: dict[str, Any]) -> None:
    """This order and another amount: neither billed nor nothing. The record says so to the person who has to look."""
    outcome = of_void(409, executed(charged(**other)), PROBLEM)
    assert outcome == Refused(
        "HTTP 409 key-executed, otherwise",
        {
            "type": CHARGED_OTHERWISE,
            "detail": "Key 42 was executed for this order with another account or amount.",
        },
    )


@pytest.mark.parametrize(
    "body",
    [
        executed(charged(order_id=...)),
        executed(charged(), outer={"order_id": None}),
        executed(charged(), outer={"order_id": str(OTHERS)}),
        executed(charged(order_id=str(OTHERS)), outer={"order_id": str(MINE)}),
        executed(charged(), outer={"amount_cents": 6}),
        executed(charged(), 402),
        {**executed(charged(order_id=...), 402), "account": None},
        executed(declined(), 201),
        executed(declined(type="/problems/other"), 402),
        executed(charged(), 410),
        {**executed(charged()), "answer": "no JSON"},
        {**executed(charged()), "answer": charged()},
        {**executed(charged()), "executed_status": "201"},
        problem(409, "key-executed"),
    ],
    ids=lambda body: str(body)[-90:],
)
def test_an_executed_key_that_does_not_say_for_what(body: dict[str, Any]) -> None:
    """Neither an answer nor a refusal: the charge is sent again, and billing compares its payload."""
    assert of_void(409, body, PROBLEM) in (
        Unknown("HTTP 409 key-executed, for a charge that is not named"),
        # It is not whole.
        Unknown("HTTP 409 /problems/key-executed, as no answer is documented"),
    )


def test_an_old_decline_that_names_no_order() -> None:
    """No money moved under this key, whichever order it was for; no more is known."""
    outcome = of_void(409, executed(declined(order_id=...), 402), PROBLEM)
    assert outcome == Refused(
        "HTTP 409 key-executed, declined for an order that is not named",
        {"type": DECLINED_UNNAMED, "detail": "Key 42 was declined."},
    )


def test_a_key_that_cannot_be_voided() -> None:
    """Forgotten is a fact; whatever else billing says here says nothing about the key."""
    outcome = of_void(410, problem(410, "key-forgotten"), PROBLEM)
    assert outcome == Refused("HTTP 410 key-forgotten", problem(410, "key-forgotten"))
    for slug, status in billing.NOT_VOIDED.items():
        outcome = of_void(status, problem(status, slug), PROBLEM, Retry_After="3")
        assert outcome == Unknown(f"HTTP {status} {slug}", 3.0)
    # Documented for a charge, and not here.
    assert isinstance(of_void(404, problem(404, "account-unknown"), PROBLEM), Unknown)
    assert isinstance(of_void(410, problem(410, "key-voided"), PROBLEM), Unknown)


def test_a_mark_that_was_heard() -> None:
    """Exactly this one."""
    assert of_mark(202, {"first_incomplete": KEY}) == Acknowledged("HTTP 202", None)
    assert isinstance(of_mark(202, {"first_incomplete": KEY - 1}), Unknown)
    assert isinstance(of_mark(200, {"first_incomplete": KEY}), Unknown)


def test_a_notification_that_was_shown() -> None:
    """Exactly this one; refused only in the words of notification_service."""
    own = {"notification_id": str(NOTIFICATION.notification_id)}
    assert of_notification(202, own) == Acknowledged("HTTP 202", None)
    for status, body in (
        (202, {"notification_id": str(MINE)}),
        (202, {}),
        (200, own),
        (201, own),
        (204, b""),
    ):
        assert isinstance(of_notification(status, body), Unknown)
    for slug, status in notifications.REFUSALS.items():
        refused = of_notification(status, problem(status, slug), PROBLEM)
        assert isinstance(refused, Refused)
        assert isinstance(of_notification(status, problem(status, slug)), Unknown)
    assert isinstance(of_notification(404, problem(404, "account-unknown"), PROBLEM), Unknown)


@pytest.mark.parametrize(
    ("wish", "seconds"),
    [("0", 0.0), ("7", 7.0), ("9" * 5000, 86_400.0), ("-1", 0.0), ("1.5", 0.0), ("soon", 0.0)],
    ids=lambda value: str(value)[:20],
)
def test_a_wish_is_a_number_of_seconds(wish: str, seconds: float) -> None:
    """Whatever is written there, the caller can reckon with it."""
    outcome = of_charge(503, problem(503, "unavailable"), PROBLEM, Retry_After=wish)
    assert isinstance(outcome, Unknown)
    assert outcome.retry_after_s == seconds


def published(app: Any, path: str, method: str) -> dict[str, int]:
    """The problems that a service documents for a request, from its OpenAPI document: slug to status."""
    found: dict[str, int] = {}
    for status, response in (
        fastapi_behind(app).openapi()["paths"][path][method]["responses"].items()
    ):
        words, _, slugs = response["description"].partition("Problem: ")
        if not words:
            found |= dict.fromkeys(slugs.split(" or "), int(status))
    return found


def test_the_wire_lists_what_billing_publishes() -> None:
    """Each problem of a charge and of a voiding is in just one list, with its status; and no other is."""
    app = billing_service.app.create(
        billing_service.settings.Settings(database_url=_URL, tokens=_TOKENS)
    )
    assert published(app, "/charges", "post") == {
        **billing.DECLINES,
        **billing.REFUSALS,
        **billing.NOT_YET,
    }
    assert len({*billing.DECLINES, *billing.REFUSALS, *billing.NOT_YET}) == sum(
        map(len, (billing.DECLINES, billing.REFUSALS, billing.NOT_YET))
    )
    assert published(app, "/charges/{sequence_key}", "delete") == {
        **billing.KEY_EXECUTED,
        **billing.KEY_FORGOTTEN,
        **billing.NOT_VOIDED,
    }


def test_the_wire_lists_what_notification_publishes() -> None:
    """The same; 503 means that it may have been shown."""
    app = notification_service.app.create(
        notification_service.settings.Settings(database_url=_URL, tokens=_TOKENS)
    )
    assert published(app, "/notifications", "post") == {
        **notifications.REFUSALS,
        "unavailable": 503,
    }


def test_a_key_state_is_documented() -> None:
    """What stands in for a real answer above has the form of the wire."""
    assert KeyState(sequence_key=KEY, state="voided").model_dump() == {
        "sequence_key": KEY,
        "state": "voided",
        "status": None,
        "answer": None,
    }


_URL = SecretStr("postgresql://nobody@127.0.0.1:1/none")
_TOKENS = {"order_service": (SecretStr("token-of-order_service"),)}


@pytest.mark.parametrize(
    ("body", "media_type", "named"),
    [
        (b"{}", JSON, " application/json"),
        (b"", "", " without a type"),
        (problem(500, "x", type="about:blank"), PROBLEM, " about:blank"),
        (b"{}", PROBLEM, ""),
    ],
)
def test_what_an_undocumented_answer_is_called(body: Any, media_type: str, named: str) -> None:
    """In the record of the attempt: its status, and what it says that it is."""
    expected = Unknown(f"HTTP 500{named}, as no answer is documented")
    assert of_charge(500, body, media_type) == expected


def test_what_voiding_tells() -> None:
    """Of each key that was not executed for this charge: what the caller saw, and why, in a sentence."""
    voided = {"sequence_key": KEY, "state": "voided", "status": None, "answer": None}
    of_another = executed(charged(order_id=str(OTHERS)))
    unnamed = executed(declined(order_id=None), 402)
    for body, status, media_type, saw, slug, detail in (
        (voided, 200, JSON, "HTTP 200 voided", VOIDED, "The key was voided."),
        (
            of_another,
            409,
            PROBLEM,
            "HTTP 409 key-executed, for another order",
            KEY_OF_ANOTHER,
            "Key 42 was used for another charge.",
        ),
        (
            executed(charged(account="bob")),
            409,
            PROBLEM,
            "HTTP 409 key-executed, otherwise",
            CHARGED_OTHERWISE,
            "Key 42 was executed for this order with another account or amount.",
        ),
        (
            unnamed,
            409,
            PROBLEM,
            "HTTP 409 key-executed, declined for an order that is not named",
            DECLINED_UNNAMED,
            "Key 42 was declined.",
        ),
    ):
        expected = Refused(saw, {"type": slug, "detail": detail})
        assert of_void(status, body, media_type) == expected


def test_what_an_outcome_does_not_say() -> None:
    """Without an answer none is made up, and without a wish the caller may come back at once."""
    assert (Acknowledged("").answer, Refused("").answer) == (None, None)
    assert (Unknown("").retry_after_s, Unknown("").misdirected) == (0.0, False)
