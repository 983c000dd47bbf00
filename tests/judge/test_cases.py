"""Each case tells a right receiver from one with a single flaw, by its verdict and the cause that it names.

Every branch that makes a verdict weaker or stronger has a receiver here, or a planted one in `test_planted.py`.
"""

import random
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from judge import causes, play, runner
from judge.answers import Answers
from judge.caller import Caller
from judge.cases import misuse, network, replay, twins
from judge.cases.catalogue import CASES
from judge.config.reading import parsed
from judge.errors import Untold
from judge.evidence import Answer as Given
from judge.evidence import Attempt, Evidence, clock
from judge.network import Network
from judge.play import Bench, Play
from judge.probe import meter
from judge.probe.meter import Meter, Pace
from judge.requests import Rendered, Requests, Values
from judge.runner import Options
from judge.service import Service
from judge.verdict import Run, Verdict
from tests.judge.receiver import Answer, Receiver, Reply, Sent, made, running, wait

Judged = Callable[..., Awaitable[Verdict]]
TOML = """
[service]
url = "http://127.0.0.1:{port}"

[request]
path = "/payments"
headers = {{ Authorization = "Bearer one-token", "Idempotency-Key" = "{{key}}" }}
json = {{ amount = 100, reference = "{{unique}}" }}
other = {{ amount = 101 }}
other_caller = {{ Authorization = "Bearer two-token" }}
other_path = "/refunds"

[effect]
http = "GET /"
value = "$.n"
step = 1

[expect]
in_flight_ends_s = 0.3
{expect}
"""


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as they wait for what comes from other processes or machines."""
    monkeypatch.setattr(replay, "_QUIET_S", 0.3)
    monkeypatch.setattr(misuse, "_WAITS_S", 0.1)
    monkeypatch.setattr(network, "_AFTER_CUT_S", 0.05)
    monkeypatch.setattr(twins, "_ROUNDS", 1)
    monkeypatch.setattr(play, "_ERRORS_END_S", 0.1)
    monkeypatch.setattr(meter, "_MISSING_AFTER_S", 0.5)


@pytest.fixture(scope="module")
async def toxiproxy(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Network]:
    """One Toxiproxy for all cases; each has its own proxies."""
    shared = Network("127.0.0.1:9", tmp_path_factory.mktemp("toxiproxy"), lambda _: None)
    await shared.open()
    yield shared
    await shared.close()


@pytest.fixture
async def judged(tmp_path: Path, toxiproxy: Network) -> AsyncIterator[Judged]:
    """Plays one case against a receiver that answers so."""
    with running() as receiver:

        async def play_case(name: str, answer: Answer, expect: str = "") -> Verdict:
            text = TOML.format(port=receiver.port, expect=expect)
            config = parsed(text, tmp_path / "judge.toml")
            clock_ms = clock()
            caller = Caller(config.service.url, clock_ms)

            async def read() -> Decimal:
                return Decimal(receiver.effects)

            toxiproxy._upstream = caller.authority
            bench = Bench(
                config,
                Requests(config.request),
                caller,
                Meter(read, Decimal(1), Pace(quiet_min_s=0.1)),
                toxiproxy,
                Service(config, caller, tmp_path),
                Answers(config.expect),
                1,
            )
            # The case itself begins with the right receiver's answer to compare with.
            first = Play(bench, Evidence(clock_ms), random.Random(1))
            bench.sample = await first.until_final(first.new(), "sample")
            assert bench.sample.succeeded
            receiver.answer = answer
            run = Run(config.service.url, 1, "now", "draft-07")
            progress: Any = None
            played = runner._Runner(run, bench, Options(1), progress, clock_ms)
            (case,) = (each for each in CASES if each.name == name)
            assert case.needs(config) == ""
            return await played._judged(case)

        yield play_case


def again(
    flawed: Callable[[Receiver, Sent, Reply], Reply], *, time: int = 2, last: int = 1000
) -> Answer:
    """The right answer, but from this time on, to the last one, when the key was used before."""

    def answer(receiver: Receiver, sent: Sent) -> Reply:
        reply = receiver.right(sent)
        return flawed(receiver, sent, reply) if time <= sent.time <= last else reply

    return answer


def of_keys(flawed: Answer, *, like: Callable[[Sent], bool]) -> Answer:
    """The right answer, but for requests of a kind."""
    return lambda receiver, sent: flawed(receiver, sent) if like(sent) else receiver.right(sent)


def executes(receiver: Receiver, _: Sent, reply: Reply) -> Reply:
    """One more effect, and the right answer: it hides it."""
    receiver.executed()
    return reply


def executes_anew(receiver: Receiver, *_: Any) -> Reply:
    return receiver.executed()


def answers_anew(*_: Any) -> Reply:
    return made()


def refuses(*_: Any) -> Reply:
    return Reply(422, {"error": "known"})


def fails(*_: Any) -> Reply:
    return Reply(500, {"error": "defect"})


def in_flight(*_: Any) -> Reply:
    return Reply(409, {"error": "in flight"})


def executes_and_refuses(receiver: Receiver, *_: Any) -> Reply:
    receiver.executed()
    return Reply(400, {"error": "no"})


def executes_later(receiver: Receiver, _: Sent, reply: Reply) -> Reply:
    """In the background, when the caller has its answer already."""
    threading.Timer(0.15, receiver.executed).start()
    return reply


def nothing(*_: Any) -> Reply:
    """A success that was not executed."""
    return made()


def first_is_nothing(receiver: Receiver, sent: Sent) -> Reply:
    """What is not answered is not executed: the second time it is."""
    if sent.time == 1:
        wait(0.3)
        return Reply(503)
    return receiver.right(sent)


def tells(receiver: Receiver, sent: Sent, reply: Reply) -> Reply:
    """Refused, with the answer that was given for the key."""
    if reply.status < 400:
        return reply
    known = next((each for (_, key), each in receiver._kept.items() if key == sent.key), None)
    return Reply(reply.status, known[2].body) if known else reply


def keyed_by(*parts: str) -> Answer:
    """Keys belong to these parts of a request alone, and the first answer is given for all of it."""

    def answer(receiver: Receiver, sent: Sent) -> Reply:
        whole = {"caller": "one", "path": "/payments", "content": b""}
        return receiver.right(replace(sent, **{**whole, **{p: getattr(sent, p) for p in parts}}))

    return answer


def by_payload(receiver: Receiver, sent: Sent) -> Reply:
    """Another payload makes another key."""
    return receiver.right(replace(sent, key=f"{sent.key}{hash(sent.content)}"))


def told_to_another(receiver: Receiver, sent: Sent) -> Reply:
    return tells(receiver, sent, second_caller_is_refused(receiver, sent))


def told_in_refusals(receiver: Receiver, sent: Sent) -> Reply:
    return tells(receiver, sent, receiver.right(sent))


def teapot(_: Receiver, __: Sent, reply: Reply) -> Reply:
    """Refused by a status that is not documented."""
    return replace(reply, status=418) if reply.status == 422 else reply


def second_caller_is_refused(receiver: Receiver, sent: Sent) -> Reply:
    """For whatever reason the key cannot be used by two."""
    used = any(key == sent.key for _, key in receiver._kept)
    return refuses() if sent.caller == "two" and used else receiver.right(sent)


def spoilt(receiver: Receiver, sent: Sent) -> Reply:
    """A refusal spends the key: the request that had it is refused from then on, too."""
    reply = receiver.right(sent)
    if reply.status == 422 and sent.key:
        receiver._kept[sent.caller, sent.key] = (b"spoilt", sent.path, reply)
    return reply


def unspent(receiver: Receiver, sent: Sent) -> Reply:
    """A refusal forgets the key: the request that had it is executed again."""
    reply = receiver.right(sent)
    if reply.status == 422 and sent.key:
        del receiver._kept[sent.caller, sent.key]
    return reply


def long_keys(cut: slice, refused: bool = False) -> Answer:
    """Keys of any length are accepted; of a long one, a part is kept."""
    taken: set[str] = set()

    def answer(receiver: Receiver, sent: Sent) -> Reply:
        key = sent.key or ""
        if len(key) < 256:
            return receiver.right(sent)
        kept = key[cut]
        if refused and kept in taken and sent.time == 1:
            return Reply(422, {"error": "known"})
        taken.add(kept)
        return receiver.right(replace(sent, key=kept, content=b""))

    return answer


PASS, FAIL, UNKNOWN = "pass", "fail", "unknown"
STRANGE = ("key-empty", "key-quoted", "key-malformed")
NO_KEY: Callable[[Sent], bool] = lambda sent: not sent.key  # noqa: E731
ODD: Callable[[Sent], bool] = lambda sent: not sent.key or '"' in sent.key  # noqa: E731
ROWS: list[tuple[str, str, Answer, str, str, str]] = [
    # The case, what is the matter, who answers, what is expected, the verdict, and what it says.
    *(
        (name, "nothing", Receiver.right, "", PASS, "")
        for name in (
            "replay",
            "twins",
            "duplicate",
            "response-lost",
            "request-lost",
            "response-cut",
            "request-cut",
            "late-original",
            "other-payload",
            "other-caller",
            "other-path",
            "key-missing",
            "key-empty",
            "key-long",
            "key-quoted",
            "key-malformed",
        )
    ),
    ("replay", "an effect in secret", again(executes), "", FAIL, causes.HIDDEN_EFFECT),
    (
        "replay",
        "an effect in the background",
        again(executes_later),
        "",
        FAIL,
        causes.HIDDEN_EFFECT,
    ),
    ("replay", "no key at all", executes_anew, "", FAIL, causes.UNPROTECTED),
    ("replay", "another answer", again(answers_anew), "", FAIL, causes.NOT_ATOMIC_ANSWER),
    ("replay", "a refused retry", again(refuses), "", FAIL, causes.REFUSED_RETRY),
    ("replay", "errors for ever", again(fails), "", FAIL, causes.ERROR_AS_FINAL),
    ("replay", "in flight for ever", again(in_flight), "", FAIL, causes.STRANDED),
    ("replay", "no effect", nothing, "", UNKNOWN, "the first request took effect"),
    ("twins", "another answer", again(answers_anew), "", FAIL, causes.NOT_ATOMIC_ANSWER),
    (
        "twins",
        "one of them gets another answer",
        again(answers_anew, time=5, last=5),
        "",
        FAIL,
        causes.NOT_ATOMIC_ANSWER,
    ),
    ("twins", "a refusal", again(refuses), "", FAIL, "neither the same answer nor in flight"),
    ("twins", "an effect in secret", again(executes), "", FAIL, causes.UNPROTECTED),
    ("twins", "one is in flight", again(in_flight, time=9), "", FAIL, causes.STRANDED),
    (
        "duplicate",
        "another answer at the end",
        again(answers_anew, time=3),
        "",
        FAIL,
        causes.NOT_ATOMIC_ANSWER,
    ),
    (
        "duplicate",
        "an effect at the end",
        again(executes, time=3),
        "",
        FAIL,
        causes.CHECK_THEN_INSERT,
    ),
    ("duplicate", "no effect", nothing, "", FAIL, causes.LOST_EFFECT),
    ("response-lost", "an effect in secret", again(executes), "", FAIL, causes.UNPROTECTED),
    (
        "response-lost",
        "another answer",
        again(answers_anew, time=3),
        "",
        FAIL,
        causes.NOT_ATOMIC_ANSWER,
    ),
    ("response-lost", "a refused retry", again(refuses), "", FAIL, causes.REFUSED_RETRY),
    (
        "response-lost",
        "executed by the retry alone",
        first_is_nothing,
        "",
        UNKNOWN,
        "had taken effect before its retry",
    ),
    ("response-lost", "a third effect", again(executes, time=3), "", FAIL, causes.HIDDEN_EFFECT),
    (
        "request-lost",
        "an effect in secret",
        again(executes, time=1),
        "",
        FAIL,
        causes.HIDDEN_EFFECT,
    ),
    ("request-lost", "no effect", nothing, "", FAIL, causes.LOST_EFFECT),
    ("response-cut", "an effect in secret", again(executes), "", FAIL, causes.UNPROTECTED),
    (
        "late-original",
        "an effect by the original",
        again(executes_anew),
        "",
        FAIL,
        causes.LATE_ORIGINAL,
    ),
    ("late-original", "another answer", again(answers_anew), "", FAIL, causes.NOT_ATOMIC_ANSWER),
    ("late-original", "an error", again(fails), "", FAIL, causes.NOT_ATOMIC_ANSWER),
    ("late-original", "a refusal", again(in_flight), "", PASS, ""),
    ("other-payload", "executed", by_payload, "", FAIL, causes.UNPROTECTED),
    (
        "other-payload",
        "the first answer",
        keyed_by("caller", "path"),
        "",
        FAIL,
        causes.PAYLOAD_NOT_COMPARED,
    ),
    ("other-payload", "a refusal that tells", told_in_refusals, "", FAIL, "gives away"),
    ("other-payload", "another status", again(teapot), "", PASS, ""),
    (
        "other-payload",
        "another status than is stated",
        again(teapot),
        "other_payload = 422",
        FAIL,
        "not 422",
    ),
    ("other-payload", "the key is spoilt", spoilt, "", FAIL, causes.REFUSED_RETRY),
    ("other-payload", "the key is forgotten", unspent, "", FAIL, causes.NOT_ATOMIC_ANSWER),
    ("other-caller", "the first answer", keyed_by("path", "content"), "", FAIL, causes.KEYS_SHARED),
    ("other-caller", "a refusal", second_caller_is_refused, "", FAIL, causes.KEYS_SHARED),
    ("other-caller", "a refusal that tells", told_to_another, "", FAIL, "is told"),
    (
        "other-caller",
        "an error for each key",
        of_keys(fails, like=lambda sent: sent.caller == "two"),
        "",
        UNKNOWN,
        "gets no answer with a key of its own",
    ),
    (
        "other-path",
        "the first answer",
        keyed_by("caller", "content"),
        "",
        FAIL,
        causes.PATHS_SHARED,
    ),
    ("other-path", "a refusal that tells", told_in_refusals, "", FAIL, "gives away"),
    (
        "other-path",
        "an error for each key",
        of_keys(fails, like=lambda sent: sent.path == "/refunds"),
        "",
        UNKNOWN,
        "with a key of its own",
    ),
    ("key-missing", "executed", of_keys(executes_anew, like=NO_KEY), "", FAIL, causes.KEY_OPTIONAL),
    (
        "key-missing",
        "executed, as the profile says",
        of_keys(executes_anew, like=NO_KEY),
        'profile = "stripe"',
        PASS,
        "",
    ),
    (
        "key-missing",
        "executed, against what is stated",
        of_keys(executes_anew, like=NO_KEY),
        'profile = "stripe"\nmissing_key = 400',
        FAIL,
        "says 400",
    ),
    (
        "key-missing",
        "refused and executed",
        of_keys(executes_and_refuses, like=NO_KEY),
        "",
        FAIL,
        "and yet changed the reading",
    ),
    ("key-missing", "an error", of_keys(fails, like=NO_KEY), "", FAIL, "not 400"),
    *(
        (
            name,
            "executed each time",
            of_keys(executes_anew, like=ODD),
            "",
            FAIL,
            causes.KEY_OPTIONAL,
        )
        for name in STRANGE
    ),
    *(
        (
            name,
            "refused and executed",
            of_keys(executes_and_refuses, like=ODD),
            "",
            FAIL,
            "and yet the reading changed",
        )
        for name in STRANGE
    ),
    (
        "key-empty",
        "counts as none",
        of_keys(executes_anew, like=NO_KEY),
        'profile = "stripe"',
        PASS,
        "",
    ),
    ("key-long", "kept whole", long_keys(slice(None)), "", PASS, ""),
    ("key-long", "cut at its end", long_keys(slice(255)), "", FAIL, causes.TRUNCATED_KEY),
    (
        "key-long",
        "cut, and the second one refused",
        long_keys(slice(255), refused=True),
        "",
        FAIL,
        causes.TRUNCATED_KEY,
    ),
    (
        "key-long",
        "executed each time",
        of_keys(executes_anew, like=lambda sent: len(sent.key or "") > 255),
        "",
        FAIL,
        causes.KEY_OPTIONAL,
    ),
]


@pytest.mark.parametrize(
    ("case", "answer", "expect", "kind", "says"),
    [pytest.param(*(row[0], *row[2:]), id=f"{row[0]}: {row[1]}") for row in ROWS],
)
async def test_a_case(
    judged: Judged, case: str, answer: Answer, expect: str, kind: str, says: str
) -> None:
    verdict = await judged(case, answer, expect)
    told = f"{verdict.sentence} {verdict.cause}"
    assert (verdict.kind, says in told) == (kind, True), told
    if kind == PASS:
        assert all(witness.seen for witness in verdict.evidence.witnesses)


async def test_a_request_that_was_not_lost(judged: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was executed, and only its answer was lost: then its retry says nothing of lost requests."""
    monkeypatch.setattr(network, "_REQUEST_LOST", network._RESPONSE_LOST)
    verdict = await judged("request-lost", Receiver.right)
    assert verdict.kind == UNKNOWN
    assert "had taken no effect before its retry" in verdict.sentence


@pytest.mark.parametrize(
    ("times", "overlapping"),
    [
        # Began, complete on the wire, the head of the answer: in milliseconds.
        ([(0, 1, 5), (2, 3, 7)], True),
        ([(0, 1, 5), (6, 7, 9)], False),
        ([(0, 1, 5), (4, None, 9)], True),
        ([(0, 1, 5), (5, 6, 9), (10, 11, 12)], False),
        ([(0, 1, None), (2, 3, 7)], True),
        ([(0, 1, 5)], False),
    ],
)
def test_requests_that_overlap(
    times: list[tuple[float, float | None, float | None]], overlapping: bool
) -> None:
    """Two of them were under way before either had its answer: only then do they say something of races."""
    rendered = Rendered("POST", "/", (), b"", "k")
    attempts = [
        Attempt(number, "twin", "direct", rendered, began, complete, head, head or 20.0)
        for number, (began, complete, head) in enumerate(times)
    ]
    assert twins._overlapping(attempts) is overlapping


@pytest.mark.parametrize("overlapping", [True, False])
async def test_twins_that_came_one_after_the_other(overlapping: bool) -> None:
    """They are no twins: whatever they were answered, it says nothing of a race."""
    rendered = Rendered("POST", "/", (), b"", "k")
    answer = Given(201, (), b"{}")
    second = 0.5 if overlapping else 6.0
    attempts = [
        Attempt(1, "twin", "direct", rendered, 0.0, 1.0, 5.0, 5.0, answer),
        Attempt(2, "twin", "direct", rendered, second, second + 1, second + 5, second + 5, answer),
    ]

    async def until_final(*_: Any) -> Attempt:
        return attempts[0]

    async def effects(*_: Any) -> Decimal:
        return Decimal(1)

    text = TOML.format(port=1, expect="")
    bench = SimpleNamespace(answers=Answers(parsed(text, Path("judge.toml")).expect))
    evidence = Evidence(clock())
    stage: Any = SimpleNamespace(
        until_final=until_final, effects=effects, bench=bench, evidence=evidence
    )
    if overlapping:
        await twins._judge_twins(stage, VALUES, attempts)
    else:
        with pytest.raises(Untold, match="in flight at the same time"):
            await twins._judge_twins(stage, VALUES, attempts)
    assert [witness.seen for witness in evidence.witnesses] == [overlapping]


VALUES = Values("k", "u", "v", "1")
