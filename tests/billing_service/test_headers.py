"""The idempotency headers, read to the letter of RFC 9651."""

import pytest
from fastapi import Request

from billing_service import headers
from problem_details import Problem


def request(*lines: tuple[str, str]) -> Request:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in lines]
    return Request({"type": "http", "method": "POST", "path": "/charges", "headers": raw})


@pytest.mark.parametrize("value", ['"1"', '"42"', '"999999999999999"', '  "7"  ', '"7";a=1'])
def test_a_quoted_decimal_is_a_key(value: str) -> None:
    """The draft's own form, an RFC 9651 String, is understood; unknown parameters mean nothing."""
    key = headers.sequence_key(request(("Idempotency-Key", value)))
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
        headers.sequence_key(request(("Idempotency-Key", encoded)))
    assert caught.value.kind.slug == "key-malformed"


def test_two_keys_are_malformed() -> None:
    """Two header lines are one list (RFC 9110), and a list names no single charge."""
    with pytest.raises(Problem) as caught:
        headers.sequence_key(request(("Idempotency-Key", '"1"'), ("Idempotency-Key", '"1"')))
    assert caught.value.kind.slug == "key-malformed"


def test_no_key_is_missing() -> None:
    """The draft asks for 400 when a required key is missing."""
    with pytest.raises(Problem) as caught:
        headers.sequence_key(request())
    assert caught.value.kind.slug == "key-missing"
    assert caught.value.kind.status == 400


@pytest.mark.parametrize(("value", "flag"), [("?1", True), ("?0", False)])
def test_the_flag_is_a_boolean(value: str, flag: bool) -> None:
    """RFC 9651 writes true as ?1."""
    assert headers.retry_flag(request(("Idempotency-Retry", value))) is flag


def test_the_flag_is_down_when_absent() -> None:
    """Its default is ?0."""
    assert headers.retry_flag(request()) is False


@pytest.mark.parametrize("value", ["1", "true", "?2", '"?1"', ""])
def test_any_other_flag_is_malformed(value: str) -> None:
    """The flag is evidence, so it is not guessed at."""
    with pytest.raises(Problem) as caught:
        headers.retry_flag(request(("Idempotency-Retry", value)))
    assert caught.value.kind.slug == "header-malformed"


@pytest.mark.parametrize("value", ["0", "-1", "1.5", '"5"', "1000000000000000", "x"])
def test_any_other_mark_is_malformed(value: str) -> None:
    """First incomplete is an RFC 9651 Integer from 1."""
    with pytest.raises(Problem) as caught:
        headers.first_incomplete(request(("Idempotency-First-Incomplete", value)))
    assert caught.value.kind.slug == "header-malformed"


def test_the_mark_is_an_integer() -> None:
    """37 means that all keys below 37 are settled."""
    assert headers.first_incomplete(request(("Idempotency-First-Incomplete", "37"))) == 37
