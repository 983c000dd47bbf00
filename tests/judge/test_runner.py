"""What a run makes of its cases: late effects, disturbances and missing evidence. The reading is the test's."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from judge import runner
from judge.cases.case import Case
from judge.config.reading import parsed
from judge.errors import Broken, JudgeError, ServiceError
from judge.evidence import clock
from judge.network import Network
from judge.play import Play
from judge.probe.meter import Meter, Pace
from judge.runner import Options
from judge.service import Service
from judge.verdict import Run, Verdict
from tests.judge.conftest import smallest

Played = Callable[[Play], Awaitable[None]]


class Ledger:
    """Effects; while it is `restless`, each reading is another one."""

    def __init__(self) -> None:
        self.effects = 0
        self.restless = False

    async def read(self) -> Decimal:
        self.effects += self.restless
        return Decimal(self.effects)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_PATIENCE_S", 0.5)
    monkeypatch.setattr(runner, "_INTERFERENCE_S", 0.2)


async def verdicts(
    monkeypatch: pytest.MonkeyPatch, ledger: Ledger, *cases: Played
) -> list[Verdict]:
    """Those of the cases, played one after the other."""
    monkeypatch.setattr(runner, "CASES", [_case(f"case {n}", p) for n, p in enumerate(cases)])
    monkeypatch.setattr(runner, "_CALIBRATION", _case(runner.CALIBRATION, once(ledger)))
    bench: Any = SimpleNamespace(
        config=None,
        meter=Meter(ledger.read, Decimal(1), Pace(quiet_min_s=0.05)),
        service=SimpleNamespace(can_start=False, until_ready=ready),
        failed={},
        latency_s=0.0,
    )
    progress: Any = SimpleNamespace(begins=lambda *_: None, ends=lambda _: None)
    run = Run("http://service", 1, "now", "draft")
    await runner._Runner(run, bench, Options(1), progress, clock()).play()
    return run.verdicts[1:]


async def ready(_: float) -> bool:
    return True


def _case(name: str, played: Played) -> Case:
    return Case(name, name, "a promise", "a control", played)


def once(ledger: Ledger, *, seen: bool | None = True) -> Played:
    """One effect, which is counted, and its witness."""

    async def played(play: Play) -> None:
        await play.begin_again()
        ledger.effects += 1
        effects = await play.effects(1)
        if effects != 1:
            raise Broken(f"a request took effect {effects} times", "the usual cause")
        if seen is not None:
            play.evidence.witness("a request was answered", seen)

    return played


@pytest.mark.parametrize(
    ("seen", "kind", "sentence"),
    [
        (True, "pass", ""),
        (False, "unknown", "There is no evidence that a request was answered."),
        (None, "unknown", "There is no evidence that the case was played."),
    ],
)
async def test_a_case_passes_by_its_witnesses(
    monkeypatch: pytest.MonkeyPatch, ledger: Ledger, seen: bool | None, kind: str, sentence: str
) -> None:
    """A claim without a seen witness proves nothing."""
    (verdict,) = await verdicts(monkeypatch, ledger, once(ledger, seen=seen))
    assert (verdict.kind, verdict.sentence) == (kind, sentence)


@pytest.mark.parametrize("restless", [False, True])
async def test_a_failure_while_others_write(
    monkeypatch: pytest.MonkeyPatch, ledger: Ledger, restless: bool
) -> None:
    """It is one only when the reading rests; the next case is told what failed."""

    async def broken(_: Play) -> None:
        ledger.restless = restless
        raise Broken("it took effect twice", "the usual cause")

    async def calm(play: Play) -> None:
        ledger.restless = False
        assert play.bench.failed == ({} if restless else {"case 0": "the usual cause"})
        await once(ledger)(play)

    first, second = await verdicts(monkeypatch, ledger, broken, calm)
    assert second.kind == "pass"
    if restless:
        assert (first.kind, first.cause) == ("unknown", "")
        assert "proves nothing: it took effect twice" in first.sentence
    else:
        assert (first.kind, first.cause) == ("fail", "the usual cause")


def late(ledger: Ledger, *, again: bool) -> Played:
    """An effect after the case has ended; `again`: played once more, it comes within the patience."""
    plays = itertools.count()

    async def played(play: Play) -> None:
        if next(plays) == 0:
            await once(ledger)(play)
            ledger.effects += 1
        elif again:
            play.start(comes_later())
            await once(ledger)(play)
        else:
            await once(ledger)(play)

    async def comes_later() -> None:
        asyncio.get_running_loop().call_later(0.15, one_more)

    def one_more() -> None:
        ledger.effects += 1

    return played


@pytest.mark.parametrize("last", [False, True])
async def test_a_late_effect(monkeypatch: pytest.MonkeyPatch, ledger: Ledger, last: bool) -> None:
    """The case is played again with patience, and fails when the effect comes again; so does the last one."""
    others = () if last else (once(ledger),)
    found = await verdicts(monkeypatch, ledger, late(ledger, again=True), *others)
    assert [each.kind for each in found] == ["fail", "pass"][: len(found)]
    assert found[0].sentence == "A request took effect 2 times."


async def test_a_late_effect_that_does_not_come_again(
    monkeypatch: pytest.MonkeyPatch, ledger: Ledger
) -> None:
    """It may have been another user's: nothing can be told."""
    (verdict,) = await verdicts(monkeypatch, ledger, late(ledger, again=False))
    assert verdict.kind == "unknown"
    assert "from 2 to 3 after the case had ended; played again, it did not" in verdict.sentence


async def test_another_user(monkeypatch: pytest.MonkeyPatch, ledger: Ledger) -> None:
    """The run ends, with one sentence, when the reading goes on changing."""

    async def played(play: Play) -> None:
        await once(ledger)(play)
        ledger.restless = True

    with pytest.raises(JudgeError, match="goes on changing while nothing is sent"):
        await verdicts(monkeypatch, ledger, played)


async def test_what_was_started_is_gone_whatever_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Toxiproxy ends also when the service cannot be ended."""
    done: list[str] = []

    def does(name: str, error: type[Exception] | None = None) -> Any:
        async def do(*_: Any) -> None:
            done.append(name)
            if error is not None:
                raise error(name)

        return do

    monkeypatch.setattr(Network, "open", does("network"))
    monkeypatch.setattr(Network, "close", does("network closed"))
    monkeypatch.setattr(Service, "open", does("service", ServiceError))
    monkeypatch.setattr(Service, "close", does("service closed", ServiceError))
    text = smallest("http://127.0.0.1:9")
    progress: Any = SimpleNamespace(says=lambda _: None)
    with pytest.raises(ServiceError):
        await runner.judge(parsed(text, tmp_path / "judge.toml"), Options(1), progress)
    assert done == ["network", "service", "service closed", "network closed"]
