"""The soak: plans are a function of the seed, failures are made small, a planted bug is found."""

import argparse
import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from chaos import __main__ as command
from chaos.evidence.readings import Evidence, Witness
from chaos.promises.catalogue import Finding, Kind
from chaos.promises.verdict import Verdict
from chaos.results.progress import round_line, soak_summary
from chaos.results.result import write_soak
from chaos.soak import endurance as endurance_module
from chaos.soak import rounds
from chaos.soak.endurance import Endurance, Endured
from chaos.soak.plan import ORDERS_A_ROUND, TOXICS, Plan, Strike, draw, read
from chaos.soak.rounds import Faults, Round
from chaos.soak.shrink import REPLAYS, replay, shrink
from stack.servers import LentServers
from tests.chaos.planted import BUGS

KILL = Strike("kill", 3, 9, "billing_service", replica=1)
CUT = Strike("toxic", 2, 30, "billing", "answers cut")
CRASH = Strike("postgres", 5, 6)


def test_a_plan_is_a_function_of_its_seed() -> None:
    """The same seed and round give the same plan; others give others."""
    plans = {draw(seed, number) for seed in range(20) for number in range(5)}
    assert len(plans) == 100
    assert draw(7, 3) == draw(7, 3)
    for plan in plans:
        assert plan.strikes
        assert all(0 <= s.begins < s.ends <= ORDERS_A_ROUND for s in plan.strikes)


def test_every_kind_of_strike_is_drawn() -> None:
    """Toxics on every hop, kills of every service, stops, and crashes of Postgres."""
    strikes = [strike for seed in range(300) for strike in draw(seed).strikes]
    assert {s.what for s in strikes} == {"toxic", "kill", "stop", "postgres"}
    assert {s.where for s in strikes if s.what == "toxic"} == {
        "billing",
        "notification",
        "billing-db",
        "order-db",
        "notification-db",
    }


def test_a_plan_is_read_as_it_was_written() -> None:
    """And what is no plan is refused."""
    plan = draw(11)
    assert read(json.loads(json.dumps(plan.as_json()))) == plan
    for wrong in ({}, {"seed": 1, "orders": 2, "strikes": [{"what": "toxic"}]}):
        with pytest.raises((KeyError, TypeError)):
            read(wrong)
    unknown = plan.as_json() | {
        "strikes": [{"what": "toxic", "begins": 0, "ends": 1, "where": "moon", "how": "cut"}]
    }
    with pytest.raises(ValueError, match="moon"):
        read(unknown)


def test_each_stack_has_a_folder_of_its_own(tmp_path: Path) -> None:
    """Otherwise a trial would find the database of the failure before."""
    endurance = Endurance(tmp_path, lambda _: None, cast(Any, None))
    folders = {endurance._fresh() for _ in range(3)}
    assert len(folders) == 3
    assert all(folder.parent == tmp_path for folder in folders)


def played(verdict: Verdict, *found: Finding) -> Round:
    return Round(draw(1), verdict, [], found, 1, 1, 0.1)


@pytest.mark.parametrize(
    ("verdict", "fails"), [(Verdict.PASS, False), (Verdict.FAIL, True), (Verdict.UNKNOWN, False)]
)
async def test_an_unknown_trial_has_not_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdict: Verdict, fails: bool
) -> None:
    """The plan that is printed has broken a promise."""
    endurance = Endurance(tmp_path, lambda _: None, cast(Any, None))

    async def once(_: Plan) -> Round:
        return played(verdict)

    monkeypatch.setattr(endurance, "once", once)
    assert await endurance._fails(draw(1)) is fails


async def test_an_unknown_round_ends_the_soak(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rounds after it would say nothing of what it could not tell."""
    verdicts = iter([Verdict.PASS, Verdict.UNKNOWN, Verdict.PASS])

    async def play_round(*_: Any) -> Round:
        return played(next(verdicts))

    monkeypatch.setattr(endurance_module, "open_soak", lambda *_: nullcontext())
    monkeypatch.setattr(endurance_module, "play_round", play_round)
    endurance = Endurance(tmp_path, lambda _: None, cast(Any, None))
    endured = await endurance.endure(1, 3600.0, lambda _, __: None)
    assert (endured.verdict, endured.rounds) == (Verdict.UNKNOWN, 2)


def test_the_plan_that_is_written_is_the_smallest(tmp_path: Path) -> None:
    """It is the one that was played again."""
    smallest = Plan(1, 5, (CUT,))
    endured = Endured(3, 1, 1, played(Verdict.FAIL), smallest, 2)
    written = write_soak(tmp_path, "run", 1, endured)
    assert written is not None
    assert read(json.loads(Path(written).read_text(encoding="utf-8"))) == smallest


@pytest.mark.parametrize("billed", [True, False])
async def test_an_order_of_the_customer_with_many(billed: bool) -> None:
    """Each one that was accepted is billed in the end, or there is no witness of it."""
    witnesses: list[bool] = []

    async def collect() -> Evidence:
        return Evidence([], [])

    async def until(*_: Any) -> bool:
        return billed

    running: Any = object.__new__(rounds._Running)
    running._hot_accepted = ["an order"]
    running._context = SimpleNamespace(
        collect=collect,
        until=until,
        witness=lambda _, *, seen: witnesses.append(seen),
        witnesses=[],
    )
    await rounds._Running.collect(running)
    assert witnesses == [billed]


def test_a_shorter_plan() -> None:
    """Half of the orders, and every strike still strikes: what came later comes at the end."""
    late = Strike("kill", 30, 35, "billing_service", replica=1)
    early = Strike("kill", 3, 9, "billing_service", replica=1)
    shorter = Plan(1, 40, (early, late)).shorter()
    assert shorter.orders == 20
    assert [(s.begins, s.ends) for s in shorter.strikes] == [(3, 9), (19, 20)]


async def test_a_strike_that_cannot_begin(servers: LentServers) -> None:
    """There is no witness of it: the round passes no verdict on what did not happen."""
    witnesses: list[bool] = []
    harness = SimpleNamespace(
        toxiproxy=servers.toxiproxy.admin, journal=SimpleNamespace(note=lambda *_, **__: None)
    )
    context = SimpleNamespace(harness=harness, witness=lambda _, *, seen: witnesses.append(seen))
    await Faults(cast(Any, context)).begin(Strike("toxic", 0, 9, "order-db", "answers cut"))
    assert witnesses == [False]


async def test_a_round_is_audited(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the audit of the whole database finds is a finding of the round."""

    class Running:
        def __init__(self, *_: Any) -> None:
            """Places nothing."""

        async def place_orders(self) -> None:
            """None."""

        async def heal(self) -> None:
            """Nothing was struck."""

        async def collect(self) -> Evidence:
            return Evidence([], [Witness("it struck", True)])

    found = Finding("X6", "the audit finds nothing", Kind.SAFETY, False, "a double withdrawal")

    async def audited(_: Any) -> list[Finding]:
        return [found]

    async def nothing(*_: Any, **__: Any) -> None:
        """As on a stack that is ready and works."""

    monkeypatch.setattr(rounds, "Context", lambda *_: None)
    monkeypatch.setattr(rounds, "_Running", Running)
    monkeypatch.setattr(rounds, "_audited", audited)
    harness: Any = SimpleNamespace(
        all_ready=nothing,
        open_account=nothing,
        background=SimpleNamespace(judge=nothing, rounds=nothing),
    )
    ended = await rounds.play_round(harness, draw(1))
    assert (ended.verdict, ended.broken) == (Verdict.FAIL, [found])


@pytest.mark.parametrize(
    ("ended", "verdict"),
    [
        ([], "unknown"),
        ([Verdict.PASS], "unknown"),
        ([Verdict.PASS, Verdict.FAIL], "fail"),
    ],
)
def test_an_interrupted_soak(tmp_path: Path, ended: list[Verdict], verdict: str) -> None:
    """What was not played is not known; a promise that was broken before stays broken."""
    command._write_interrupted_soak(
        Console(quiet=True), tmp_path, "run", 5, [played(each) for each in ended]
    )
    (written,) = tmp_path.rglob("*.json")
    content = json.loads(written.read_text(encoding="utf-8"))
    assert (content["verdict"], content["interrupted"]) == (verdict, True)
    assert (content["rounds"], content["orders"]) == (len(ended), len(ended))


@pytest.mark.parametrize(
    ("verdict", "code"), [(Verdict.PASS, 0), (Verdict.FAIL, 1), (Verdict.UNKNOWN, 2)]
)
async def test_the_exit_code_of_a_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdict: Verdict, code: int
) -> None:
    """That of its verdict; what is unknown has not passed."""

    async def once(*_: Any) -> Round:
        return played(verdict)

    monkeypatch.setattr(Endurance, "once", once)
    monkeypatch.setattr(command, "LentServers", lambda _: nullcontext())
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps(draw(1).as_json()), encoding="utf-8")
    options = argparse.Namespace(seed=1, run_dir=tmp_path, plan=plan, duration=1.0)
    assert await command.soak(options, Console(quiet=True)) == code


async def test_what_has_not_ended_is_armed_again(servers: LentServers) -> None:
    """The end of one toxic makes the proxy anew; another one's end comes later."""
    admin = servers.toxiproxy.admin
    await admin.create("billing", "127.0.0.1:9")
    witnesses: list[bool] = []
    harness = SimpleNamespace(toxiproxy=admin, journal=SimpleNamespace(note=lambda *_, **__: None))
    context = SimpleNamespace(harness=harness, witness=lambda _, *, seen: witnesses.append(seen))
    faults = Faults(cast(Any, context))
    shorter = Strike("toxic", 0, 9, "billing", "answers silent")
    try:
        for strike in (CUT, shorter):
            await faults.begin(strike)
        assert len(await admin.toxics("billing")) == 2
        await faults.end(shorter.ends)
        (left,) = await admin.toxics("billing")
        assert left == TOXICS[CUT.how].name
        await faults.end(CUT.ends)
        assert await admin.toxics("billing") == []
        assert witnesses == [True, True]
    finally:
        await admin.delete("billing")


async def test_a_failing_plan_is_made_small() -> None:
    """Only what the failure needs is left: one of three strikes, and few orders."""

    async def fails(plan: Plan) -> bool:
        return any(strike.what == "toxic" for strike in plan.strikes) and plan.orders >= 5

    smallest = await shrink(Plan(1, 40, (KILL, CUT, CRASH)), fails)
    assert [strike.what for strike in smallest.strikes] == ["toxic"]
    assert smallest.orders == 5


async def test_shrinking_is_bounded() -> None:
    """A failure that always happens does not keep the machine busy for ever."""
    trials = []

    async def fails(plan: Plan) -> bool:
        trials.append(plan)
        return True

    await shrink(Plan(1, 2**20, (CUT,) * 3), fails, trials_max=6)
    assert len(trials) == 6


async def test_the_rate_is_counted() -> None:
    """A failure that comes and goes is reported as one."""
    answers = iter([True, False] * REPLAYS)

    async def fails(_: Plan) -> bool:
        return next(answers)

    assert await replay(Plan(1, 2, ()), fails) == REPLAYS // 2


@pytest.mark.chaos
async def test_a_clean_soak(tmp_path: Path, servers: LentServers) -> None:
    """Some rounds of random faults: all pass."""
    shown: list[Round] = []
    endurance = Endurance(tmp_path, lambda _: None, servers)
    endured = await endurance.endure(5, 15.0, lambda _, played: shown.append(played))
    assert endured.verdict is Verdict.PASS, round_line(0, endured.last)
    assert endured.rounds == len(shown) >= 1
    assert write_soak(tmp_path, "run", 5, endured) is None


@pytest.mark.chaos
@pytest.mark.mutants
async def test_a_soak_finds_a_planted_bug(tmp_path: Path, servers: LentServers) -> None:
    """It fails, the plan is made small, and the small plan fails when it is played again."""
    bug = next(bug for bug in BUGS if bug.name == "no_unique_constraint")
    said: list[str] = []
    endurance = Endurance(tmp_path, said.append, servers, bug.factories, trials_max=2, replays=2)
    endured = await endurance.endure(4, 120.0, lambda _, __: None)
    assert endured.verdict is Verdict.FAIL
    assert endured.smallest is not None
    assert len(endured.smallest.strikes) <= len(endured.last.plan.strikes)
    assert endured.failures > 0
    written = write_soak(tmp_path, "run", 4, endured)
    assert written is not None
    assert read(json.loads(Path(written).read_text(encoding="utf-8"))) == endured.smallest
    summary = soak_summary(endured, written)
    assert f"{endured.failures} of 2 trials" in summary
    assert f"--plan {written}" in summary
