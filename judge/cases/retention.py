"""A retry at the end of a key's declared life, and after it."""

import asyncio
import time

from judge import causes
from judge.cases.case import (
    Case,
    final_success,
    first_success,
    must_be_once,
    must_be_same,
    took,
    witness,
)
from judge.config.model import Config
from judge.errors import Broken
from judge.play import Play

# Longer lives are not waited for.
_LIFE_MAX_S = 60.0
_WITHIN = 0.6
# A key must be gone when its life is over by so much: services that delete at intervals are given one.
_AFTER = 1.25
_AFTER_MIN_S = 0.7


async def _retention(play: Play) -> None:
    life_s = play.bench.config.expect.retention_s or 0.0
    values = play.new()
    first = await first_success(play, values)
    began = time.monotonic()
    witness(play, "the request took effect", await play.effects(1) == 1)
    await _until(began + life_s * _WITHIN)
    within = await final_success(
        play, values, f"retry within {life_s:g} s", "a part of the key's life"
    )
    must_be_once(
        play,
        await play.effects(1),
        f"a request that was retried within the declared {life_s:g} s",
        causes.EXPIRED_KEY,
        causes.LOST_EFFECT,
    )
    must_be_same(play, first, within, "a retry within the key's life")
    # The retry may have lengthened it.
    await _until(time.monotonic() + max(life_s * _AFTER, life_s + _AFTER_MIN_S))
    late = await play.until_final(values, f"retry after {life_s:g} s")
    effects = await play.effects(1)
    if effects > 1 and not play.bench.answers.profile.expires:
        raise Broken(
            f"a retry after the declared {life_s:g} s is answered {late.saw}: the request {took(effects)}",
            causes.EXPIRED_KEY,
        )
    if effects > 1:
        play.evidence.note(
            f"As the profile says, a key is executed again after {life_s:g} s: a later retry is a second effect."
        )
    witness(play, "the late retry was answered", late.answer is not None)


async def _until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.monotonic()))


def _needs_life(config: Config) -> str:
    life_s = config.expect.retention_s
    if life_s is None:
        return "expect.retention_s is not given"
    return "" if life_s <= _LIFE_MAX_S else f"a life of {life_s:g} s is too long to wait for"


CASES = (
    Case(
        "retention",
        "a retry after the key's declared life",
        "Within its declared life a key protects; after it, a retry is replayed or refused, and not executed again.",
        "the retry within the key's life is replayed",
        _retention,
        _needs_life,
    ),
)
