"""Toxics of the lab: armed for a column's order, removed again, and seen to be there until then."""

from types import SimpleNamespace
from typing import Any

import pytest

from lab.columns import COLUMNS
from lab.network import Network
from stack.toxics import LimitData, NotArmed, Toxic

COLUMN, LOST = COLUMNS[0], LimitData(bytes=0)


class Armed:
    """What is armed where, in place of Toxiproxy."""

    def __init__(self) -> None:
        self.toxics: dict[str, Toxic] = {}

    async def arm(self, proxy: str, toxic: Toxic) -> None:
        self.toxics[proxy] = toxic

    async def still_armed(self, proxy: str, toxic: Toxic) -> None:
        if self.toxics.get(proxy) != toxic:
            raise NotArmed(f"{proxy} has no {toxic}")

    async def remove(self, proxy: str, _: str) -> None:
        self.toxics.pop(proxy, None)


@pytest.mark.parametrize("gone", [False, True])
async def test_whether_it_was_still_armed(gone: bool) -> None:
    """A toxic that someone else has removed meanwhile is no witness of what happened."""
    toxiproxy, shell = Armed(), list[str]()
    journal = SimpleNamespace(note=lambda *_, **__: None)
    setup: Any = SimpleNamespace(
        harness=SimpleNamespace(journal=journal, toxiproxy=toxiproxy),
        published=SimpleNamespace(toxiproxy="http://127.0.0.1:1"),
    )
    network = Network(setup, shell.append)
    await network.arm(COLUMN, "account", LOST)
    assert toxiproxy.toxics == {COLUMN.proxy: LOST}
    if gone:
        toxiproxy.toxics.clear()
    assert await network.disarm(COLUMN, "account", LOST) is not gone
    assert toxiproxy.toxics == {}
    assert [line.partition(" ")[0] for line in shell] == ["curl"] * 2
