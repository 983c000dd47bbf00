"""Interference with a scenario from outside: its verdict is unknown, never a pass."""

import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from chaos.harness.context import Context
from chaos.harness.harness import Harness
from chaos.promises.verdict import Verdict
from chaos.results.lines import line
from chaos.runner.play import play
from chaos.scenarios.catalogue import SCENARIOS
from chaos.scenarios.scenario import Scenario
from chaos.steps.network import Arm, CutInBody, Heal, RemoveToxics
from chaos.steps.processes import DieAt
from chaos.steps.step import NOTHING, Needs, Step
from order_service.wire import Delivery

pytestmark = pytest.mark.chaos
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
NAMES = (
    "disconnect/response_lost/exactly_once/warm",
    "disconnect/request_lost/at_least_once/warm",
    "silence/request_lost/exactly_once/fresh",
    "late/delayed_original",
)
# Crashes strike without Toxiproxy; of the table's cells those under one semantics are enough.
STRUCK_BY_THE_NETWORK = tuple(
    scenario.name
    for scenario in SCENARIOS
    if any(isinstance(step, Arm | CutInBody) for step in scenario.steps)
    and not any(isinstance(step, DieAt) for step in scenario.steps)
    and (scenario.situation is None or scenario.delivery is Delivery.EXACTLY_ONCE)
)
Interference = Callable[[Context], Awaitable[None]]
# What an interference keeps from happening is waited for in vain: three times as long as what happens takes, not for half a minute.
_PATIENCE_S = 6.0


@pytest.fixture(autouse=True)
def impatient(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scenarios without interference pass with this patience, too: the last test says so of one."""
    monkeypatch.setattr(harness, "bound_s", _PATIENCE_S)


@dataclass(frozen=True)
class Interfere:
    """A step that no scenario has."""

    needs: ClassVar[Needs] = NOTHING
    how: Interference

    async def perform(self, context: Context) -> None:
        await self.how(context)


async def remove_the_toxics(context: Context) -> None:
    """Through Toxiproxy's own API."""
    for toxic in await context.network.toxics("billing"):
        await context.network.remove("billing", toxic)


async def close_the_proxy(context: Context) -> None:
    """No request gets through, which is another fault than the armed one."""
    await context.network.disable("billing")

    async def open_again() -> None:
        await context.network.enable("billing")

    context.cleanups.append(open_again)


async def kill_toxiproxy(context: Context) -> None:
    """It comes back at once, with its proxies and without the toxics."""
    child = context.services.toxiproxy_child
    deaths = len(child.deaths)
    await child.crash(signal.SIGKILL)
    await child.running_after(deaths + 1)


def interfered(scenario: Scenario, how: Interference) -> Scenario:
    """The same scenario, with the interference just before the order is placed."""
    at = next(n for n, step in enumerate(scenario.steps) if type(step).__name__ == "Place")
    return replace(scenario, steps=(*scenario.steps[:at], Interfere(how), *scenario.steps[at:]))


@pytest.mark.parametrize("how", [remove_the_toxics, close_the_proxy, kill_toxiproxy])
@pytest.mark.parametrize("name", NAMES)
async def test_a_fault_that_was_switched_off(
    harness: Harness, name: str, how: Interference
) -> None:
    """The verdict is unknown, and says which witness is missing."""
    played = await play(harness, interfered(BY_NAME[name], how))
    assert played.verdict is Verdict.UNKNOWN, line(played)
    assert any("still armed" in w.claim and not w.seen for w in played.witnesses), line(played)


async def off(context: Context) -> None:
    """Takes away what was armed."""
    for proxy, toxic in context.armed:
        if toxic.name in await context.network.toxics(proxy):
            await context.network.remove(proxy, toxic.name)


async def on_again(context: Context) -> None:
    """Arms it again before the next reading."""
    for proxy, toxic in context.armed:
        if toxic.name not in await context.network.toxics(proxy):
            await context.network.arm(proxy, toxic)


def off_in_between(scenario: Scenario) -> Scenario:
    """The same scenario, with its toxics armed whenever they are looked at, and never when it matters."""
    steps: list[Step] = []
    for step in scenario.steps:
        if isinstance(step, Heal | RemoveToxics):
            steps.append(Interfere(on_again))
        steps.append(step)
        if isinstance(step, Arm | CutInBody):
            steps.append(Interfere(off))
    return replace(scenario, steps=tuple(steps))


@pytest.mark.parametrize("name", STRUCK_BY_THE_NETWORK)
async def test_a_fault_that_is_there_only_when_it_is_looked_at(harness: Harness, name: str) -> None:
    """What the toxic did is a witness of its own: a fault that did not strike is unknown, however it was read back."""
    played = await play(harness, off_in_between(BY_NAME[name]))
    assert played.verdict is Verdict.UNKNOWN, line(played)


async def test_the_stage_is_left_as_it_was(harness: Harness) -> None:
    """After all that, the scenario without interference passes."""
    played = await play(harness, BY_NAME[NAMES[0]])
    assert played.verdict is Verdict.PASS, line(played)
