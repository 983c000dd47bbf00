"""The engine: it forms groups, writes them, and gives each caller its result.

Guarantee: an item is written at once when no group is running. An item that its group could not write is written alone,
and the other items do not wait for it. A group that takes long does not delay the next one. No item waits longer than
`Bounds.wait_s` until its write begins; a write that has begun is finished, even when its caller has disconnected.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic

import structlog

from service_kit.bounded_pool import DatabaseTrouble, LockWaitTooLong
from service_kit.group_commit.queue import Item, Queue, QueueFull, Result, Waiting

log = structlog.get_logger()

# Several times an ordinary commit.
_PATIENCE_S = 0.02
# A commit costs the same for a hundred rows; more would hold locks for longer.
_TOGETHER_MAX = 100
# Groups that may wait. Beyond them an answer at once serves the caller better.
_GROUPS_WAITING_MAX = 10


class Alone(Exception):
    """The item, or each item of the group, must be written alone. Nothing was written for it."""


class Later(Exception):
    """Nothing was written for the item: it goes back to its place in the queue, which says when it may be taken again."""


@dataclass(frozen=True)
class Bounds:
    """The bounds of groups and of waiting.

    `size_max`: items in one group. `under_way_max`: groups at one time, late ones included. `slow_max`: writes at one time
    that wait for locks of other transactions. `queue_max`: waiting items. `wait_s`: an item whose write has not begun after
    this time fails. `patience_s`: a group that takes longer is late and does not delay the next one. `side_by_side`: groups
    at one time that are not late; each takes its part of the items, if there are more than `parted_from`.
    """

    size_max: int
    under_way_max: int
    slow_max: int
    queue_max: int
    wait_s: float
    patience_s: float = _PATIENCE_S
    side_by_side: int = 1
    parted_from: int = 1


def usual_bounds(under_way_max: int, deadline_s: float) -> Bounds:
    """For groups that insert or update a row for each item, each within `deadline_s`."""
    return Bounds(
        size_max=_TOGETHER_MAX,
        under_way_max=under_way_max,
        slow_max=under_way_max,
        queue_max=_TOGETHER_MAX * _GROUPS_WAITING_MAX,
        # When the database is so slow that each group needs all its time, the last item still has its turn.
        wait_s=deadline_s * _GROUPS_WAITING_MAX,
    )


class Group(Generic[Item, Result]):
    """The queue of one kind of write, and its writing.

    `together` writes items in one transaction and returns their results in the same order: a value, the exception for the
    caller, `Alone` or `Later`. `alone` writes one item and may wait for a lock; the default is a group of one.
    """

    def __init__(
        self,
        together: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        bounds: Bounds,
        *,
        alone: Callable[[Item], Awaitable[Result]] | None = None,
        queue: Queue[Item, Result] | None = None,
    ) -> None:
        self._together = together
        self._alone = alone or self._group_of_one
        self._bounds = bounds
        self._queue: Queue[Item, Result] = Queue() if queue is None else queue
        self._slow = asyncio.Semaphore(bounds.slow_max)
        # Groups that are not late, and all groups.
        self._prompt = self._under_way = 0
        self._taken_last = 0
        # One timer fails the items that have waited too long.
        self._expiry: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def put(self, item: Item) -> Result:
        """Writes the item and returns its result. Raises `QueueFull`, `DatabaseTrouble` and what its own write raises.

        When the caller is cancelled, a write that has not begun is dropped.
        """
        if self._closed:
            raise QueueFull("This process is stopping.")
        if len(self._queue) >= self._bounds.queue_max:
            raise QueueFull(f"{len(self._queue)} writes are waiting.")
        loop = asyncio.get_running_loop()
        waiting: Waiting[Item, Result] = Waiting(item, loop.create_future(), loop.time())
        if self._expiry is None:
            self._expiry = loop.call_later(self._bounds.wait_s, self._expire)
        if self._queue.add(waiting):
            self.begin()
        return await waiting.result

    async def drain(self) -> None:
        """Accepts no more items, and returns when every accepted item has its result."""
        self._closed = True
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self._expiry is not None:
            self._expiry.cancel()

    def begin(self) -> None:
        """Begins the next group, if one may begin."""
        may_begin = (
            self._prompt < self._bounds.side_by_side
            and self._under_way < self._bounds.under_way_max
        )
        if self._queue.in_line and may_begin:
            self._prompt += 1
            self._under_way += 1
            self.spawn(self._next())

    async def write(
        self,
        taken: list[Waiting[Item, Result]],
        writing: Awaitable[Sequence[Result | Exception]],
    ) -> None:
        """Answers the callers of `taken` by the results of `writing`, which may itself add items to `taken`."""
        written = asyncio.ensure_future(writing)
        await asyncio.wait((written,))
        match written.exception():
            case None:
                results = written.result()
            case DatabaseTrouble() | LockWaitTooLong() as exc:
                results = [exc] * len(taken)
            case exc:
                # Each item is written alone, so that only the item that caused the error fails.
                if not isinstance(exc, Alone):
                    log.warning("a group failed", items=len(taken), reason=repr(exc))
                results = [Alone()] * len(taken)
        back: list[Waiting[Item, Result]] = []
        for waiting, result in zip(taken, results, strict=True):
            match result:
                case Alone():
                    self.spawn(self._write_alone(waiting))
                case Later():
                    back.append(waiting)
                case Exception():
                    self._queue.fail(waiting, result)
                case _:
                    self._queue.end(waiting, result)
        self._queue.put_back(back)

    @asynccontextmanager
    async def waiting_for_a_lock(self, deadline_s: float) -> AsyncIterator[None]:
        """One of the `slow_max` writes. Raises `QueueFull` when there are as many until `deadline_s` of the loop's clock."""
        try:
            async with asyncio.timeout_at(deadline_s):
                await self._slow.acquire()
        except TimeoutError as exc:
            raise QueueFull("Too many writes are waiting for locks.") from exc
        try:
            yield
        finally:
            self._slow.release()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs `work` in the background; `drain` waits for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _next(self) -> None:
        # Items are taken only now, so that all that arrived in the same moment are in the queue.
        taken = self._queue.take(self._next_size())
        self._taken_last = len(taken) or self._taken_last
        self._queue.work_on(taken)
        prompt = True

        def let_pass() -> None:
            nonlocal prompt
            if prompt:
                prompt = False
                self._prompt -= 1
                self._queue.done_with(taken)
                # After an empty group every item has to wait, and what it waits for calls `begin` at its end.
                if taken:
                    self.begin()

        late = asyncio.get_running_loop().call_later(self._bounds.patience_s, let_pass)
        try:
            if taken:
                await self.write(taken, self._together([waiting.item for waiting in taken]))
        finally:
            self._under_way -= 1
            late.cancel()
            let_pass()
            if taken:
                self.begin()

    def _next_size(self) -> int:
        """A part of the waiting items and of those just answered, because busy callers send the next item at once.

        If one of two groups took all items, this process would be idle while Postgres works, and Postgres while this process
        answers and reads. With halves, Postgres writes one group while this process handles the other.
        """
        present = self._queue.in_line + self._taken_last
        part = -(-present // self._bounds.side_by_side)
        return min(self._bounds.size_max, max(self._bounds.parted_from, part))

    async def _write_alone(self, waiting: Waiting[Item, Result]) -> None:
        try:
            async with self.waiting_for_a_lock(waiting.since_s + self._bounds.wait_s):
                if waiting.result.done():
                    raise QueueFull("The caller has disconnected.")
                written = asyncio.ensure_future(self._alone(waiting.item))
                await asyncio.wait((written,))
                if (exc := written.exception()) is None:
                    self._queue.end(waiting, written.result())
                else:
                    self._queue.fail(waiting, exc)
        except QueueFull as exc:
            self._queue.fail(waiting, exc)
        finally:
            self.begin()

    async def _group_of_one(self, item: Item) -> Result:
        (result,) = await self._together([item])
        if isinstance(result, Exception):
            raise result
        return result

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        since_s = self._queue.expire(loop.time() - self._bounds.wait_s)
        self._expiry = (
            None if since_s is None else loop.call_at(since_s + self._bounds.wait_s, self._expire)
        )
