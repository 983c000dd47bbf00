"""A wait ends with its evidence or at its bound."""

import pytest

from stack.waiting import NotSeen, pause_s_after, until


async def test_the_evidence_ends_it() -> None:
    """The first answer that says something is the result, and nothing is asked after it."""
    answers = iter([None, 0, "", "seen", "too late"])

    async def question() -> object:
        return next(answers)

    assert await until(question, 60, "the answer", pause_s=0) == "seen"
    assert next(answers) == "too late"


async def test_the_bound_ends_it() -> None:
    """What never comes is named, with the bound."""

    async def question() -> None:
        return None

    with pytest.raises(NotSeen, match=r"the restart: not within 0\.01 s"):
        await until(question, 0.01, "the restart", pause_s=0)


def test_what_is_long_in_coming_is_asked_for_more_rarely() -> None:
    """Half a minute in vain is some 350 questions and not 1,500; the pause stays within its bounds."""
    waited_s, questions = 0.0, 0
    while waited_s < 30:
        pause_s = pause_s_after(waited_s)
        assert 0.02 <= pause_s <= max(0.02, waited_s / 19)
        assert pause_s <= 0.1
        waited_s, questions = waited_s + pause_s, questions + 1
    assert 200 < questions < 400
