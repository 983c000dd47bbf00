"""What a case is, and what all cases ask of answers and effects.

Guarantee: a case passes only by reaching its end with every witness seen; it fails only by evidence of a broken promise.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal

from judge import causes
from judge.config.model import Config
from judge.errors import Broken, Untold
from judge.evidence import Attempt
from judge.play import Play
from judge.requests import Values

# What a configuration lacks for a case; empty when it can be played.
Needs = Callable[[Config], str]


@dataclass(frozen=True)
class Case:
    """One case. `control` says what shows that the case could have failed."""

    name: str
    title: str
    promise: str
    control: str
    play: Callable[[Play], Awaitable[None]]
    needs: Needs = lambda _: ""


def took(effects: Decimal) -> str:
    """How often something took effect, in words."""
    if effects == 0:
        return "took no effect"
    if effects == 1:
        return "took effect once"
    return f"took effect {plain(effects)} times"


def plain(number: Decimal) -> str:
    """A number without an exponent and without zeros at its end."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def witness(play: Play, claim: str, seen: bool) -> None:
    """Records a witness. Raises `Untold` when it is missing."""
    if not play.evidence.witness(claim, seen):
        raise Untold(f"there is no evidence that {claim}")


async def first_success(play: Play, values: Values, label: str = "the request") -> Attempt:
    """A new request that must succeed, or the case cannot tell anything."""
    attempt = await play.until_final(values, label)
    if not attempt.succeeded:
        raise Untold(f"a new request did not succeed: {attempt.saw}")
    return attempt


async def final_success(play: Play, values: Values, label: str, after: str) -> Attempt:
    """The retry of a request whose caller had no answer: it must come to a success.

    Raises `Broken` when it is refused, stays in flight, or is answered with an error that a new request is not.
    """
    attempt = await play.until_final(values, label)
    await must_succeed(play, attempt, after)
    return attempt


async def must_succeed(play: Play, attempt: Attempt, after: str) -> None:
    """See `final_success`."""
    if attempt.succeeded:
        return
    if play.bench.answers.is_waiting(attempt):
        raise Broken(
            f"{play.bench.config.expect.in_flight_ends_s:g} s after {after}, the retry is still refused as in flight: {attempt.saw}",
            causes.STRANDED,
        )
    if attempt.refused:
        raise Broken(f"after {after}, the retry is refused: {attempt.saw}", causes.REFUSED_RETRY)
    # The control: is it this key, or the whole service?
    control = await play.until_final(play.new(), "control: a new request")
    if (
        attempt.answer is None
        and control.succeeded
        and attempt.error.startswith("no answer within")
    ):
        raise Broken(
            f"after {after}, the retry is kept waiting: {attempt.saw}, while a new request succeeds",
            causes.STRANDED,
        )
    if attempt.answer is None:
        raise Untold(f"after {after}, the retry gets no answer: {attempt.saw}")
    if control.succeeded:
        raise Broken(
            f"after {after}, every retry is answered {attempt.saw}, while a new request succeeds",
            causes.ERROR_AS_FINAL,
        )
    raise Untold(f"the service answers with errors only: {control.saw}")


def must_be_same(play: Play, first: Attempt, later: Attempt, what: str) -> None:
    """Raises `Broken` unless a later success is the same answer as the first."""
    if difference := play.bench.answers.difference(first, later):
        raise Broken(
            f"{what} is not answered as the first request was: {difference}",
            causes.NOT_ATOMIC_ANSWER,
        )


def must_be_once(play: Play, effects: Decimal, what: str, cause_more: str, cause_less: str) -> None:
    """Raises `Broken` unless there was exactly one effect."""
    if effects != 1:
        raise Broken(
            f"{what} {took(effects)}",
            play.bench.cause(cause_more) if effects > 1 else cause_less,
        )
