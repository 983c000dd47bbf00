"""The items that wait to be written, in the order of their arrival. It does no I/O.

Guarantee: an item is taken once, unless it is put back; each caller gets one result.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from service_kit.bounded_pool import DatabaseTrouble

Item = TypeVar("Item")
Result = TypeVar("Result")


class QueueFull(DatabaseTrouble):
    """Too many writes wait, or this one has waited too long. It was not written."""


@dataclass(eq=False)
class Waiting(Generic[Item, Result]):
    """One caller that has waited for the result of its item since `since_s`, in seconds of the event loop's clock."""

    item: Item
    result: "asyncio.Future[Result]"
    since_s: float

    def gets(self, result: Result) -> None:
        """Answers the caller, if it still waits."""
        if not self.result.done():
            self.result.set_result(result)

    def fails(self, exc: BaseException) -> None:
        """Answers the caller with an exception, if it still waits."""
        if not self.result.done():
            self.result.set_exception(exc)


class Queue(Generic[Item, Result]):
    """First come, first served. A subclass may let an item wait for others.

    An item is being written from `take` to `end`, `fail` or `put_back`.
    """

    def __init__(self) -> None:
        self._line: deque[Waiting[Item, Result]] = deque()

    def __len__(self) -> int:
        """Items that wait and are not being written."""
        return len(self._line)

    @property
    def in_line(self) -> int:
        """Items that `take` looks at."""
        return len(self._line)

    def add(self, waiting: Waiting[Item, Result]) -> bool:
        """Adds an item; true when it may be written now."""
        self._line.append(waiting)
        return True

    def take(self, size: int) -> list[Waiting[Item, Result]]:
        """Takes at most `size` items that may be written now. An item whose caller has disconnected is dropped."""
        taken: list[Waiting[Item, Result]] = []
        while self._line and len(taken) < size:
            waiting = self._line.popleft()
            if not waiting.result.done():
                taken.append(waiting)
        return taken

    def work_on(self, taken: Sequence[Waiting[Item, Result]]) -> None:
        """A group of these items is being written, and delays the next one until `done_with`."""

    def done_with(self, taken: Sequence[Waiting[Item, Result]]) -> None:
        """The counterpart of `work_on`."""

    def end(self, waiting: Waiting[Item, Result], result: Result) -> None:
        """Answers the caller of an item that was written."""
        waiting.gets(result)

    def fail(self, waiting: Waiting[Item, Result], exc: BaseException) -> None:
        """Answers the caller of an item that was not written, or perhaps not."""
        waiting.fails(exc)

    def put_back(self, waiting: Sequence[Waiting[Item, Result]]) -> None:
        """Returns items that were not written to their old places."""
        self._line.extendleft(reversed(waiting))

    def expire(self, due_s: float) -> float | None:
        """Fails the items that arrived at `due_s` or earlier, and returns when the first of the others arrived."""
        for waiting in self._line:
            if waiting.since_s <= due_s:
                waiting.fails(self.why_late(waiting.item))
        self._line = deque(each for each in self._line if not each.result.done())
        return min((each.since_s for each in self._line), default=None)

    def why_late(self, item: Item) -> Exception:
        """The error of an item that was not taken in time."""
        return QueueFull("The write did not begin in time.")
