"""Keys that are missing, empty, very long, quoted or malformed.

Guarantee: whatever its syntax, a key is either refused without an effect or it protects. Which of the two, the service
may choose, but for the missing key, of which the profile says what is right.
"""

from judge import causes
from judge.cases.case import Case, plain, took, witness
from judge.cases.misuse import status_as_expected
from judge.config.model import Config
from judge.errors import Broken, Untold
from judge.evidence import Attempt
from judge.play import Play
from judge.requests import Change, Requests, Values

_WITHOUT = Change(without_key=True)
# Longer than any column for keys, and shorter than the limit of a header line of usual servers (8 KiB).
_LONG = 1500


async def _missing(play: Play) -> None:
    expect = play.bench.config.expect
    profile = play.bench.answers.profile
    attempt = await play.send(play.new(), "without a key", _WITHOUT)
    effects = await play.effects(0, 0.3)
    if attempt.answer is None:
        raise Untold(f"a request without a key got no answer: {attempt.saw}")
    if not attempt.succeeded:
        if effects != 0:
            raise Broken(
                f"a request without a key is refused ({attempt.saw}) and yet changed the reading by {plain(effects)} effects",
                causes.KEY_OPTIONAL,
            )
        witness(play, "the refused request took no effect", effects == 0)
        optional = "missing_key" not in expect.stated and not profile.key_required
        if not optional or attempt.status >= 500:
            status_as_expected(
                play, attempt, expect.missing_key, "missing_key", "a request without a key"
            )
        return
    witness(play, "the reading tells how often a request without a key took effect", effects == 1)
    if "missing_key" in expect.stated and expect.missing_key < 400:
        return
    if "missing_key" in expect.stated or profile.key_required:
        by = "expect.missing_key" if "missing_key" in expect.stated else f"profile {expect.profile}"
        raise Broken(
            f"a request without a key is answered {attempt.saw} and {took(effects)}; {by} says {expect.missing_key}",
            causes.KEY_OPTIONAL,
        )
    play.evidence.note("A request without a key is executed: it is not protected.")


async def _empty(play: Play) -> None:
    await _strange(play, "an empty key", "")


async def _quoted(play: Play) -> None:
    values = play.new()
    filled = _carried(play, values)
    bare = filled.strip('"')
    quoted = bare != filled
    spelled = bare if quoted else f'"{bare}"'
    await _strange(
        play, "the key without its quotes" if quoted else "the key in quotes", spelled, values
    )


async def _malformed(play: Play) -> None:
    values = play.new()
    await _strange(play, "a malformed key", f'"{_carried(play, values).strip(chr(34))}', values)


async def _long(play: Play) -> None:
    values, twin = play.new(), play.new()
    filled = _carried(play, values)
    quote = '"' if filled.endswith('"') else ""
    bare = filled.strip('"')
    long = (bare * (_LONG // len(bare) + 1))[:_LONG]
    # Two keys that differ at their end only.
    one, other = f"{quote}{long}1{quote}", f"{quote}{long}2{quote}"
    first = await _strange(play, "a very long key", one, values)
    if first is None:
        return
    await play.begin_again()
    second = await play.until_final(
        twin, "another key, as long, different at its end", Change(raw_key=other)
    )
    effects = await play.effects(1 if second.succeeded else 0)
    if second.succeeded and effects == 0:
        raise Broken(
            f"of two very long keys that differ at their end, the second is answered {second.saw} and takes no effect",
            causes.TRUNCATED_KEY,
        )
    if second.refused and not play.bench.answers.is_waiting(second):
        raise Broken(
            f"of two very long keys that differ at their end, the second is refused: {second.saw}",
            causes.TRUNCATED_KEY,
        )


async def _strange(play: Play, what: str, raw: str, values: Values | None = None) -> Attempt | None:
    """Sends a strange key twice: refused without an effect, or protected. Gives the first answer of an accepted one."""
    values = values or play.new()
    change = Change(raw_key=raw)
    first = await play.send(values, what, change)
    effects = await play.effects(1 if first.succeeded else 0, 0.3)
    if not first.succeeded:
        if effects != 0:
            raise Broken(
                f"{what} is answered {first.saw}, and yet the reading changed by {plain(effects)} effects",
                causes.KEY_OPTIONAL,
            )
        witness(play, f"{what} took no effect", effects == 0)
        if first.answer is None or first.status >= 500:
            play.evidence.note(
                f"{what.capitalize()} is answered {first.saw}: a refusal of the family 4xx says what is wrong."
            )
        return None
    second = await play.until_final(values, f"{what}, again", change)
    effects = await play.effects(1)
    if effects > 1:
        profile = play.bench.answers.profile
        if raw == "" and (not profile.key_required or _keyless_is_fine(play)):
            witness(play, "both requests with an empty key took effect", effects == 2)
            play.evidence.note("An empty key counts as none: the request is not protected.")
            return None
        raise Broken(
            f"{what} is accepted and does not protect: sent twice, the request {took(effects)}",
            play.bench.cause(causes.KEY_OPTIONAL),
        )
    witness(play, f"{what} was accepted, and its retry answered", second.answer is not None)
    if second.succeeded and (difference := play.bench.answers.difference(first, second)):
        play.evidence.note(
            f"{what.capitalize()}: the retry is not answered as the first request was: {difference}"
        )
    return first


def _keyless_is_fine(play: Play) -> bool:
    expect = play.bench.config.expect
    return "missing_key" in expect.stated and expect.missing_key < 400


def _carried(play: Play, values: Values) -> str:
    """What the carrier of the key has in an ordinary request."""
    requests = play.bench.requests
    template = requests.config.headers.get(requests.carrier, "{key}")
    return values.fill(template)


def _needs_carrier(config: Config) -> str:
    return (
        "" if Requests(config.request).carrier else "the key is a part of the path or of a raw body"
    )


CASES = (
    Case(
        "key-missing",
        "no key at all",
        "A request without a key is treated as the profile says.",
        "the calibration: the same request with a key is executed",
        _missing,
        _needs_carrier,
    ),
    Case(
        "key-empty",
        "an empty key",
        "An empty key is refused, or protects like any other.",
        "the same key is sent twice",
        _empty,
        _needs_carrier,
    ),
    Case(
        "key-long",
        "a very long key",
        "A very long key is refused, or protects, and is not taken for another one that begins alike.",
        "two long keys that differ at their end",
        _long,
        _needs_carrier,
    ),
    Case(
        "key-quoted",
        "the key in quotes, or without",
        "The other spelling of a key is refused, or protects.",
        "the same spelling is sent twice",
        _quoted,
        _needs_carrier,
    ),
    Case(
        "key-malformed",
        "a malformed key",
        "A key with a quote at its beginning only is refused, or protects.",
        "the same key is sent twice",
        _malformed,
        _needs_carrier,
    ),
)
