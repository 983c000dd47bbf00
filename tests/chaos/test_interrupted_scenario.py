"""A run that is interrupted ends, whatever the clean-up of its scenario finds."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from chaos.harness.context import Context
from chaos.harness.harness import Harness
from chaos.promises.verdict import Verdict
from chaos.runner.play import play
from chaos.scenarios.scenario import Scenario
from chaos.steps.holds import AwaitHeld, Hold
from chaos.steps.network import Arm
from chaos.steps.orders import Connection, Place
from chaos.steps.processes import Stop
from chaos.steps.step import NOTHING, Needs
from stack.toxics import LimitData, Refused
from stack.waiting import NotSeen

pytestmark = pytest.mark.chaos


async def fails() -> None:
    raise Refused("there is no proxy billing")


@dataclass(frozen=True)
class LeavesTrouble:
    """Its clean-up fails, as after a proxy that was deleted and not made again; `interrupted` is Ctrl-C in its middle."""

    needs: ClassVar[Needs] = NOTHING
    interrupted: bool

    async def perform(self, context: Context) -> None:
        context.cleanups.append(fails)
        if self.interrupted:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            # Struck here: what it waits for never comes.
            await asyncio.Event().wait()


def scenario(*, interrupted: bool) -> Scenario:
    return Scenario("trouble", "a clean-up fails", (LeavesTrouble(interrupted),), effects=None)


async def test_an_interruption_is_no_unknown_scenario(harness: Harness) -> None:
    """The run ends; it does not go on with the next scenario and an unknown one behind it."""
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(play(harness, scenario(interrupted=True)))


@dataclass(frozen=True)
class BreaksOff:
    """A step that does not come to its end."""

    needs: ClassVar[Needs] = NOTHING

    async def perform(self, _: Context) -> None:
        raise NotSeen("what it waits for")


async def test_a_scenario_that_breaks_off_leaves_no_fault(harness: Harness) -> None:
    """Neither a toxic nor a process that stands still: the next scenario, or the owner of the stack, finds it as it was."""
    struck: list[int] = []

    @dataclass(frozen=True)
    class Remember:
        needs: ClassVar[Needs] = NOTHING

        async def perform(self, context: Context) -> None:
            assert context.stopped is not None
            struck.append(context.stopped)
            assert _state_of(struck[0]) == "T"
            assert await harness.toxiproxy.toxics("notification") != []

    steps = (
        Connection("warm"),
        Hold("arrived", "billing_service", "arrival", 1),
        Place(),
        AwaitHeld("arrived"),
        Stop("billing_service"),
        Arm("notification", LimitData(bytes=0)),
        Remember(),
        BreaksOff(),
    )
    played = await play(harness, Scenario("breaks off", "it breaks off", steps, effects=None))
    assert played.verdict is Verdict.UNKNOWN
    assert struck, played.witnesses
    assert _state_of(struck[0]) != "T"
    assert await harness.toxiproxy.toxics("notification") == []


def _state_of(pid: int) -> str:
    """Of a process, as /proc has it: T for one that was stopped."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]


async def test_a_clean_up_that_fails_is_unknown(harness: Harness) -> None:
    """The negative control: without an interruption the run goes on, and the reason is told."""
    played = await play(harness, scenario(interrupted=False))
    assert played.verdict is Verdict.UNKNOWN
    assert "there is no proxy billing" in played.witnesses[-1].claim
