"""The soak: plans are a function of the seed, failures are made small, a planted bug is found."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaos.promises.verdict import Verdict
from chaos.results.progress import round_line, soak_summary
from chaos.results.result import write_soak
from chaos.soak.endurance import Endurance
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
