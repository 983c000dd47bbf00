"""A token that would let in more than one client is refused at the start, in one sentence."""

import json
from typing import Any

import pytest
from pydantic import TypeAdapter

import billing_service.settings
import notification_service.settings
import order_service.settings
from service_kit import environment
from service_kit.bearer_tokens import BearerTokens, OptionalTokens, Tokens
from service_kit.environment import EnvironmentSettings

GOOD, OTHER = "a-good-token-0001", "a-good-token-0002"
URL = "postgresql://x:drawn@127.0.0.1/x"
NEEDED = {
    "BILLING_DATABASE_URL": URL,
    "BILLING_TOKENS": json.dumps({"a": GOOD}),
    "NOTIFICATION_DATABASE_URL": URL,
    "NOTIFICATION_TOKENS": json.dumps({"a": GOOD}),
    "ORDER_DATABASE_URL": URL,
    "ORDER_BILLING_URL": "http://127.0.0.1:1",
    "ORDER_BILLING_TOKEN": "order-at-billing-1",
    "ORDER_NOTIFICATION_URL": "http://127.0.0.1:1",
    "ORDER_NOTIFICATION_TOKEN": "order-at-notification-1",
}
RECEIVERS: dict[str, type[EnvironmentSettings]] = {
    "BILLING_TOKENS": billing_service.settings.Settings,
    "NOTIFICATION_TOKENS": notification_service.settings.Settings,
    "ORDER_TOKENS": order_service.settings.Settings,
}
# What stands in the variable, and what is said of it.
REFUSED = {
    '{"a": ""}': "a token of client 1 is empty",
    '{"a": "   "}': "a token of client 1 is empty",
    '{"a": "x"}': "has fewer than 16 characters",
    '{"a": "fifteen-letters"}': "has fewer than 16 characters",
    json.dumps({"a": "x" * 1025}): "has more than 1024 characters",
    '{"a": "a good token 0001"}': "has characters that no bearer token may have",
    '{"a": " a-good-token-0001"}': "has characters that no bearer token may have",
    '{"a": "a-good-token-0001\\n"}': "has characters that no bearer token may have",
    '{"a": "a-good-token\\u0000-0001"}': "has characters that no bearer token may have",
    '{"a": "a-good-token-\\u00e9\\u00e9\\u00e9\\u00e9"}': "has characters that no bearer token may have",
    '{"a": "a-good=token-0001"}': "has characters that no bearer token may have",
    '{"a": "================"}': "has characters that no bearer token may have",
    '{"a": "a-good-token-0001", "b": "a-good-token-0001"}': "client 2 has a token and client 1 has it",
    '{"a": ["a-good-token-0001", "a-good-token-0002"], "b": "a-good-token-0002"}': "client 2 has a token and client 1",
    '{"a": ["a-good-token-0001", "a-good-token-0001"]}': "client 1 has a token twice",
    '{"a": "a-good-token-0001", "a": "a-good-token-0002"}': "client 2 has the name of another one",
    '{"a": "a-good-token-0001", "\\u0061": "a-good-token-0002"}': "client 2 has the name of another one",
    '{"a": []}': "client 1 must have one token or a list of two",
    '{"a": ["a-good-token-0001", "a-good-token-0002", "a-good-token-0003"]}': "one token or a list of two",
    '{"a": ["a-good-token-0001", ""]}': "a token of client 1 is empty",
    '{"a": null}': "a token of client 1 is no string",
    '{"a": 1234567890123456}': "a token of client 1 is no string",
    '{"a": {"b": "a-good-token-0001"}}': "a token of client 1 is no string",
    '{"a": [["a-good-token-0001"]]}': "a token of client 1 is no string",
    '{"": "a-good-token-0001"}': "the name of client 1 must be",
    '{"a b": "a-good-token-0001"}': "the name of client 1 must be",
    '{"-a": "a-good-token-0001"}': "the name of client 1 must be",
    '{"a\\n": "a-good-token-0001"}': "the name of client 1 must be",
    '{"\\u00e9": "a-good-token-0001"}': "the name of client 1 must be",
    json.dumps({"a" * 65: GOOD}): "the name of client 1 must be",
    "{}": "there must be at least one client",
    "[]": "this setting must be a JSON object",
    '"a-good-token-0001"': "this setting must be a JSON object",
    "a-good-token-0001": "this setting must be JSON",
    " ": "this setting must be JSON",
    "[" * 100_000: "this setting must be JSON",
}


def said_by(
    settings: type[EnvironmentSettings],
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> str:
    """What a start says before it ends with exit code 2."""
    for name, value in {**NEEDED, **environ}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        environment.read(settings)
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(("text", "says"), REFUSED.items(), ids=lambda text: text[:60])
@pytest.mark.parametrize("variable", RECEIVERS)
def test_clients_that_are_refused(
    variable: str,
    text: str,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One sentence with the variable, by whichever service; neither the name nor the token, which may be exchanged."""
    said = said_by(RECEIVERS[variable], {variable: text}, monkeypatch, capsys)
    assert said.startswith(f"{variable}: ")
    assert says in said
    assert len(said.splitlines()) == 1
    assert "good" not in said
    assert "fifteen" not in said


@pytest.mark.parametrize("variable", ["BILLING_TOKENS", "NOTIFICATION_TOKENS"])
def test_no_clients_at_all(
    variable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What Compose makes of an unset variable is no list of clients."""
    said = said_by(RECEIVERS[variable], {variable: ""}, monkeypatch, capsys)
    assert said == f"{variable}: this setting must be JSON\n"


@pytest.mark.parametrize("variable", ["ORDER_BILLING_TOKEN", "ORDER_NOTIFICATION_TOKEN"])
@pytest.mark.parametrize(
    "token", ["", " ", "short", "a good token 0001", "a-good-token-0001\r\nX: y"]
)
def test_a_token_that_is_sent(
    variable: str, token: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What no receiver would accept is not sent either: the order would fail, and not the start."""
    said = said_by(order_service.settings.Settings, {variable: token}, monkeypatch, capsys)
    assert said.startswith(f"{variable}: this token ")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        (
            {"ORDER_NOTIFICATION_TOKEN": NEEDED["ORDER_BILLING_TOKEN"]},
            "ORDER_NOTIFICATION_TOKEN is",
        ),
        (
            {"ORDER_TOKENS": json.dumps({"shop": [GOOD, NEEDED["ORDER_BILLING_TOKEN"]]})},
            "ORDER_TOKENS holds a token that is sent",
        ),
        (
            {"ORDER_TOKENS": json.dumps({"shop": NEEDED["ORDER_NOTIFICATION_TOKEN"]})},
            "ORDER_TOKENS holds a token that is sent",
        ),
    ],
    ids=["billing and notification", "orders and billing", "orders and notification"],
)
def test_one_token_for_two_services(
    environ: dict[str, str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A client that may do one could do the other, which is refused where both are known."""
    said = said_by(order_service.settings.Settings, environ, monkeypatch, capsys)
    assert says in said
    assert len(said.splitlines()) == 1
    assert "order-at" not in said


def test_production_without_clients(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """There, order_service places no orders for callers without a token."""
    settings = order_service.settings.Settings
    said = said_by(settings, {"ENVIRONMENT": "production"}, monkeypatch, capsys)
    assert said.startswith("ORDER_TOKENS: this setting is missing")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("where", "tokens"),
    [("development", ""), ("development", {"shop": GOOD}), ("production", {"shop": GOOD})],
)
def test_who_may_place_orders(where: str, tokens: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The counterpart: with clients both start, and without them the development machine does."""
    orders = json.dumps(tokens) if tokens else ""
    for name, value in {**NEEDED, "ORDER_TOKENS": orders, "ENVIRONMENT": where}.items():
        monkeypatch.setenv(name, value)
    assert list(environment.read(order_service.settings.Settings).tokens) == list(tokens)


@pytest.mark.parametrize(
    ("text", "clients"),
    [
        ({"a": GOOD}, {GOOD: "a"}),
        ({"a": [GOOD]}, {GOOD: "a"}),
        ({"a": [GOOD, OTHER]}, {GOOD: "a", OTHER: "a"}),
        ({"a.b-c_d": GOOD, "A": OTHER}, {GOOD: "a.b-c_d", OTHER: "A"}),
        ({"a": "-._~+/0123456789=="}, {"-._~+/0123456789==": "a"}),
        ({"a": "sixteen-letters-"}, {"sixteen-letters-": "a"}),
    ],
    ids=str,
)
def test_clients_that_are_accepted(text: dict[str, Any], clients: dict[str, str]) -> None:
    """The counterpart: one token or two, any b64token of RFC 6750 from 16 characters on."""
    for kind in (Tokens, OptionalTokens):
        known = BearerTokens(TypeAdapter(kind).validate_python(json.dumps(text)))
        assert {token: known.client([f"Bearer {token}"]) for token in clients} == clients


def test_a_token_is_not_shown() -> None:
    """What was read can be logged: its text holds no token."""
    read = TypeAdapter(Tokens).validate_python(json.dumps({"a": [GOOD, OTHER]}))
    assert GOOD not in repr(read)
    assert OTHER not in str(read)
