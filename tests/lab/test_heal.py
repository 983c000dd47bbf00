"""The end of every fault in the lab: those that strike now, and those that were planned for later."""

import asyncio
from types import SimpleNamespace
from typing import Any

from lab.columns import COLUMNS
from lab.plans import Action, Seam
from lab.play import Play
from lab.rounds import Round


async def test_nothing_strikes_afterwards() -> None:
    """Neither a toxic, nor a held message, nor what the order's plan still had."""
    done: list[str] = []

    async def heal() -> None:
        done.append("toxics")

    async def attempt(doing: Any) -> None:
        await doing

    play: Any = object.__new__(Play)
    play._one = asyncio.Lock()
    play._cutting = SimpleNamespace(forget=lambda: done.append("button"))
    play.holds = SimpleNamespace(release=lambda: done.append("held"))
    play.step = True
    play.notice = "trouble"
    play.rounds = [Round(1, {}, "", {(COLUMNS[0], Seam.SEND, 2): Action.LOSE})]
    play._repair = SimpleNamespace(attempt=attempt)
    play._network = SimpleNamespace(heal=heal)
    play.history = SimpleNamespace(note=lambda _: None, changed=lambda: None)
    await Play.heal(play)
    assert done == ["button", "held", "toxics"]
    assert (play.step, play.notice, play.current.script) == (False, "", {})
