"""Background work that stops is reported once, with its name, and does not make the scenarios after it unknown."""

import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from chaos.harness import background
from chaos.harness.background import Background
from chaos.harness.context import Context
from chaos.harness.harness import Harness
from chaos.promises.verdict import Verdict
from chaos.results.lines import line
from chaos.runner.play import Played
from chaos.runner.run import WRAPPED, open_harness, play_all
from chaos.runner.whole import judge_run
from chaos.scenarios.catalogue import SCENARIOS
from chaos.scenarios.scenario import Scenario
from chaos.steps.step import NOTHING, Needs
from stack.servers import LentServers
from tests.chaos.planted import BUGS

pytestmark = pytest.mark.chaos
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
UNDISTURBED = BY_NAME["disconnect/success/exactly_once/warm"]
# A round of a loop takes a tenth of a second: long enough for a busy machine, short for a test that must wait so long.
BOUND_S = 5.0
# For whole scenarios on a busy machine.
_PATIENCE_S = 15.0
Done = Callable[[Context], Awaitable[None]]


@dataclass(frozen=True)
class Do:
    """A step that no scenario has."""

    needs: ClassVar[Needs] = NOTHING
    how: Done

    async def perform(self, context: Context) -> None:
        await self.how(context)


class Unwatched:
    """Watches a run and says nothing."""

    @contextmanager
    def shown(self) -> Any:
        yield

    def started(self, scenario: Scenario) -> None: ...

    def ended(self, played: Played) -> None: ...


@pytest.fixture
async def own_harness(tmp_path: Path, servers: LentServers) -> AsyncIterator[Harness]:
    """A stack for this test alone, because the test leaves it broken."""
    async with open_harness(
        tmp_path, lambda _: None, usual_ports=False, servers=servers, bound_s=BOUND_S
    ) as harness:
        yield harness


def ending_with(how: Done) -> Scenario:
    """A scenario that leaves something broken behind."""
    return replace(UNDISTURBED, name="broken/behind_it", steps=(*UNDISTURBED.steps, Do(how)))


def of_work(played: list[Played]) -> list[tuple[str, str]]:
    """The scenarios whose background work had stopped, and what was found."""
    return [
        (each.scenario.name, finding.detail)
        for each in played
        for finding in each.findings
        if finding.promise == background.PROMISE and not finding.kept
    ]


async def test_a_collector_that_ends_with_its_first_trouble(
    tmp_path: Path, servers: LentServers
) -> None:
    """One finding names the loop and the scenario after which it stopped; the next scenario, which needs the loop, passes."""
    (planted,) = [bug for bug in BUGS if bug.name == "collector_ends_with_its_first_trouble"]
    first, second = "commit/partition_holds_the_key", "late/forgotten_key"
    played = []
    async with planted_stack(tmp_path, servers)(planted.factories) as harness:
        for name in (first, second):
            played += await play_all(harness, [BY_NAME[name]], 7, Unwatched())
    rows = "\n".join(map(line, played))
    assert [each.verdict for each in played] == [Verdict.FAIL, Verdict.PASS], rows
    ((name, detail),) = of_work(played)
    assert name == first, rows
    assert "the collector of settled keys" in detail
    assert f"after {first}" in detail
    assert "billing_service-" in detail
    # It waited for nothing that the finding had told already.
    assert played[1].seconds < _PATIENCE_S, rows


async def test_a_process_that_is_stopped_for_good(own_harness: Harness) -> None:
    """It is named once, and replaced: what is played next passes."""

    async def stop(context: Context) -> None:
        os.kill(context.services.children("billing_service")[0].pid, signal.SIGSTOP)

    scenarios = [ending_with(stop)]
    played = await play_all(own_harness, scenarios, 7, Unwatched())
    played += await play_all(own_harness, [UNDISTURBED], 7, Unwatched())
    rows = "\n".join(map(line, played))
    assert [each.verdict for each in played] == [Verdict.FAIL, Verdict.PASS], rows
    ((name, detail),) = of_work(played)
    assert name == "broken/behind_it"
    assert detail.startswith("after broken/behind_it: billing_service-0 (process ")
    assert "it is not ready" in detail


async def test_a_process_that_does_not_come_back(own_harness: Harness) -> None:
    """The run ends early, says why, and does not pass; the rest is not played."""

    async def ruin(context: Context) -> None:
        child = context.services.children("notification_service")[0]
        command = vars(child)["_command"]
        argv = [sys.executable, "-m", "tests.stack.probe", "1"]
        vars(child)["_command"] = replace(command, argv=argv)
        os.kill(child.pid, signal.SIGKILL)

    scenarios = [ending_with(ruin), *(replace(UNDISTURBED, name=f"later/{n}") for n in range(3))]
    seed = next(n for n in range(99) if is_first(n, len(scenarios)))
    played = await play_all(own_harness, scenarios, seed, Unwatched())
    assert [each.scenario.name for each in played] == ["broken/behind_it"]
    assert played[0].verdict is Verdict.FAIL
    assert "notification_service-0" in of_work(played)[0][1]
    whole = await judge_run(own_harness, played)
    assert whole.verdict is Verdict.UNKNOWN
    missing = [witness.claim for witness in whole.witnesses if not witness.seen]
    assert any("notification_service-0 ended with code 1" in claim for claim in missing)


def is_first(seed: int, count: int) -> bool:
    """Whether this seed plays the first scenario first."""

    return random.Random(seed).sample(range(count), count)[0] == 0


async def test_work_that_goes_on(own_harness: Harness) -> None:
    """The negative control: nothing is found, nothing is replaced; the promise counts as kept."""
    children = [child for service in WRAPPED for child in own_harness.stack.children(service)]
    pids = [child.pid for child in children]
    (played,) = await play_all(own_harness, [UNDISTURBED], 7, Unwatched())
    assert played.verdict is Verdict.PASS, line(played)
    assert [f.kept for f in played.findings if f.promise == background.PROMISE] == [True]
    assert [child.pid for child in children] == pids


async def test_a_stack_that_was_not_started_here() -> None:
    """There is no process to watch: nothing is asked, and nothing is said."""
    nothing = Background(None)
    assert await nothing.rounds() == {}
    assert await nothing.judge("any", {}) is None
    assert nothing.beyond_repair == ""


def planted_stack(
    run_dir: Path, servers: LentServers
) -> Callable[[Mapping[str, str]], AbstractAsyncContextManager[Harness]]:
    return lambda factories: open_harness(
        run_dir,
        lambda _: None,
        usual_ports=False,
        factories={**WRAPPED, **factories},
        servers=servers,
        bound_s=_PATIENCE_S,
    )
