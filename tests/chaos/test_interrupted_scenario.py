"""A run that is interrupted ends, whatever the clean-up of its scenario finds."""

import asyncio
from dataclasses import dataclass
from typing import ClassVar

import pytest

from chaos.harness.context import Context
from chaos.harness.harness import Harness
from chaos.promises.verdict import Verdict
from chaos.runner.play import play
from chaos.scenarios.scenario import Scenario
from chaos.steps.step import NOTHING, Needs
from stack.toxics import Refused

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


async def test_a_clean_up_that_fails_is_unknown(harness: Harness) -> None:
    """The negative control: without an interruption the run goes on, and the reason is told."""
    played = await play(harness, scenario(interrupted=False))
    assert played.verdict is Verdict.UNKNOWN
    assert "there is no proxy billing" in played.witnesses[-1].claim
