"""Writes that wait together are written together; what a group cannot do for one is done for that one alone."""

import asyncio
from collections.abc import Sequence

import pytest

from service_kit.bounded_pool import DatabaseTrouble
from service_kit.group_commit import Alone, Bounds, Group, QueueFull


class Paper:
    """Where items are written: remembers each group, and waits where a test says so."""

    def __init__(
        self, *, size_max: int = 100, under_way_max: int = 2, queue_max: int = 100
    ) -> None:
        self.groups: list[list[int]] = []
        self.alone: list[int] = []
        self.under_way = self.under_way_most = 0
        self.trouble: Exception | None = None
        self.not_together: set[int] = set()
        self.free = asyncio.Event()
        self.free.set()
        self.group = Group(self._together, self._alone, Bounds(size_max, under_way_max, queue_max))

    async def _together(self, items: Sequence[int]) -> list[int | Exception]:
        self.groups.append(list(items))
        self.under_way += 1
        self.under_way_most = max(self.under_way_most, self.under_way)
        await self.free.wait()
        self.under_way -= 1
        if self.trouble is not None:
            raise self.trouble
        return [Alone() if item in self.not_together else -item for item in items]

    async def _alone(self, item: int) -> int:
        self.alone.append(item)
        await self.free.wait()
        if item == 13:
            raise ZeroDivisionError
        return -item

    def put(self, *items: int) -> "list[asyncio.Task[int]]":
        return [asyncio.create_task(self.group.put(item)) for item in items]


async def test_nobody_waits_when_nothing_is_under_way() -> None:
    """One item is written alone, at once."""
    paper = Paper()
    assert await paper.group.put(1) == -1
    assert (paper.groups, paper.alone) == ([], [1])


async def test_what_waits_goes_together_in_its_order() -> None:
    """Each caller gets the result of its own item."""
    paper = Paper(size_max=3)
    assert await asyncio.gather(*paper.put(1, 2, 3, 4, 5)) == [-1, -2, -3, -4, -5]
    assert paper.groups == [[1, 2, 3], [4, 5]]


async def test_an_item_that_cannot_go_together() -> None:
    """It is written alone; the other items get their results meanwhile."""
    paper = Paper()
    paper.not_together = {2}
    assert await asyncio.gather(*paper.put(1, 2, 3)) == [-1, -2, -3]
    assert paper.alone == [2]


async def test_a_defect_is_met_alone() -> None:
    """After an unknown failure each item is written alone: only the item that caused it fails."""
    paper = Paper()
    paper.trouble = ValueError("one of them")
    results = await asyncio.gather(*paper.put(1, 13, 3), return_exceptions=True)
    assert [results[0], results[2]] == [-1, -3]
    assert isinstance(results[1], ZeroDivisionError)


async def test_trouble_of_the_database_is_everybodys() -> None:
    """All callers learn that the outcome is unknown; no item is written a second time."""
    paper = Paper()
    paper.trouble = DatabaseTrouble("gone")
    results = await asyncio.gather(*paper.put(1, 2), return_exceptions=True)
    assert [type(result) for result in results] == [DatabaseTrouble] * 2
    assert paper.alone == []


async def test_a_late_group_holds_nobody_up() -> None:
    """While one is stuck the next one is written, up to the bound."""
    paper = Paper(under_way_max=2)
    paper.free.clear()
    stuck = paper.put(1, 2)
    async with asyncio.timeout(10):
        while len(paper.groups) < 1:
            await asyncio.wait(stuck, timeout=0.001)
        later = paper.put(3, 4)
        while len(paper.groups) < 2:
            await asyncio.wait(later, timeout=0.001)
    last = paper.put(5, 6)
    paper.free.set()
    assert await asyncio.gather(*stuck, *later, *last) == [-1, -2, -3, -4, -5, -6]
    assert paper.groups == [[1, 2], [3, 4], [5, 6]]
    assert paper.under_way_most == 2


async def test_the_queue_is_bounded_and_drains() -> None:
    """What does not fit is refused, and nothing of it is done; what was taken is written before drain returns."""
    paper = Paper(queue_max=2)
    tasks = paper.put(1, 2, 3)
    await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    await paper.group.drain()
    assert [tasks[0].result(), tasks[1].result()] == [-1, -2]
    with pytest.raises(QueueFull):
        tasks[2].result()


async def test_a_caller_that_gives_up() -> None:
    """What is not begun is dropped."""
    paper = Paper(under_way_max=1)
    paper.free.clear()
    first, second, third = *paper.put(1), *paper.put(2), *paper.put(3)
    async with asyncio.timeout(10):
        while not paper.groups:
            await asyncio.wait((first,), timeout=0.001)
    waiting = paper.put(4, 5)
    await asyncio.wait(waiting, timeout=0.001)
    waiting[0].cancel()
    paper.free.set()
    results = await asyncio.gather(first, second, third, waiting[1])
    assert list(results) == [-1, -2, -3, -5]
    await paper.group.drain()
    assert 4 not in {item for group in (*paper.groups, paper.alone) for item in group}
