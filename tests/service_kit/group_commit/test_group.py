"""Items that wait together are written together; an item that its group cannot write is written alone."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from service_kit.bounded_pool import DatabaseTrouble, LockWaitTooLong
from service_kit.group_commit import (
    Alone,
    Bounds,
    Group,
    Later,
    Queue,
    QueueFull,
    Waiting,
    usual_bounds,
)


class Table:
    """Where items are written: records each group, and pauses where a test says so."""

    def __init__(self, *, alone: bool = True, **bounds: Any) -> None:
        usual = {"size_max": 100, "under_way_max": 2, "slow_max": 2, "queue_max": 100}
        self.groups: list[list[int]] = []
        self.alone: list[int] = []
        self.under_way = self.under_way_most = 0
        self.alone_now = self.alone_most = 0
        self.trouble: Exception | None = None
        self.not_together: set[int] = set()
        self.later: list[int] = []
        self.free = asyncio.Event()
        self.free.set()
        self.free_alone = asyncio.Event()
        self.free_alone.set()
        self.queue: Queue[int, int] = Queue()
        self.group = Group(
            self._together,
            Bounds(**{"wait_s": 60.0, **usual, **bounds}),
            alone=self._alone if alone else None,
            queue=self.queue,
        )

    async def _together(self, items: Sequence[int]) -> list[int | Exception]:
        self.groups.append(list(items))
        self.under_way += 1
        self.under_way_most = max(self.under_way_most, self.under_way)
        await self.free.wait()
        self.under_way -= 1
        if self.trouble is not None:
            raise self.trouble
        return [self._result(item) for item in items]

    def _result(self, item: int) -> int | Exception:
        if item in self.later:
            self.later.remove(item)
            return Later()
        return Alone() if item in self.not_together else -item

    async def _alone(self, item: int) -> int:
        self.alone.append(item)
        self.alone_now += 1
        self.alone_most = max(self.alone_most, self.alone_now)
        await self.free_alone.wait()
        self.alone_now -= 1
        if item == 13:
            raise ZeroDivisionError
        return -item

    def put(self, *items: int) -> "list[asyncio.Task[int]]":
        return [asyncio.create_task(self.group.put(item)) for item in items]


async def until(condition: Callable[[], bool]) -> None:
    """Evidence, looked for in each round of the event loop, for at most ten seconds."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.create_task(_round())


async def _round() -> None:
    """Ends in the next round of the event loop."""


async def test_an_item_that_finds_nothing_under_way() -> None:
    """It is a group of one, written at once."""
    table = Table()
    assert await table.group.put(1) == -1
    assert (table.groups, table.alone) == ([[1]], [])


async def test_what_waits_goes_together_in_its_order() -> None:
    """Each caller gets the result of its own item."""
    table = Table(size_max=3)
    assert await asyncio.gather(*table.put(1, 2, 3, 4, 5)) == [-1, -2, -3, -4, -5]
    assert table.groups == [[1, 2, 3], [4, 5]]


async def test_an_item_that_cannot_go_together() -> None:
    """It is written alone; the other items get their results meanwhile."""
    table = Table()
    table.free_alone.clear()
    table.not_together = {2}
    one, two, three = table.put(1, 2, 3)
    assert list(await asyncio.gather(one, three)) == [-1, -3]
    assert not two.done()
    table.free_alone.set()
    assert await two == -2
    assert table.alone == [2]


async def test_an_item_that_goes_back() -> None:
    """It keeps its place before items that came later, and goes into the next group."""
    table = Table(size_max=2)
    table.later = [2]
    async with asyncio.timeout(60):
        assert await asyncio.gather(*table.put(1, 2, 3)) == [-1, -2, -3]
    assert table.groups == [[1, 2], [2, 3]]


@pytest.mark.parametrize("results", [[], [-1], [-1, -2, -3]])
async def test_a_group_with_another_number_of_results(results: list[int]) -> None:
    """A defect, which is raised: no item may silently get the result of another, or none."""
    loop = asyncio.get_running_loop()
    taken = [Waiting(item, loop.create_future(), loop.time()) for item in (1, 2)]

    async def written() -> list[int | Exception]:
        return [*results]

    with pytest.raises(ValueError, match="argument"):
        await Table().group.write(taken, written())


async def test_a_defect_is_met_alone() -> None:
    """After an unknown failure each item is written alone: only the item that caused it fails."""
    table = Table()
    table.trouble = ValueError("one of them")
    results = await asyncio.gather(*table.put(1, 13, 3), return_exceptions=True)
    assert [results[0], results[2]] == [-1, -3]
    assert isinstance(results[1], ZeroDivisionError)


async def test_alone_is_a_group_of_one() -> None:
    """Where nothing else is said; what the group gives as an exception is raised."""
    table = Table(alone=False)
    table.trouble = ValueError("not together")
    table.free.clear()
    items = table.put(1, 2)
    await until(lambda: table.groups == [[1, 2]])
    table.free.set()
    results = await asyncio.gather(*items, return_exceptions=True)
    assert table.groups == [[1, 2], [1], [2]]
    assert [type(result) for result in results] == [ValueError] * 2


@pytest.mark.parametrize("trouble", [DatabaseTrouble("gone"), LockWaitTooLong("held")])
async def test_trouble_of_the_database_concerns_the_whole_group(trouble: Exception) -> None:
    """All callers learn that the outcome is unknown; no item is written a second time."""
    table = Table()
    table.trouble = trouble
    results = await asyncio.gather(*table.put(1, 2), return_exceptions=True)
    assert results == [trouble] * 2
    assert (table.groups, table.alone) == ([[1, 2]], [])


async def test_a_late_group_delays_no_other_one() -> None:
    """While one is stuck the next one is written."""
    table = Table(under_way_max=2)
    table.free.clear()
    stuck = table.put(1, 2)
    await until(lambda: len(table.groups) == 1)
    later = table.put(3, 4)
    await until(lambda: len(table.groups) == 2)
    table.free.set()
    assert await asyncio.gather(*stuck, *later) == [-1, -2, -3, -4]


async def test_the_end_of_a_late_group_begins_the_next_one() -> None:
    """When as many are stuck as there may be, what comes later waits for the end of one, and for nothing else."""
    # Late in the next round of the event loop.
    table = Table(under_way_max=2, patience_s=0.0)
    table.free.clear()
    stuck = table.put(1, 2)
    await until(lambda: len(table.groups) == 1)
    stuck += table.put(3, 4)
    await until(lambda: len(table.groups) == 2)
    last = table.put(5, 6)
    await until(lambda: len(table.queue) == 2)
    for _ in range(5):
        await asyncio.create_task(_round())
    table.free.set()
    async with asyncio.timeout(60):
        assert await asyncio.gather(*stuck, *last) == [-1, -2, -3, -4, -5, -6]
    assert table.groups == [[1, 2], [3, 4], [5, 6]]
    assert table.under_way_most == 2


async def test_two_groups_side_by_side() -> None:
    """Each takes half of what is there, when there is enough for two."""
    table = Table(side_by_side=2, parted_from=3, patience_s=60.0)
    table.free.clear()
    items = table.put(1, 2, 3, 4, 5, 6, 7, 8)
    await until(lambda: len(table.groups) == 2)
    table.free.set()
    await asyncio.gather(*items)
    assert table.groups == [[1, 2, 3, 4], [5, 6, 7, 8]]
    few = Table(side_by_side=2, parted_from=3, patience_s=60.0)
    await asyncio.gather(*few.put(1, 2, 3))
    assert few.groups == [[1, 2, 3]]


async def test_writes_that_wait_for_locks_are_bounded() -> None:
    """No more than `slow_max` at one time; the others of them fail when their time is over, and were not begun."""
    table = Table(slow_max=2, wait_s=0.2)
    table.not_together = {1, 2, 3}
    table.free_alone.clear()
    items = table.put(1, 2, 3)
    with pytest.raises(QueueFull):
        await asyncio.wait_for(items[2], 10)
    table.free_alone.set()
    assert await asyncio.gather(*items[:2]) == [-1, -2]
    assert (table.alone, table.alone_most) == ([1, 2], 2)


async def test_an_item_that_is_not_begun_in_time() -> None:
    """It fails and is not written later; one that has begun is finished."""
    table = Table(under_way_max=1, wait_s=0.2)
    table.free.clear()
    begun = table.put(1)
    await until(lambda: bool(table.groups))
    (waiting,) = table.put(2)
    with pytest.raises(QueueFull):
        await asyncio.wait_for(waiting, 10)
    assert not begun[0].done()
    table.free.set()
    assert await begun[0] == -1
    assert await table.group.put(3) == -3
    assert table.groups == [[1], [3]]


async def test_the_queue_is_bounded() -> None:
    """What does not fit is refused, and nothing of it is done."""
    table = Table(queue_max=2)
    tasks = table.put(1, 2, 3)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[:2] == [-1, -2]
    assert isinstance(results[2], QueueFull)
    assert table.groups == [[1, 2]]


async def test_draining() -> None:
    """What was accepted is written before drain returns; later items are refused."""
    table = Table(size_max=1)
    table.not_together = {2}
    tasks = table.put(1, 2, 3)
    await until(lambda: bool(table.groups))
    await table.group.drain()
    assert [task.done() for task in tasks] == [True] * 3
    assert await asyncio.gather(*tasks) == [-1, -2, -3]
    with pytest.raises(QueueFull, match="This process is stopping"):
        await table.group.put(4)
    # Nothing of it is called later.
    assert table.group._expiry is None or table.group._expiry.cancelled()


class WithTwin(Queue[int, int]):
    """A twin waits beside the item that is written, and comes back when that fails."""

    twin: Waiting[int, int] | None = None

    def fail(self, waiting: Waiting[int, int], exc: BaseException) -> None:
        super().fail(waiting, exc)
        if self.twin is not None:
            twin, self.twin = self.twin, None
            self.put_back([twin])


async def test_what_comes_back_after_a_failure_is_begun() -> None:
    """No further item has to come for it."""
    queue = WithTwin()

    async def together(items: Sequence[int]) -> list[int | Exception]:
        return [Alone() if item == 1 else -item for item in items]

    async def alone(_: int) -> int:
        raise DatabaseTrouble("away")

    bounds = Bounds(size_max=10, under_way_max=1, slow_max=1, queue_max=10, wait_s=3600.0)
    group: Group[int, int] = Group(together, bounds, alone=alone, queue=queue)
    loop = asyncio.get_running_loop()
    queue.twin = twin = Waiting(2, loop.create_future(), loop.time())
    with pytest.raises(DatabaseTrouble):
        await group.put(1)
    async with asyncio.timeout(30):
        assert await twin.result == -2
    await group.drain()


async def test_a_caller_that_gives_up() -> None:
    """What is not begun is dropped, in the queue and before it is written alone; what is begun is finished."""
    table = Table(under_way_max=1, slow_max=1)
    table.not_together = {2, 3}
    table.free.clear()
    table.free_alone.clear()
    first, second, third = table.put(1, 2, 3)
    await until(lambda: table.groups == [[1, 2, 3]])
    waiting = table.put(4, 5)
    await until(lambda: len(table.queue) == 2)
    waiting[0].cancel()
    first.cancel()
    table.free.set()
    await until(lambda: table.alone == [2])
    third.cancel()
    table.free_alone.set()
    assert list(await asyncio.gather(second, waiting[1])) == [-2, -5]
    # Who gave up while waiting for a turn has not kept it.
    async with asyncio.timeout(30):
        assert await table.group.put(2) == -2
    await table.group.drain()
    assert table.groups == [[1, 2, 3], [5], [2]]
    assert table.alone == [2, 2]


def test_the_usual_bounds() -> None:
    """The last item of a full queue has its turn even when each group needs all its time."""
    bounds = usual_bounds(under_way_max=2, deadline_s=3.0)
    assert bounds.wait_s >= 3.0 * bounds.queue_max / bounds.size_max


async def test_when_the_next_item_is_due() -> None:
    """Those that have waited too long fail, and the queue says since when the next one waits."""
    queue: Queue[int, int] = Queue()
    loop = asyncio.get_running_loop()
    callers: list[Waiting[int, int]] = []
    for number in (1, 2, 3):
        callers.append(Waiting(number, loop.create_future(), float(number)))
        queue.add(callers[-1])
    assert queue.expire(1.0) == 2.0
    assert [each.result.done() for each in callers] == [True, False, False]
    with pytest.raises(QueueFull, match="The write did not begin in time"):
        await callers[0].result
    assert queue.expire(3.0) is None
    assert len(queue) == 0
    for each in callers[1:]:
        assert isinstance(each.result.exception(), QueueFull)
