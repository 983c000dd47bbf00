"""A pressed button: the page says again and again that it is pressed, and a page that has gone cuts nothing for long."""

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from lab import cutting
from lab.columns import COLUMNS, Column
from lab.cutting import Cutting
from stack.waiting import until


class Parts:
    """Counts what the button asks for; that real answers are cut is tested in `test_play.py`."""

    def __init__(self) -> None:
        self.armed: list[str] = []
        self.said: list[bool] = []

    async def arm(self, column: Column, *_: Any) -> None:
        self.armed.append(column.name)

    async def disarm(self, column: Column, *_: Any) -> None:
        self.armed.remove(column.name)

    async def start_clean(self) -> None:
        """Nothing is to be repaired."""

    async def attempt(self, doing: Any) -> None:
        await doing


@pytest.fixture
def parts() -> Parts:
    return Parts()


@pytest.fixture
async def button(parts: Parts) -> AsyncIterator[Cutting]:
    stack = cast(Any, parts)
    button = Cutting(stack, stack, lambda column: column.name, parts.said.append)
    yield button
    await button.close()


def ends_at(button: Cutting) -> float:
    assert button._lease is not None
    return button._lease.when()


async def test_it_is_pressed_and_let_go(button: Cutting, parts: Parts) -> None:
    """All columns are cut, and none afterwards; nothing runs out later."""
    assert await button.begin()
    assert parts.armed == [column.name for column in COLUMNS]
    await button.end()
    assert (parts.armed, parts.said) == ([], [True, False])
    assert button._lease is None


async def test_it_is_still_pressed(button: Cutting, parts: Parts) -> None:
    """Each word of it lengthens the time, and arms nothing again."""
    assert await button.begin()
    first, first_ends = button._lease, ends_at(button)
    assert not await button.begin()
    assert first is not None
    assert first.cancelled()
    assert ends_at(button) > first_ends
    assert (len(parts.armed), parts.said) == (len(COLUMNS), [True])


async def test_a_page_that_has_gone(
    button: Cutting, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says nothing any more: the toxics are removed by themselves."""
    monkeypatch.setattr(cutting, "LEASE_S", 0.05)
    await button.begin()

    async def let_go() -> bool:
        return not parts.armed and parts.said == [True, False]

    await until(let_go, 30, "the button is let go")
    assert not button.on
