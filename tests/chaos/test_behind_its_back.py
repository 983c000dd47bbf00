"""Somebody interferes with a scenario: what cannot be believed any more is unknown, never a pass."""

import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from chaos.acts import NOTHING, Act, Arm, CutInBody, Heal, LetGo, Needs
from chaos.crashes import DiesAt
from chaos.play import play
from chaos.report.lines import line
from chaos.scenario import Scenario
from chaos.scenarios import SCENARIOS
from chaos.scene import Scene
from chaos.theatre import Theatre
from chaos.verdict import Verdict
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
    if any(isinstance(act, Arm | CutInBody) for act in scenario.acts)
    and not any(isinstance(act, DiesAt) for act in scenario.acts)
    and (scenario.situation is None or scenario.delivery is Delivery.EXACTLY_ONCE)
)
Interference = Callable[[Scene], Awaitable[None]]


@dataclass(frozen=True)
class Interfere:
    """An act that no scenario has."""

    needs: ClassVar[Needs] = NOTHING
    how: Interference

    async def perform(self, scene: Scene) -> None:
        await self.how(scene)


async def remove_the_toxics(scene: Scene) -> None:
    """Through Toxiproxy's own API."""
    for toxic in await scene.theatre.toxiproxy.toxics("billing"):
        await scene.theatre.toxiproxy.remove("billing", toxic)


async def close_the_proxy(scene: Scene) -> None:
    """Nobody gets through, which is another fault than the armed one."""
    await scene.theatre.toxiproxy.disable("billing")

    async def open_again() -> None:
        await scene.theatre.toxiproxy.enable("billing")

    scene.cleanups.append(open_again)


async def kill_toxiproxy(scene: Scene) -> None:
    """It comes back at once, with its proxies and without the toxics."""
    child = scene.theatre.stack.toxiproxy_child
    deaths = len(child.deaths)
    await child.crash(signal.SIGKILL)
    await child.running_after(deaths + 1)


def interfered(scenario: Scenario, how: Interference) -> Scenario:
    """The same scenario, with the interference just before the order is placed."""
    at = next(n for n, act in enumerate(scenario.acts) if type(act).__name__ == "Place")
    return replace(scenario, acts=(*scenario.acts[:at], Interfere(how), *scenario.acts[at:]))


@pytest.mark.parametrize("how", [remove_the_toxics, close_the_proxy, kill_toxiproxy])
@pytest.mark.parametrize("name", NAMES)
async def test_a_fault_that_was_switched_off(
    theatre: Theatre, name: str, how: Interference
) -> None:
    """The verdict is unknown, and says which witness is missing."""
    played = await play(theatre, interfered(BY_NAME[name], how))
    assert played.verdict is Verdict.UNKNOWN, line(played)
    assert any("still armed" in w.claim and not w.seen for w in played.witnesses), line(played)


async def off(scene: Scene) -> None:
    """Takes away what was armed."""
    for proxy, toxic in scene.armed:
        if toxic.name in await scene.theatre.toxiproxy.toxics(proxy):
            await scene.theatre.toxiproxy.remove(proxy, toxic.name)


async def on_again(scene: Scene) -> None:
    """Puts it back before anybody looks."""
    for proxy, toxic in scene.armed:
        if toxic.name not in await scene.theatre.toxiproxy.toxics(proxy):
            await scene.theatre.toxiproxy.arm(proxy, toxic)


def off_in_between(scenario: Scenario) -> Scenario:
    """The same scenario, with its toxics armed whenever they are looked at, and never when it matters."""
    acts: list[Act] = []
    for act in scenario.acts:
        if isinstance(act, Heal | LetGo):
            acts.append(Interfere(on_again))
        acts.append(act)
        if isinstance(act, Arm | CutInBody):
            acts.append(Interfere(off))
    return replace(scenario, acts=tuple(acts))


@pytest.mark.parametrize("name", STRUCK_BY_THE_NETWORK)
async def test_a_fault_that_is_there_only_when_it_is_looked_at(theatre: Theatre, name: str) -> None:
    """What the toxic did is a witness of its own: a fault that did not strike is unknown, however it was read back."""
    played = await play(theatre, off_in_between(BY_NAME[name]))
    assert played.verdict is Verdict.UNKNOWN, line(played)


async def test_the_stage_is_left_as_it_was(theatre: Theatre) -> None:
    """After all that, the scenario without interference passes."""
    played = await play(theatre, BY_NAME[NAMES[0]])
    assert played.verdict is Verdict.PASS, line(played)
