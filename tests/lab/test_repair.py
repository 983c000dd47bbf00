"""Trouble with the stack: one sentence on the page, and no fault goes on."""

from types import SimpleNamespace
from typing import Any

import pytest

from lab.held import NotPossible
from lab.repair import Repair
from stack.toxics import Refused, ToxiproxyError, Unreachable


@pytest.mark.parametrize("healed", [True, False])
async def test_what_cannot_be_done(healed: bool) -> None:
    """Held messages pass, toxics go, and what was planned is forgotten; also when Toxiproxy is the trouble."""
    done: list[str] = []

    async def heal() -> None:
        done.append("healed")
        if not healed:
            raise Unreachable("nothing listens")

    async def doing() -> None:
        raise Refused("there is no proxy")

    network: Any = SimpleNamespace(heal=heal)
    holds: Any = SimpleNamespace(release=lambda: done.append("released"))
    said: list[str] = []
    repair = Repair(network, holds, said.append, lambda: done.append("forgotten"))
    with pytest.raises(NotPossible) as refused:
        await repair.attempt(doing())
    assert done == ["forgotten", "released", "healed"]
    (sentence,) = said
    assert str(refused.value) == sentence
    assert ("there is no proxy" in sentence) is healed


async def test_what_can_be_done() -> None:
    """Nothing is ended for it."""

    async def doing() -> str:
        return "done"

    nothing: Any = None
    assert await Repair(nothing, nothing, nothing, nothing).attempt(doing()) == "done"
    assert issubclass(Refused, ToxiproxyError)
