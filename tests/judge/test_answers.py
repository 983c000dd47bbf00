"""What answers mean."""

import pytest

from judge.answers import Answers
from judge.config.model import Expect
from judge.evidence import Answer, Attempt
from judge.requests import Rendered

_DRAFT = Answers(Expect("draft-07", 400, 422, (409,)))
_LENIENT = Answers(Expect("lenient", 400, 422, (409, 429)))


def _attempt(status: int, body: str = "", *, sent: str = "", **headers: str) -> Attempt:
    request = Rendered("POST", "/", (), sent.encode(), "the-key")
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Attempt(1, "x", "directly", request, 0.0, answer=Answer(status, named, body.encode()))


@pytest.mark.parametrize(
    ("first", "later", "same"),
    [
        ((201, '{"a": 1, "b": 2}'), (201, '{"b": 2, "a": 1}'), True),
        ((201, '{"a": 1}'), (201, '{"a": 2}'), False),
        ((201, '{"a": 1}'), (200, '{"a": 1}'), False),
        ((202, '{"state": "queued"}'), (200, '{"state": "done"}'), True),
        ((202, '{"state": "queued"}'), (409, "{}"), False),
        ((204, ""), (204, ""), True),
        ((200, "text"), (200, "text"), True),
        ((200, "text"), (200, "Text"), False),
    ],
)
def test_the_same_answer(first: tuple[int, str], later: tuple[int, str], same: bool) -> None:
    """Status and meaning of the body; 202 may be continued."""
    assert (_DRAFT.difference(_attempt(*first), _attempt(*later)) == "") is same


def test_a_lenient_profile_takes_any_success() -> None:
    """But not another body."""
    assert _LENIENT.difference(_attempt(201, "{}"), _attempt(200, "{}")) == ""
    assert _LENIENT.difference(_attempt(201, '{"a": 1}'), _attempt(200, '{"a": 2}'))


def test_busy_is_said_with_retry_after() -> None:
    """503 alone is an error; with Retry-After the caller shall come again."""
    assert not _DRAFT.is_waiting(_attempt(503))
    assert _DRAFT.is_waiting(_attempt(503, retry_after="1"))
    assert _DRAFT.is_waiting(_attempt(409))
    assert not _DRAFT.is_waiting(_attempt(423))


def test_a_leak_is_what_only_the_first_answer_has() -> None:
    """Not what every answer has, nor what the caller has sent, nor a date, nor what is short."""
    first = _attempt(
        201,
        '{"id": "pay-31415926", "state": "accepted", "at": "2026-01-01T00:00", "ref": "mine-1234", "n": 12}',
        sent="mine-1234",
    )
    sample = _attempt(201, '{"id": "pay-27182818", "state": "accepted"}')
    harmless = _attempt(
        422, '{"error": "accepted before", "ref": "mine-1234", "at": "2026-01-01T00:00", "n": 12}'
    )
    assert _DRAFT.leaks(first, harmless, sample) == ""
    assert (
        _DRAFT.leaks(first, _attempt(422, '{"error": "used for pay-31415926"}'), sample)
        == "pay-31415926"
    )
    assert _DRAFT.leaks(first, first, sample) == "the whole answer"
