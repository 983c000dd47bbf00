"""Watches the orders in play: the journal line by line, Postgres row by row, until nothing is under way.

Guarantee: a round is over only when every one of its orders is settled in Postgres, nothing of it is held or late, and every
fault is healed.
"""

import asyncio
from collections.abc import Callable, Sequence

import asyncpg

from chaos.evidence.journal import Event, Tail
from chaos.harness.harness import AMOUNT_CENTS, Harness
from lab.history import History
from lab.ledger import Ledger, Reading
from lab.messages import Messages
from lab.rounds import Lane, Round

# A line of the journal is seen this soon: shorter than a picture of the screen.
_JOURNAL_PAUSE_S = 0.015
# Postgres is asked when something has happened, and otherwise this often while an order is open.
_LEDGER_PAUSE_S = 0.1
# Of an order that is over nothing more is expected.
_QUIET_PAUSE_S = 0.5
_UNREACHABLE = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


class Watch:
    """`rounds` are those that are not over, and the last one; `ended` is called when one is; `may_end` says whether one may."""

    def __init__(
        self,
        harness: Harness,
        history: History,
        rounds: Callable[[], Sequence[Round]],
        may_end: Callable[[Round], bool],
        ended: Callable[[Round], None],
    ) -> None:
        self._harness = harness
        self._history = history
        self._rounds = rounds
        self._may_end = may_end
        self._ended = ended
        self._tail = Tail(harness.journal.path)
        self._ledger = Ledger(harness.target.owner)
        self._reading = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._telling: set[asyncio.Task[None]] = set()

    def start(self, messages: Messages) -> None:
        """Begins; `messages` hears how attempts end."""
        self._tasks = [
            asyncio.create_task(self._follow_journal(messages)),
            asyncio.create_task(self._follow_ledger()),
        ]

    async def close(self) -> None:
        """Stops watching."""
        for task in (*self._tasks, *self._telling):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._telling, return_exceptions=True)
        await self._ledger.close()

    async def read(self, lane: Lane) -> Reading | None:
        """What Postgres says of one order now; what it said last when it cannot be asked."""
        await self._read([lane])
        return lane.reading

    async def _read(self, lanes: Sequence[Lane]) -> None:
        async with self._reading:
            try:
                found = await self._ledger.read([lane.account for lane in lanes])
            except _UNREACHABLE:
                return
        for lane in lanes:
            reading = found.get(lane.account)
            if reading is not None and reading != lane.reading:
                self._observed(lane, reading)
                lane.reading = reading
                self._history.changed()

    def _observed(self, lane: Lane, reading: Reading) -> None:
        """A change of the account is part of the diagram."""
        before = lane.reading.moved_cents if lane.reading else 0
        if reading.moved_cents != before:
            effects = reading.moved_cents / AMOUNT_CENTS
            keys = len({*reading.keys})
            self._harness.journal.note(
                "observed", lane.account, effects=effects, keys=keys, commits=len(reading.keys)
            )
            self._history.note("paid", column=lane.column.name, moved_cents=reading.moved_cents)

    async def _follow_journal(self, messages: Messages) -> None:
        while True:
            for event in self._tail.read():
                for current in self._rounds():
                    lane = current.lane_of(event.account)
                    if lane is not None:
                        lane.keep(event)
                        self._tell(messages, current, lane, event)
            await asyncio.sleep(_JOURNAL_PAUSE_S)

    def _tell(self, messages: Messages, current: Round, lane: Lane, event: Event) -> None:
        if event.service == "order_service" and event.fields.get("died"):
            messages.caller_died(current)
        elif event.fields.get("peer") == "charges" and event.seam in ("answer", "no answer"):
            task = asyncio.create_task(messages.ended(lane, event))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _follow_ledger(self) -> None:
        while True:
            for current in self._rounds():
                await self._read(list(current.lanes.values()))
                if current.over:
                    continue
                settled = all(lane.is_settled for lane in current.lanes.values())
                if settled and self._may_end(current):
                    await self._read(list(current.lanes.values()))
                    self._ended(current)
            quiet = all(current.over for current in self._rounds())
            await asyncio.sleep(_QUIET_PAUSE_S if quiet else _LEDGER_PAUSE_S)
