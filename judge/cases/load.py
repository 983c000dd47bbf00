"""Requests in flight at the same time, and what is known of them so far."""

import asyncio
from collections.abc import Callable

from judge.caller import Hold, Sending
from judge.evidence import Attempt
from judge.play import Play


class Load:
    """One load: each request has a key of its own."""

    def __init__(self, play: Play, count: int) -> None:
        self.play = play
        self.values = [play.new() for _ in range(count)]
        self.answers = 0
        # Numbers of those that are complete on the wire.
        self.complete: set[int] = set()
        self.tasks: list[asyncio.Task[Attempt]] = []
        self._changed = asyncio.Condition()
        self._stopped = False

    async def send(self, at_once: int) -> None:
        """Sends so many, and returns when they are complete on the wire, all at the same moment, or over.

        Each answer lets one more of the others go.
        """
        hold = Hold(at_once)
        for _ in range(at_once):
            self._start(hold)
        await hold.all_held.wait()
        hold.released.set()
        complete, over = (self.play.start(each) for each in (self.completed(at_once), self.ended()))
        await asyncio.wait([complete, over], return_when=asyncio.FIRST_COMPLETED)

    def stop(self) -> None:
        """No more requests go."""
        self._stopped = True

    async def answered(self, count: int) -> None:
        """Returns when so many have an answer."""
        await self._until(lambda: self.answers >= count)

    async def completed(self, count: int) -> None:
        """Returns when so many are complete on the wire."""
        await self._until(lambda: len(self.complete) >= count)

    async def ended(self) -> None:
        """Returns when all that were sent have ended."""
        await self._until(lambda: all(task.done() for task in self.tasks))

    def _start(self, hold: Hold | None = None) -> None:
        number = len(self.tasks)
        if self._stopped or number == len(self.values):
            return

        async def on_head() -> None:
            self.answers += 1
            self._start()
            self._tell()

        def on_complete() -> None:
            self.complete.add(number)
            self._tell()

        sending = Sending(
            self.play.bench.deadline_s, hold=hold, on_complete=on_complete, on_head=on_head
        )
        work = self.play.send(self.values[number], f"request {number + 1}", sending=sending)
        self.tasks.append(self.play.start(work))
        self.tasks[-1].add_done_callback(lambda _: self._tell())

    async def _until(self, true: Callable[[], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(true)

    def _tell(self) -> None:
        self.play.start(self._notify())

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
