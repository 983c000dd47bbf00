"""A retry after an answer: the answer again, and no second effect."""

from decimal import Decimal

from judge import causes
from judge.cases.case import Case, first_success, must_be_same, must_succeed, took, witness
from judge.errors import Broken
from judge.play import Play

_RETRIES = 3
# A second effect may be made in the background, after the answer.
_QUIET_S = 2.0


async def _replay(play: Play) -> None:
    values = play.new()
    first = await first_success(play, values)
    witness(play, "the first request took effect", await play.effects(1) >= 1)
    retries = [
        await play.until_final(values, f"retry {number}") for number in range(1, _RETRIES + 1)
    ]
    effects = await play.effects(1, _QUIET_S)
    differences = [play.bench.answers.difference(first, retry) for retry in retries]
    if effects != 1:
        hidden = not any(differences)
        how = "all answers are equal, which hides it" if hidden else "the answers differ"
        raise Broken(
            f"sent {_RETRIES + 1} times with one key, the request {took(effects)}; {how}",
            _cause(play, effects, hidden) if effects > 1 else causes.LOST_EFFECT,
        )
    for retry in retries:
        await must_succeed(play, retry, "an answer")
        must_be_same(play, first, retry, "a retry with the same key")


def _cause(play: Play, effects: Decimal, hidden: bool) -> str:
    """With equal answers, two causes look the same, unless the service shows that it knows the key."""
    if not hidden:
        some = effects <= _RETRIES
        return (
            f"{causes.MEMORY_ONLY} Or the key is kept too shortly." if some else causes.UNPROTECTED
        )
    bodies = {
        attempt.answer.body for attempt in play.evidence.attempts if attempt.answer is not None
    }
    sample = play.bench.sample
    # Answers that name what was made differ between requests: an equal one was stored.
    telling = sample is not None and sample.answer is not None and sample.answer.body not in bodies
    return causes.HIDDEN_EFFECT if telling else f"{causes.HIDDEN_EFFECT} Or: {causes.UNPROTECTED}"


CASES = (
    Case(
        "replay",
        "retry after an answer",
        "The same request with the same key gets the same status and body, and takes effect once.",
        "the calibration: two keys take effect twice",
        _replay,
    ),
)
