"""A wait ends with its evidence or at its bound."""

import pytest

from stack.waiting import NotSeen, until


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
