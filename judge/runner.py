"""Plays the cases against one service, one after the other.

Guarantee: whatever happens, the service that was started, Toxiproxy and all proxies are gone at the end. An effect that
comes after its case has ended is seen at the beginning of the next one, and the case is played again with more patience.
"""

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from judge.answers import Answers
from judge.calibration import calibrate
from judge.caller import Caller
from judge.cases.case import Case, plain
from judge.cases.catalogue import CASES
from judge.config.model import Config
from judge.errors import Broken, JudgeError, ProbeError, ServiceError, Untold
from judge.evidence import Evidence, clock
from judge.network import Network
from judge.play import Bench, Play
from judge.probe.meter import Meter, Pace
from judge.probe.sources import source
from judge.requests import Requests
from judge.service import Service
from judge.verdict import LEFT_OUT, Kind, NotPlayed, Run, Verdict

CALIBRATION = "calibration"
# A case that is played again for a late effect: the reading must stay the same for so long.
_PATIENCE_S = 3.0
_INTERFERENCE_S = 0.3


class Progress(Protocol):
    """What is told while a run is played."""

    def says(self, text: str) -> None:
        """Something that takes a while begins."""

    def begins(self, number: int, of: int, title: str) -> None:
        """A case begins."""

    def ends(self, verdict: Verdict) -> None:
        """A case has its verdict."""


@dataclass(frozen=True)
class Options:
    """What the command line says. `only` are names of cases; empty for all."""

    seed: int
    only: Sequence[str] = ()


async def judge(config: Config, options: Options, progress: Progress) -> Run:
    """Judges a service. Raises `JudgeError` when the judge cannot work at all."""
    clock_ms = clock()
    run = Run(
        config.service.url,
        options.seed,
        datetime.now(UTC).isoformat(timespec="seconds"),
        config.expect.profile,
    )
    # TemporaryDirectory: what the service writes is needed for the sentence of a failed start only.
    with tempfile.TemporaryDirectory(prefix="retry-judge-") as name:
        folder = Path(name)
        caller = Caller(config.service.url, clock_ms)
        read = source(config, caller)
        service = Service(config, caller, folder)
        network = Network(caller.authority, folder, progress.says)
        try:
            await network.open()
            progress.says(
                "Starting the service" if service.can_start else "Looking for the service"
            )
            await service.open()
            bench = Bench(
                config,
                Requests(config.request),
                caller,
                Meter(read, config.effect.step, Pace()),
                network,
                service,
                Answers(config.expect),
                options.seed,
            )
            await _Runner(run, bench, options, progress, clock_ms).play()
        finally:
            try:
                await service.close()
            finally:
                await network.close()
    run.seconds = clock_ms() / 1000
    return run


class _Runner:
    def __init__(
        self,
        run: Run,
        bench: Bench,
        options: Options,
        progress: Progress,
        clock_ms: Callable[[], float],
    ) -> None:
        self.run = run
        self.bench = bench
        self.options = options
        self.progress = progress
        self.clock_ms = clock_ms

    async def play(self) -> None:
        cases = self._chosen()
        self.progress.begins(0, len(cases), "calibrating the probe")
        calibration = await self._judged(_CALIBRATION)
        self._add(calibration)
        if calibration.kind != "pass":
            why = f"the calibration is {calibration.kind}"
            self.run.not_played += [NotPlayed(case.name, case.title, why) for case in cases]
            return
        self.run.latency_s, self.run.lag_s = self.bench.latency_s, self.bench.meter.pace.lag_s
        last: tuple[Case, Verdict] | None = None
        for number, case in enumerate(cases, start=1):
            self.progress.begins(number, len(cases), case.title)
            await self._settled(last)
            last = (case, await self._judged(case))
        await self._settled(last)

    def _chosen(self) -> list[Case]:
        chosen = []
        for case in CASES:
            why = case.needs(self.bench.config)
            if self.options.only and case.name not in self.options.only:
                why = LEFT_OUT
            if why:
                self.run.not_played.append(NotPlayed(case.name, case.title, why))
            else:
                chosen.append(case)
        return chosen

    async def _settled(self, last: tuple[Case, Verdict] | None) -> None:
        """The verdict of the case before, once it is sure that nothing came after it."""
        if last is None:
            return
        case, verdict = last
        if verdict.kind == "pass" and (late := await self._came_late(verdict)):
            verdict = await self._again(case, late)
        self._add(verdict)

    async def _came_late(self, verdict: Verdict) -> str:
        readings = verdict.evidence.readings
        try:
            now = await self.bench.meter.value()
        except (ProbeError, ServiceError):
            return ""
        if not readings or now == readings[-1].value:
            return ""
        return f"from {plain(readings[-1].value)} to {plain(now)}"

    async def _again(self, case: Case, late: str) -> Verdict:
        if await self.bench.meter.changes_within(_PATIENCE_S):
            raise JudgeError(
                f"the reading changed {late} and goes on changing while nothing is sent: another user changes what the probe reads."
            )
        verdict = await self._judged(case, _PATIENCE_S)
        if verdict.kind != "pass":
            return verdict
        why = f"the reading changed {late} after the case had ended; played again, it did not"
        return _with(verdict, "unknown", why)

    async def _judged(self, case: Case, patience_s: float = 0.0) -> Verdict:
        evidence = Evidence(self.clock_ms)
        chance = random.Random(f"{self.options.seed} {case.name}")  # noqa: S311 - moments, not secrets
        play = Play(self.bench, evidence, chance, patience_s)
        began = time.monotonic()
        kind: Kind = "pass"
        sentence, cause = "", ""
        try:
            if case.name != CALIBRATION:
                await play.ensure_up()
                await self.bench.meter.begin(evidence)
            await case.play(play)
        except Broken as exc:
            kind, sentence, cause = "fail", exc.sentence, exc.cause
        except Untold as exc:
            kind, sentence = "unknown", str(exc)
        except (ProbeError, ServiceError) as exc:
            if case.name == CALIBRATION:
                raise
            kind, sentence = "unknown", str(exc)
        finally:
            await play.close()
        if kind == "pass" and not evidence.witnesses:
            kind, sentence = "unknown", "there is no evidence that the case was played"
        if kind == "pass" and (missing := [w.claim for w in evidence.witnesses if not w.seen]):
            kind, sentence = "unknown", f"there is no evidence that {missing[0]}"
        if kind == "fail" and await self._disturbed():
            kind, cause = "unknown", ""
            sentence = (
                f"the reading changes while nothing is sent, so this proves nothing: {sentence}"
            )
        seconds = time.monotonic() - began
        return Verdict(
            case.name,
            case.title,
            case.promise,
            case.control,
            kind,
            _whole(sentence),
            cause,
            seconds,
            evidence,
        )

    async def _disturbed(self) -> bool:
        try:
            return await self.bench.meter.changes_within(_INTERFERENCE_S)
        except (ProbeError, ServiceError):
            return False

    def _add(self, verdict: Verdict) -> None:
        self.run.verdicts.append(verdict)
        if verdict.kind == "fail":
            self.bench.failed[verdict.name] = verdict.cause
        self.progress.ends(verdict)


def _whole(sentence: str) -> str:
    """With a capital at its beginning and a full stop at its end."""
    if not sentence:
        return ""
    return sentence[0].upper() + sentence[1:] + ("" if sentence.endswith((".", "…")) else ".")


def _with(verdict: Verdict, kind: Kind, sentence: str) -> Verdict:
    return Verdict(
        verdict.name,
        verdict.title,
        verdict.promise,
        verdict.control,
        kind,
        sentence,
        "",
        verdict.seconds,
        verdict.evidence,
    )


_CALIBRATION = Case(
    CALIBRATION,
    "the probe counts",
    "One request changes the reading by one step, two keys by two steps, no request by none.",
    "the reading is watched while nothing is sent",
    calibrate,
)
