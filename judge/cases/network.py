"""Faults of the network between caller and service, each followed by a retry with the same key."""

import asyncio
from collections.abc import Callable

from judge import causes
from judge.cases.case import (
    Case,
    final_success,
    must_be_once,
    must_be_same,
    must_succeed,
    took,
    witness,
)
from judge.errors import Broken, Untold
from judge.evidence import Answer, Attempt
from judge.play import Play
from judge.requests import Rendered, Values
from stack.toxics import Latency, LimitData, Toxic

_RESPONSE_LOST = LimitData(bytes=0)
_REQUEST_LOST = LimitData(bytes=0, stream="upstream")
_HOLD = Latency(latency_ms=600_000, stream="upstream")
# What the service does with half a request may take a moment.
_AFTER_CUT_S = 0.4


async def _response_lost(play: Play) -> None:
    await _answer_lost(play, _RESPONSE_LOST, "its answer was lost")


async def _response_cut(play: Play) -> None:
    sample = play.bench.sample
    if sample is None or sample.answer is None:
        raise Untold("the calibration has no answer to measure")
    cut = LimitData(bytes=_middle_of(sample.answer))
    await _answer_lost(play, cut, "its answer was cut in the middle")


async def _answer_lost(play: Play, toxic: Toxic, after: str) -> None:
    values = play.new()
    async with play.proxy() as proxy:
        await proxy.arm(toxic)
        lost = await play.send(values, "the request", proxy=proxy)
        witness(
            play,
            f"the caller got no complete answer, by {toxic}",
            lost.answer is None and await proxy.still_armed(toxic),
        )
        executed = await play.effects(1)
        await proxy.heal(toxic)
        retry = await play.until_final(values, "retry", proxy=proxy)
    effects = await play.effects(1)
    if effects > 1:
        raise Broken(
            f"a request was retried after {after}: it {took(effects)}",
            play.bench.cause(causes.UNPROTECTED),
        )
    await must_succeed(play, retry, after.replace("its", "the"))
    again = await final_success(play, values, "retry, directly", after.replace("its", "the"))
    must_be_same(play, retry, again, "a second retry")
    must_be_once(
        play,
        await play.effects(1),
        f"a request that was retried after {after}",
        causes.HIDDEN_EFFECT,
        causes.LOST_EFFECT,
    )
    witness(play, "the request had taken effect before its retry", executed == 1)


async def _request_lost(play: Play) -> None:
    values = play.new()
    async with play.proxy() as proxy:
        await proxy.arm(_REQUEST_LOST)
        lost = await play.send(values, "the request", proxy=proxy)
        witness(
            play,
            f"the caller got no answer, by {_REQUEST_LOST}",
            lost.answer is None and await proxy.still_armed(_REQUEST_LOST),
        )
        witness(play, "the request had taken no effect before its retry", await play.effects() == 0)
        await proxy.heal(_REQUEST_LOST)
        retry = await play.until_final(values, "retry", proxy=proxy)
    await must_succeed(play, retry, "the request was lost")
    must_be_once(
        play,
        await play.effects(1),
        "a request that was lost and sent again",
        causes.HIDDEN_EFFECT,
        causes.LOST_EFFECT,
    )


async def _request_cut(play: Play) -> None:
    rendered = play.bench.requests.render(play.new())
    for name, cut_at in _cuts(play, rendered):
        await play.begin_again()
        await _cut_request(play, play.new(), name, cut_at)


def _cuts(play: Play, rendered: Rendered) -> list[tuple[str, Callable[[Rendered], int]]]:
    def head(of: Rendered) -> int:
        return _head_bytes(play, of)

    if len(rendered.content) < 2:
        return [("in the middle of its head", lambda of: head(of) // 2)]
    return [
        ("in the middle of its body", lambda of: head(of) + len(of.content) // 2),
        ("before its body", lambda of: head(of)),
    ]


async def _cut_request(
    play: Play, values: Values, where: str, cut_at: Callable[[Rendered], int]
) -> None:
    toxic = LimitData(bytes=cut_at(play.bench.requests.render(values)), stream="upstream")
    async with play.proxy() as proxy:
        await proxy.arm(toxic)
        cut = await play.send(values, f"the request, cut {where}", proxy=proxy)
        witness(
            play,
            f"the request was cut {where}, by {toxic}",
            await proxy.still_armed(toxic) and (cut.answer is None or not cut.succeeded),
        )
    await play.effects(quiet_s=_AFTER_CUT_S)
    retry = await play.until_final(values, "the complete request")
    if retry.refused and not play.bench.answers.is_waiting(retry):
        control = await play.until_final(play.new(), "control: a new request")
        if not control.succeeded:
            raise Untold(f"a new request did not succeed either: {control.saw}")
        raise Broken(
            f"after a request was cut {where}, the complete one with the same key is refused: {retry.saw}",
            causes.PARTIAL_BODY,
        )
    if retry.succeeded and await play.effects(1) == 0:
        raise Broken(
            f"after a request was cut {where}, the complete one is answered {retry.saw}, but never took effect",
            causes.PARTIAL_BODY,
        )
    await must_succeed(play, retry, f"a request that was cut {where}")
    must_be_once(
        play,
        await play.effects(1),
        f"a request that was cut {where} and sent again",
        causes.PARTIAL_BODY,
        causes.PARTIAL_BODY,
    )


async def _late_original(play: Play) -> None:
    values = play.new()
    async with play.proxy() as proxy:
        await proxy.arm(_HOLD)
        task: asyncio.Task[Attempt] = play.start(
            play.send(values, "the original, held", proxy=proxy)
        )
        while not _on_the_way(play.evidence.attempts):  # noqa: ASYNC110 - its deadline ends it
            await asyncio.sleep(0.005)
        retry = await final_success(play, values, "retry", "the original was held up")
        before = await play.effects(1)
        witness(
            play,
            "the original was still on its way when its retry was answered",
            not task.done() and await proxy.still_armed(_HOLD),
        )
        await proxy.heal(_HOLD)
        original = await task
    effects = await play.effects(1)
    if effects > 1:
        # Twice before the original arrived: the retry alone did it.
        raise Broken(
            f"the original arrived after its retry, and the request {took(effects)}",
            play.bench.cause(causes.LATE_ORIGINAL if before == 1 else causes.HIDDEN_EFFECT),
        )
    witness(play, "the late original arrived and was answered", original.answer is not None)
    must_be_once(
        play, effects, "a request whose original was late", causes.LATE_ORIGINAL, causes.LOST_EFFECT
    )
    if original.succeeded:
        must_be_same(play, retry, original, "the late original")
    elif original.status >= 500 and not play.bench.answers.is_waiting(original):
        raise Broken(
            f"the original that arrived after its retry is answered {original.saw}",
            causes.NOT_ATOMIC_ANSWER,
        )
    else:
        play.evidence.note(f"The late original is refused: {original.saw}")


def _on_the_way(attempts: list[Attempt]) -> bool:
    return bool(attempts) and (attempts[0].complete_ms or attempts[0].ended_ms) is not None


def _middle_of(answer: Answer) -> int:
    """Where an answer is cut: in the middle of its body, or of its head when it has none. In bytes."""
    head = len("HTTP/1.1 200 OK\r\n\r\n") + sum(
        len(name) + len(value) + 4 for name, value in answer.headers
    )
    return head + len(answer.body) // 2 if len(answer.body) > 1 else head // 2


def _head_bytes(play: Play, rendered: Rendered) -> int:
    """The bytes of a request's head as the caller sends it."""
    return play.bench.caller.head_bytes(rendered)


CASES = (
    Case(
        "response-lost",
        "the answer is lost",
        "The service has executed the request, the caller hears nothing and retries: one effect, and an answer.",
        "the effect was read before the retry",
        _response_lost,
    ),
    Case(
        "request-lost",
        "the request is lost",
        "The service never saw the request, the caller hears nothing and retries: one effect.",
        "no effect was read before the retry",
        _request_lost,
    ),
    Case(
        "response-cut",
        "the answer is cut in the middle",
        "Half an answer is no answer: the caller retries, one effect, and a whole answer.",
        "the effect was read before the retry",
        _response_cut,
    ),
    Case(
        "request-cut",
        "the request is cut in the middle",
        "Half a request spends no key: the complete request with the same key succeeds, with one effect.",
        "a new request succeeds",
        _request_cut,
    ),
    Case(
        "late-original",
        "the original arrives after its retry",
        "A request that was held up in the network and arrives after its retry causes no second effect.",
        "the original was held until its retry had been answered, and was answered itself",
        _late_original,
    ),
)
