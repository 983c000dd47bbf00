"""A page that is used for a day remembers the last rounds; the table has no cell of one that nothing can explain."""

from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest

from lab import play as module
from lab.play import Play
from lab.rounds import Round


async def test_its_cells_are_forgotten_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as there is one round more than are remembered, and not before."""
    monkeypatch.setattr(module, "ROUNDS_MAX", 2)
    monkeypatch.setattr(module, "_FIRST_BOUND_S", 0)
    forgotten: list[int] = []

    async def nothing(*_: Any) -> str:
        return "account"

    async def attempt(doing: Any) -> Any:
        return await doing

    def ignore(*_: Any, **__: Any) -> Any:
        """No page listens."""

    play: Any = object.__new__(Play)
    play.rounds = deque[Round](maxlen=2)
    play.entries, play.notice, play._count = [], "", 0
    play.tally = SimpleNamespace(clear_cells_of=forgotten.append)
    play.history = SimpleNamespace(note=ignore, changed=ignore)
    play.shell = SimpleNamespace(order=ignore)
    play._planting, play._cutting = SimpleNamespace(bug=""), SimpleNamespace(on=True)
    play._repair = SimpleNamespace(attempt=attempt)
    play._harness = SimpleNamespace(open_account=nothing)
    play._spawn = play._customer = ignore
    for _ in range(4):
        number = await Play._place(play, ())
        play.rounds[-1].over = True
    assert number == 4
    assert forgotten == [1, 2]
    assert [each.number for each in play.rounds] == [3, 4]
