"""Reads the idempotency headers of a charge: RFC 9651 structured fields, read strictly.

Guarantee: a header that is not exactly as documented is refused, never guessed. A key has one spelling (decimal, no leading
zero, in double quotes), and so has a mark, so two spellings never name the same key.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal

from fastapi import Request

from billing_service.problems import HEADER_MALFORMED, KEY_MALFORMED, KEY_MISSING
from billing_service.wire import (
    FIRST_INCOMPLETE_HEADER,
    KEY_HEADER,
    RETRY_HEADER,
    SEQUENCE_KEY_MAX,
    TIMEOUT_HEADER,
)
from service_kit import structured_fields
from service_kit.problem_details import Problem, ProblemType
from service_kit.structured_fields import MalformedItem

# For the OpenAPI document; the functions below are what is enforced.
PARAMETERS = [
    {
        "in": "header",
        "name": KEY_HEADER,
        "required": True,
        "description": "the sequence key: an RFC 9651 String that holds a decimal integer from 1",
        "schema": {"type": "string", "pattern": '^"[1-9][0-9]{0,14}"$'},
        "example": '"42"',
    },
    {
        "in": "header",
        "name": RETRY_HEADER,
        "required": False,
        "description": "the retry flag: an RFC 9651 Boolean; evidence only; correctness does not depend on it",
        "schema": {"type": "string", "enum": ["?0", "?1"], "default": "?0"},
    },
    {
        "in": "header",
        "name": FIRST_INCOMPLETE_HEADER,
        "required": False,
        "description": "all keys below are settled for this client: an RFC 9651 Integer from 1",
        "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999_999_999},
    },
    {
        "in": "header",
        "name": TIMEOUT_HEADER,
        "required": False,
        "description": "seconds that the caller will wait from now on: an RFC 9651 Decimal above 0",
        "schema": {"type": "number", "exclusiveMinimum": 0, "maximum": 3600},
    },
]

# One hour, far longer than any caller waits; `PARAMETERS` publishes it.
TIMEOUT_S_MAX = 3600

_DECIMAL = re.compile(r"[1-9][0-9]{0,14}")
_QUOTED_DECIMAL = re.compile(r'"[1-9][0-9]{0,14}"')

# The lines of each header that was sent, by its name in lower case.
Lines = Mapping[str, list[str]]


def lines(request: Request) -> Lines:
    """All headers of the request. Read once, because Starlette goes through all of them for each name."""
    by_name: defaultdict[str, list[str]] = defaultdict(list)
    for name, value in request.scope["headers"]:
        by_name[name.decode("latin-1")].append(value.decode("latin-1"))
    return by_name


def sequence_key(sent: Lines) -> int:
    """The sequence key; raises the problem `key-missing` or `key-malformed`."""
    # The usual case needs no parser: one line in the canonical form.
    match sent.get(KEY_HEADER.lower()):
        case [line] if _QUOTED_DECIMAL.fullmatch(line):
            return int(line[1:-1])
    value = _item(sent, KEY_HEADER, KEY_MALFORMED)
    if value is None:
        raise Problem(KEY_MISSING, f'Send the header {KEY_HEADER}: "<decimal integer from 1>".')
    if type(value) is not str or not _DECIMAL.fullmatch(value):
        raise Problem(
            KEY_MALFORMED,
            f"{KEY_HEADER} must be a decimal integer from 1 to {SEQUENCE_KEY_MAX} in double quotes.",
        )
    return int(value)


def retry_flag(sent: Lines) -> bool:
    """The retry flag, false when absent; raises the problem `header-malformed`."""
    value = _item(sent, RETRY_HEADER, HEADER_MALFORMED)
    if value is None:
        return False
    if type(value) is not bool:
        raise Problem(HEADER_MALFORMED, f"{RETRY_HEADER} must be ?0 or ?1.")
    return value


def first_incomplete(sent: Lines) -> int | None:
    """The caller's first incomplete key, None when absent; raises the problem `header-malformed`."""
    value = _item(sent, FIRST_INCOMPLETE_HEADER, HEADER_MALFORMED)
    if value is None:
        return None
    if type(value) is not int or value < 1 or _has_leading_zeros(sent, FIRST_INCOMPLETE_HEADER):
        raise Problem(
            HEADER_MALFORMED,
            f"{FIRST_INCOMPLETE_HEADER} must be an integer from 1 without leading zeros.",
        )
    return value


def timeout_s(sent: Lines) -> float | None:
    """Seconds that the caller will wait, None when the header is absent; raises the problem `header-malformed`."""
    value = _item(sent, TIMEOUT_HEADER, HEADER_MALFORMED)
    if value is None:
        return None
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | Decimal)
        or not 0 < value <= TIMEOUT_S_MAX
        or _has_leading_zeros(sent, TIMEOUT_HEADER)
    ):
        raise Problem(
            HEADER_MALFORMED,
            f"{TIMEOUT_HEADER} must be a number of seconds above 0 and at most {TIMEOUT_S_MAX}.",
        )
    return float(value)


def _has_leading_zeros(sent: Lines, name: str) -> bool:
    """RFC 9651 allows parsers to accept leading zeros; here a number has one spelling."""
    written = sent[name.lower()][0].strip(" ")
    return written[0] == "0" and written[1:2].isdigit()


def _item(sent: Lines, name: str, malformed: ProblemType) -> object | None:
    try:
        return structured_fields.item(sent.get(name.lower(), ()))
    except MalformedItem as exc:
        detail = f"{name} is not an RFC 9651 item."
        if malformed is KEY_MALFORMED:
            detail = f'{name} must be in double quotes, and once: {name}: "42".'
        raise Problem(malformed, detail) from exc
