"""What answers mean: whether two are the same, whether one says "in flight", whether one gives another one away.

Guarantee: judged by status and body alone; headers may differ.
"""

import json
import re
from typing import Any

from judge.config.model import Expect
from judge.config.profiles import PROFILES
from judge.evidence import Answer, Attempt
from judge.requests import Rendered

# A value this short is in an answer by chance.
_TELLING_MIN = 6
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_BUSY = (429, 503)


class Answers:
    """The meaning of answers under what judge.toml expects."""

    def __init__(self, expect: Expect) -> None:
        self.expect = expect
        self.profile = PROFILES[expect.profile]

    def is_in_flight(self, attempt: Attempt) -> bool:
        """Refused because the same key is being executed."""
        return attempt.status in self.expect.in_flight

    def is_busy(self, attempt: Attempt) -> bool:
        """Asked to come again, by a status that says so and Retry-After."""
        answer = attempt.answer
        return (
            answer is not None
            and answer.status in _BUSY
            and answer.header("Retry-After") is not None
        )

    def is_waiting(self, attempt: Attempt) -> bool:
        """In flight or busy: the caller shall come again."""
        return self.is_in_flight(attempt) or self.is_busy(attempt)

    def difference(self, first: Attempt, later: Attempt) -> str:
        """In what the later answer is not the same; empty when it is.

        202 says that the answer is not final: any later success is its continuation.
        """
        one, other = first.answer, later.answer
        if one is None or other is None:
            return "one of them has no answer"
        if one.status == 202 and later.succeeded:
            return ""
        status_differs = one.status != other.status
        if status_differs and not (self.profile.any_success and later.succeeded):
            return f"status {one.status}, then {other.status}"
        if not _equal(one.body, other.body):
            return f"body {_short(one)}, then {_short(other)}"
        return ""

    def same_body(self, first: Attempt, later: Attempt) -> bool:
        """Whether both have an answer, with a body, and it is the same."""
        one, other = first.answer, later.answer
        return bool(one and other and one.body and _equal(one.body, other.body))

    def leaks(self, first: Attempt, later: Attempt, sample: Attempt | None) -> str:
        """What a later answer gives away of the first one: a value that only the first one's request got; else empty."""
        if first.answer is None or later.answer is None:
            return ""
        if first.answer.body and _equal(first.answer.body, later.answer.body):
            return "the whole answer"
        usual = _leaves(sample.answer.body) if sample and sample.answer else set()
        told = later.answer.body.decode("utf-8", "replace")
        for leaf in sorted(_leaves(first.answer.body) - usual):
            if leaf in told and not _said(leaf, first.request) and not _said(leaf, later.request):
                return leaf
        return ""


def _equal(one: bytes, other: bytes) -> bool:
    if one == other:
        return True
    try:
        return bool(json.loads(one) == json.loads(other))
    except (ValueError, RecursionError):
        return False


def _leaves(body: bytes) -> set[str]:
    """The telling values of a JSON text: long enough, and no dates."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return set()
    return {leaf for leaf in _walk(document) if len(leaf) >= _TELLING_MIN and not _DATE.match(leaf)}


def _walk(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in _walk(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in _walk(item)]
    return [] if isinstance(value, bool) or value is None else [str(value)]


def _said(leaf: str, request: Rendered) -> bool:
    return leaf in request.text or leaf in request.path


def _short(answer: Answer) -> str:
    text = " ".join(answer.body.decode("utf-8", "replace").split())
    return repr(text if len(text) <= 80 else text[:77] + "…")
