"""The same key for something else: another payload, another caller, another path.

Guarantee: a refusal counts only when a control shows that the same request is accepted with a key of its own.
"""

from judge import causes
from judge.cases.case import (
    Case,
    first_success,
    must_be_once,
    must_be_same,
    must_succeed,
    plain,
    witness,
)
from judge.config.model import Config
from judge.errors import Broken, Untold
from judge.evidence import Attempt
from judge.play import Play
from judge.requests import Change, Values

_OTHER_PAYLOAD = Change(other_payload=True)
_OTHER_CALLER = Change(other_caller=True)
_OTHER_PATH = Change(other_path=True)
# A refusal may have the status of "in flight": whether it is one, shows after a while.
_WAITS_S = 1.0


async def _other_payload(play: Play) -> None:
    expect = play.bench.config.expect
    control = await play.until_final(
        play.new(), "control: the other payload with its own key", _OTHER_PAYLOAD
    )
    if not control.succeeded:
        raise Untold(f"the other payload is refused with a key of its own, too: {control.saw}")
    await play.effects(0, 0.3)
    await play.begin_again()
    values = play.new()
    first = await first_success(play, values)
    witness(play, "the first request took effect", await play.effects(1) == 1)
    other = await play.until_final(
        values, "the same key, another payload", _OTHER_PAYLOAD, waits_s=_WAITS_S
    )
    effects = await play.effects(1)
    if effects != 1:
        raise Broken(
            f"another payload with a used key is answered {other.saw} and changed the reading: "
            f"{plain(effects)} effects in place of 1",
            play.bench.cause(causes.UNPROTECTED),
        )
    if other.succeeded:
        what = (
            "the first answer" if play.bench.answers.same_body(first, other) else str(other.status)
        )
        raise Broken(
            f"another payload with a used key is answered with {what}, as if it had been executed: {other.saw}",
            causes.PAYLOAD_NOT_COMPARED,
        )
    if leaked := play.bench.answers.leaks(first, other, play.bench.sample):
        raise Broken(
            f"the refusal of another payload gives away {leaked} of the first answer: {other.saw}",
            causes.PAYLOAD_NOT_COMPARED,
        )
    if other.answer is None:
        raise Untold(f"another payload with a used key got no answer: {other.saw}")
    status_as_expected(
        play, other, expect.other_payload, "other_payload", "another payload with a used key"
    )
    again = await play.until_final(values, "the first payload again")
    await must_succeed(play, again, "another payload was refused")
    must_be_same(play, first, again, "the first payload, sent again,")
    must_be_once(
        play,
        await play.effects(1),
        "a request that was sent again after another payload with its key was refused",
        causes.HIDDEN_EFFECT,
        causes.LOST_EFFECT,
    )


def status_as_expected(play: Play, attempt: Attempt, expected: int, name: str, what: str) -> None:
    """A stated status must be met; one that only the default says is a remark, unless it is an error of the server."""
    if attempt.status == expected:
        return
    expect = play.bench.config.expect
    by = f"expect.{name}" if name in expect.stated else f"profile {expect.profile}"
    says = f"{what} is answered {attempt.saw}, and not {expected}, as {by} says"
    lenient = play.bench.answers.profile.any_success and name not in expect.stated
    if attempt.status >= 500 or (expect.is_stated(name) and not lenient):
        raise Broken(
            says, "The refusal is not the documented one: a caller cannot tell what to do."
        )
    play.evidence.note(f"{says}; nothing was executed.")


async def _other_caller(play: Play) -> None:
    control = await play.until_final(
        play.new(), "control: the second caller with its own key", _OTHER_CALLER
    )
    control_effects = await play.effects(0, 0.3)
    if control.answer is None or control.status >= 500:
        raise Untold(f"the second caller gets no answer with a key of its own: {control.saw}")
    await play.begin_again()
    values = play.new()
    first = await first_success(play, values)
    mine = await play.effects(1)
    witness(play, "the first caller's request took effect", mine == 1)
    other = await play.until_final(
        values, "the second caller, the same key", _OTHER_CALLER, waits_s=_WAITS_S
    )
    effects = await play.effects(1) - mine
    answers = play.bench.answers
    sample = play.bench.sample
    told_apart = sample is not None and not answers.same_body(first, sample)
    if other.succeeded and told_apart and answers.same_body(first, other):
        raise Broken(
            f"a second caller who uses the key of the first is given the first one's answer: {other.saw}",
            causes.KEYS_SHARED,
        )
    if not other.succeeded and (leaked := answers.leaks(first, other, sample)):
        raise Broken(
            f"a second caller who uses the key of the first is told {leaked} of the first one's answer: {other.saw}",
            causes.KEYS_SHARED,
        )
    if _alike(control, other) and effects == control_effects:
        if not control.succeeded:
            play.evidence.note(f"The second caller is refused with any key: {control.saw}")
        elif control_effects == 0 and not told_apart:
            raise Untold(
                "the second caller's requests do not change the reading, and all answers are equal: nothing tells them apart"
            )
        return
    if other.refused and control.succeeded:
        # The refusal may be of the payload, which is unique: the same key with a payload of its own decides.
        await _other_caller_own_payload(play, control, control_effects)
        return
    raise Broken(
        f"a second caller is answered {control.saw} with a key of its own, but {other.saw} with one that the first has used "
        f"({plain(effects)} effects in place of {plain(control_effects)})",
        causes.KEYS_SHARED,
    )


async def _other_caller_own_payload(play: Play, control: Attempt, control_effects: object) -> None:
    await play.begin_again()
    values, theirs = play.new(), play.new()
    await first_success(play, values)
    mine = await play.effects(1)
    own = Values(values.key, theirs.unique, theirs.uuid, theirs.integer)
    label = "the second caller, the same key, its own payload"
    other = await play.until_final(own, label, _OTHER_CALLER, waits_s=_WAITS_S)
    effects = await play.effects(1) - mine
    if _alike(control, other) and effects == control_effects:
        return
    raise Broken(
        f"a second caller's request is answered {control.saw} with a key of its own, but {other.saw} "
        "with one that the first caller has used",
        causes.KEYS_SHARED,
    )


async def _other_path(play: Play) -> None:
    control = await play.until_final(
        play.new(), "control: the other path with its own key", _OTHER_PATH
    )
    control_effects = await play.effects(0, 0.3)
    if not control.succeeded:
        raise Untold(f"the other path is refused with a key of its own: {control.saw}")
    await play.begin_again()
    values = play.new()
    first = await first_success(play, values)
    mine = await play.effects(1)
    witness(play, "the request on the first path took effect", mine == 1)
    other = await play.until_final(
        values, "the same key, another path", _OTHER_PATH, waits_s=_WAITS_S
    )
    effects = await play.effects(1) - mine
    answers = play.bench.answers
    if other.refused and effects == 0:
        if leaked := answers.leaks(first, other, play.bench.sample):
            raise Broken(
                f"the refusal on another path gives away {leaked} of the first answer",
                causes.PATHS_SHARED,
            )
        return
    told_apart = not answers.same_body(first, control)
    replayed = told_apart and answers.same_body(first, other)
    if replayed or not (_alike(control, other) and effects == control_effects):
        raise Broken(
            f"on another path, a used key is answered {other.saw} ({plain(effects)} effects), and a new key {control.saw} "
            f"({plain(control_effects)} effects)",
            causes.PATHS_SHARED,
        )
    if not told_apart and control_effects == 0:
        raise Untold(
            "the other path does not change the reading, and all answers are equal: nothing tells them apart"
        )


def _alike(control: Attempt, other: Attempt) -> bool:
    return control.status == other.status or (control.succeeded and other.succeeded)


def _needs_other(config: Config) -> str:
    return "" if config.request.other is not None else "request.other is not given"


def _needs_other_caller(config: Config) -> str:
    return "" if config.request.other_caller else "request.other_caller is not given"


def _needs_other_path(config: Config) -> str:
    return "" if config.request.other_path else "request.other_path is not given"


CASES = (
    Case(
        "other-payload",
        "the same key with another payload",
        "Another payload with a used key is refused, takes no effect, and learns nothing of the first answer.",
        "the other payload succeeds with a key of its own",
        _other_payload,
        _needs_other,
    ),
    Case(
        "other-caller",
        "the same key from another caller",
        "Keys belong to their caller: a second principal with the same key is served as with any other key.",
        "the second principal's request with a key of its own",
        _other_caller,
        _needs_other_caller,
    ),
    Case(
        "other-path",
        "the same key on another path",
        "A key that was used on one path does not bring its answer on another.",
        "the other path succeeds with a key of its own",
        _other_path,
        _needs_other_path,
    ),
)
