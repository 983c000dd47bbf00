"""The customer's key, read to the letter of RFC 9651."""

import pytest
from fastapi import Request

from order_service import headers
from service_kit.problem_details import Problem


def request(*values: str) -> Request:
    raw = [(b"idempotency-key", value.encode("latin-1")) for value in values]
    return Request({"type": "http", "method": "POST", "path": "/orders", "headers": raw})


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ('"a7f3"', "a7f3"),
        (r'"a\"b\\c"', 'a"b\\c'),
        ('" "', " "),
        ('"k";a=1', "k"),
        ('"' + "x" * 255 + '"', "x" * 255),
    ],
)
def test_a_string_is_a_key(value: str, key: str) -> None:
    """What is between the quotes, unescaped; unknown parameters mean nothing."""
    assert headers.customer_key(request(value)) == key


def test_no_key() -> None:
    """It is optional."""
    assert headers.customer_key(request()) is None


@pytest.mark.parametrize(
    "values",
    [
        ['""'],
        ['"' + "x" * 256 + '"'],
        ["42"],
        ["a7f3"],
        ["?1"],
        [":YTdmMw==:"],
        ['"a'],
        ['"a\xff"'],
        ['"a\x1fb"'],
        ['"a\x85b"'],
        ['%"a%e2%80%aeb"'],
        ['"a", "b"'],
        ['"a"', '"a"'],
        ["'a'"],
        [""],
    ],
)
def test_any_other_key_is_malformed(values: list[str]) -> None:
    """Nothing is guessed at, and a key holds visible ASCII only."""
    with pytest.raises(Problem) as caught:
        headers.customer_key(request(*values))
    assert caught.value.kind.slug == "key-malformed"
