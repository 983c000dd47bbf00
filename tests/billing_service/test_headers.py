"""The idempotency headers, read to the letter of RFC 9651."""

import re
from typing import Any

import pytest
from fastapi import Request

from billing_service import headers
from billing_service.wire import SEQUENCE_KEY_MAX
from service_kit.problem_details import Problem
from tests.service_kit.strict_input.spellings import OF_42


def sent(*lines: tuple[str, str]) -> headers.Lines:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in lines]
    return headers.lines(
        Request({"type": "http", "method": "POST", "path": "/charges", "headers": raw})
    )


@pytest.mark.parametrize("value", ['"1"', '"42"', '"999999999999999"', '  "7"  ', '"7";a=1'])
def test_a_quoted_decimal_is_a_key(value: str) -> None:
    """The draft's own form, an RFC 9651 String, is understood; unknown parameters mean nothing."""
    key = headers.sequence_key(sent(("Idempotency-Key", value)))
    assert key == int(value.split('"')[1])


@pytest.mark.parametrize(
    "value",
    [
        "42",
        '""',
        '"0"',
        '"-1"',
        '"+1"',
        '"007"',
        '"1.0"',
        '"1e3"',
        '" 1"',
        '"1000000000000000"',
        '"٤٢"',
        '"abc"',
        "abc",
        '"1", "2"',
        '"1',
        ":MQ==:",
        "?1",
        "",
    ],
)
def test_any_other_key_is_malformed(value: str) -> None:
    """Nothing is guessed at: a key has one form only, so it cannot have two names."""
    encoded = value.encode("utf-8").decode("latin-1")
    with pytest.raises(Problem) as caught:
        headers.sequence_key(sent(("Idempotency-Key", encoded)))
    assert caught.value.kind.slug == "key-malformed"
    assert caught.value.detail in (
        'Idempotency-Key must be in double quotes, and once: Idempotency-Key: "42".',
        "Idempotency-Key must be a decimal integer from 1 to 999999999999999 in double quotes.",
    )


def test_two_keys_are_malformed() -> None:
    """Two header lines are one list (RFC 9110), and a list names no single charge."""
    with pytest.raises(Problem) as caught:
        headers.sequence_key(sent(("Idempotency-Key", '"1"'), ("Idempotency-Key", '"1"')))
    assert caught.value.kind.slug == "key-malformed"


def test_the_usual_key_needs_no_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line in the canonical form is a key as it is; any other form is parsed."""
    monkeypatch.setattr("service_kit.structured_fields.item", lambda _: None)
    assert headers.sequence_key(sent(("Idempotency-Key", '"42"'))) == 42
    with pytest.raises(Problem):
        headers.sequence_key(sent(("Idempotency-Key", ' "42"')))


def test_no_key_is_missing() -> None:
    """The draft asks for 400 when a required key is missing; the answer shows how it is sent."""
    with pytest.raises(Problem) as caught:
        headers.sequence_key(sent())
    assert caught.value.kind.slug == "key-missing"
    assert caught.value.kind.status == 400
    assert caught.value.detail == ('Send the header Idempotency-Key: "<decimal integer from 1>".')


@pytest.mark.parametrize(("value", "flag"), [("?1", True), ("?0", False)])
def test_the_flag_is_a_boolean(value: str, flag: bool) -> None:
    """RFC 9651 writes true as ?1."""
    assert headers.retry_flag(sent(("Idempotency-Retry", value))) is flag


def test_the_flag_is_down_when_absent() -> None:
    """Its default is ?0."""
    assert headers.retry_flag(sent()) is False


@pytest.mark.parametrize("value", ["1", "true", "?2", '"?1"', ""])
def test_any_other_flag_is_malformed(value: str) -> None:
    """The flag is evidence, so it is not guessed at."""
    with pytest.raises(Problem) as caught:
        headers.retry_flag(sent(("Idempotency-Retry", value)))
    assert caught.value.kind.slug == "header-malformed"
    assert caught.value.detail in (
        "Idempotency-Retry is not an RFC 9651 item.",
        "Idempotency-Retry must be ?0 or ?1.",
    )


@pytest.mark.parametrize(
    "value",
    [
        "0",
        "-1",
        "1.5",
        '"5"',
        "1000000000000000",
        "x",
        "007",
        "0042",
        "00",
        "+7",
        "7_0",
        "7, 7",
        "?1",
        "",
    ],
)
def test_any_other_mark_is_malformed(value: str) -> None:
    """First incomplete is an RFC 9651 Integer from 1."""
    with pytest.raises(Problem) as caught:
        headers.first_incomplete(sent(("Idempotency-First-Incomplete", value)))
    assert caught.value.kind.slug == "header-malformed"
    assert caught.value.detail in (
        "Idempotency-First-Incomplete is not an RFC 9651 item.",
        "Idempotency-First-Incomplete must be an integer from 1 without leading zeros.",
    )


def test_the_mark_is_an_integer() -> None:
    """37 means that all keys below 37 are settled."""
    assert headers.first_incomplete(sent(("Idempotency-First-Incomplete", "37"))) == 37


def test_a_mark_given_twice_is_malformed() -> None:
    """Two lines are a list, also when they are equal."""
    with pytest.raises(Problem) as caught:
        headers.first_incomplete(
            sent(("Idempotency-First-Incomplete", "7"), ("Idempotency-First-Incomplete", "7"))
        )
    assert caught.value.kind.slug == "header-malformed"


@pytest.mark.parametrize(
    ("value", "seconds"), [("2", 2.0), ("2.0", 2.0), ("0.5", 0.5), ("3600", 3600.0)]
)
def test_the_timeout_is_a_number_of_seconds(value: str, seconds: float) -> None:
    """An Integer or a Decimal; absent it means that the caller waits for ever."""
    assert headers.timeout_s(sent(("Request-Timeout", value))) == seconds
    assert headers.timeout_s(sent()) is None


@pytest.mark.parametrize(
    "value",
    ["0", "0.0", "-1", "02", "00.5", "02.0", "2.0000", "3600.1", "999999999999999", "1e3", "inf", "nan", '"2"', "?1", "", "2, 2"],
)  # fmt: skip
def test_any_other_timeout_is_malformed(value: str) -> None:
    """What is documented is enforced: above 0, at most an hour, one spelling of the whole seconds."""
    with pytest.raises(Problem) as caught:
        headers.timeout_s(sent(("Request-Timeout", value)))
    assert caught.value.kind.slug == "header-malformed"
    assert caught.value.detail in (
        "Request-Timeout is not an RFC 9651 item.",
        "Request-Timeout must be a number of seconds above 0 and at most 3600.",
    )


@pytest.mark.parametrize(
    "value", ["42", "abc", "8e03978e-40d5-43e8-bc93-6894a57f9324", "4 2", "'42'"]
)
def test_a_key_without_quotes(value: str) -> None:
    """The mistake that is made most: the answer says what is missing."""
    with pytest.raises(Problem) as caught:
        headers.sequence_key(sent(("Idempotency-Key", value)))
    assert caught.value.kind.slug == "key-malformed"
    assert "in double quotes" in caught.value.detail


def test_another_header_that_is_malformed() -> None:
    """The answer names the header."""
    with pytest.raises(Problem) as caught:
        headers.retry_flag(sent(("Idempotency-Retry", "yes, please")))
    assert caught.value.kind.slug == "header-malformed"
    assert "Idempotency-Retry" in caught.value.detail


def test_what_is_published_is_what_is_enforced() -> None:
    """The bounds of the OpenAPI document are those of the functions."""
    schemas: dict[str, Any] = {str(each["name"]): each["schema"] for each in headers.PARAMETERS}
    mark = schemas["Idempotency-First-Incomplete"]
    for value in (mark["minimum"], mark["maximum"]):
        assert headers.first_incomplete(sent(("Idempotency-First-Incomplete", str(value)))) == value
    assert schemas["Request-Timeout"]["maximum"] == headers.TIMEOUT_S_MAX
    assert mark["maximum"] == SEQUENCE_KEY_MAX
    key = re.compile(schemas["Idempotency-Key"]["pattern"])
    for text in (*OF_42, "1", "42", str(SEQUENCE_KEY_MAX), str(SEQUENCE_KEY_MAX + 1), "0"):
        line = f'"{text}"'.encode().decode("latin-1")
        try:
            headers.sequence_key(sent(("Idempotency-Key", line)))
        except Problem:
            accepted = False
        else:
            accepted = True
        assert accepted == (key.fullmatch(line) is not None)
