"""Group commit: writes that arrive while another write runs share the next transaction.

Guarantee: a write starts at once when none is running; `put` returns only after its write is committed; an item that the
group cannot write is written alone, and the other items do not wait for it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from service_kit.bounded_pool.errors import DatabaseTrouble, LockWaitTooLong

Item = TypeVar("Item")
Result = TypeVar("Result")

# Several times an ordinary commit. A group that takes longer no longer holds up the next one.
_PATIENCE_S = 0.02


class Alone(Exception):
    """The item, or each item of the group, must be written alone. Nothing was written for it."""


class QueueFull(DatabaseTrouble):
    """The queue is at its bound. Nothing was written."""


@dataclass(eq=False)
class _Waiting(Generic[Item, Result]):
    item: Item
    result: "asyncio.Future[Result]"

    def ends(self, result: Result | Exception) -> None:
        if self.result.done():
            return
        if isinstance(result, Exception):
            self.result.set_exception(result)
        else:
            self.result.set_result(result)


@dataclass(frozen=True)
class Bounds:
    """At most `size_max` items in one group, `under_way_max` writes at the same time, and `queue_max` items waiting."""

    size_max: int
    under_way_max: int
    queue_max: int


class Group(Generic[Item, Result]):
    """The queue for one kind of write.

    `together` writes many items in one transaction and returns their results in the same order: a value, the exception
    for the caller, or `Alone`. `alone` writes one item.
    """

    def __init__(
        self,
        together: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        alone: Callable[[Item], Awaitable[Result]],
        bounds: Bounds,
    ) -> None:
        self._together = together
        self._alone = alone
        self._bounds = bounds
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._holding_up = False
        self._under_way = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def put(self, item: Item) -> Result:
        """Writes the item and returns its result. Raises `DatabaseTrouble` and what the item's own write raises."""
        if len(self._queue) >= self._bounds.queue_max:
            raise QueueFull(f"{len(self._queue)} writes are waiting")
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(item, result))
        self._begin()
        return await result

    async def drain(self) -> None:
        """Returns when no write waits and none is running."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self) -> None:
        if self._queue and not self._holding_up and self._under_way < self._bounds.under_way_max:
            self._holding_up = True
            self._under_way += 1
            self._spawn(self._next())

    async def _next(self) -> None:
        released = False

        def let_pass() -> None:
            nonlocal released
            if not released:
                released = True
                self._holding_up = False
                self._begin()

        late = asyncio.get_running_loop().call_later(_PATIENCE_S, let_pass)
        try:
            taken = self._take()
            if len(taken) == 1:
                await self._write_alone(taken[0])
            elif taken:
                await self._write(taken)
        finally:
            self._under_way -= 1
            late.cancel()
            let_pass()
            self._begin()

    def _take(self) -> list[_Waiting[Item, Result]]:
        """The next items. Items whose caller has gone are dropped: their write has not started."""
        taken: list[_Waiting[Item, Result]] = []
        while self._queue and len(taken) < self._bounds.size_max:
            waiting = self._queue.popleft()
            if not waiting.result.done():
                taken.append(waiting)
        return taken

    async def _write(self, taken: list[_Waiting[Item, Result]]) -> None:
        writing = asyncio.ensure_future(self._together([waiting.item for waiting in taken]))
        await asyncio.wait((writing,))
        match writing.exception():
            case None:
                results: Sequence[Result | Exception] = writing.result()
            case DatabaseTrouble() | LockWaitTooLong() as exc:
                results = [exc] * len(taken)
            case _:
                # One item caused it. Written alone, only that item fails.
                results = [Alone()] * len(taken)
        for waiting, result in zip(taken, results, strict=True):
            if isinstance(result, Alone):
                self._spawn(self._write_alone(waiting))
            else:
                waiting.ends(result)

    async def _write_alone(self, waiting: _Waiting[Item, Result]) -> None:
        writing = asyncio.ensure_future(self._alone(waiting.item))
        await asyncio.wait((writing,))
        failure = writing.exception()
        if failure is None:
            waiting.ends(writing.result())
        elif not waiting.result.done():
            waiting.result.set_exception(failure)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
