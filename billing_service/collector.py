"""Forgets keys that their clients have declared settled, so that the table stays as large as what is in flight.

Guarantee: a key is forgotten only because its client said so, never because time has passed; what is forgotten is refused for
ever; and what keeps one client from being served keeps no other one, and does not end the collector.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from billing_service import keys
from billing_service.metrics import Metrics
from service_kit.bounded_pool import BoundedPool, DatabaseTrouble, LockWaitTooLong

log = structlog.get_logger()

# A collector that waits for a client's lock makes the client's charges wait behind it. Ordinary charges are over within
# this time; behind one that is stuck the collector gives way, and comes back in the next round.
_PATIENCE_S = 0.2
# Time that one client may take of a round: some ten thousand keys. What is left is for the next round, after the others.
_SHARE_S = 1.0


class MarkLeap(Exception):
    """A mark lies too far above the keys of its client. It was not taken, and nothing was done."""

    def __init__(self, client: str, first_incomplete: int, highest_key: int, leap_max: int) -> None:
        super().__init__(f"{first_incomplete} lies more than {leap_max} above {highest_key}")
        self.client = client
        self.first_incomplete = first_incomplete
        self.highest_key = highest_key
        self.leap_max = leap_max


class Collector:
    """Collects the marks that clients announce and acts on them from time to time.

    Marks are kept in memory only: one that a crash takes away comes again with the client's next charge. What is kept for
    each client is a number or two, and a client needs a token, so memory does not grow with what is sent.
    """

    def __init__(
        self,
        pool: BoundedPool,
        *,
        pause_s: float,
        leap_max: int,
        sleep: Callable[[float], Awaitable[None]],
        clock: Callable[[], float],
        metrics: Metrics,
    ) -> None:
        self._pool = pool
        self._pause_s = pause_s
        self._leap_max = leap_max
        self._sleep = sleep
        self._clock = clock
        self._metrics = metrics
        self._announced: dict[str, int] = {}
        self._highest: dict[str, int] = {}
        self._swept: set[str] = set()

    async def announce(self, client: str, first_incomplete: int) -> None:
        """A client said that all its keys below this one are settled; an older word than the last one is ignored.

        Raises `MarkLeap` for one that lies too far above all that is known of the client. The database is asked only when
        it lies too far above what was last read, which for a client that counts is once in as many keys as it may leap.
        Raises `DatabaseTrouble` and `LockWaitTooLong`.
        """
        if first_incomplete > self._highest.get(client, 0) + self._leap_max:
            async with self._pool.connection() as connection:
                highest_key = await keys.read_highest(connection, client)
            self._highest[client] = highest_key
            if first_incomplete > highest_key + self._leap_max:
                raise MarkLeap(client, first_incomplete, highest_key, self._leap_max)
        known = self._announced.get(client, 1)
        self._announced[client] = max(known, first_incomplete)

    async def run(self) -> None:
        """Forgets again and again, until it is cancelled."""
        while True:
            # Gathered, because whatever a round meets is recorded and must not end the collector.
            (end,) = await asyncio.gather(self.run_once(), return_exceptions=True)
            if isinstance(end, BaseException):
                self._record("a round could not begin", end)
            await self._sleep(self._pause_s)

    async def run_once(self) -> int:
        """One round over all clients, those of a round that a crash has cut short included; how many keys.

        A client that could not be served is recorded and comes again in the next round. The round counts if there was none.
        """
        async with self._pool.connection() as connection:
            marks = await keys.read_marks(connection)
        deleted, failed = 0, False
        for client in sorted({*marks, *self._announced}):
            (end,) = await asyncio.gather(
                self._serve(client, marks.get(client, 1)), return_exceptions=True
            )
            if isinstance(end, BaseException):
                failed = True
                self._record("a client's keys were not forgotten this time", end, client=client)
            else:
                deleted += end
        if not failed:
            self._metrics.collector_rounds.inc()
        return deleted

    async def _serve(self, client: str, mark: int) -> int:
        announced = self._announced.get(client, mark)
        # What has not moved since the last round has nothing below it, but for a round that was cut short.
        if announced <= mark and client in self._swept:
            return 0
        until_s = self._clock() + _SHARE_S
        self._swept.discard(client)
        deleted = await keys.forget(
            self._pool,
            client,
            max(mark, announced),
            _PATIENCE_S,
            enough=lambda: self._clock() > until_s,
        )
        self._metrics.keys_forgotten.inc(deleted)
        if self._clock() <= until_s:
            self._swept.add(client)
        return deleted

    def _record(self, what: str, failure: BaseException, **fields: str) -> None:
        match failure:
            case LockWaitTooLong():
                cause = "lock"
            case DatabaseTrouble():
                cause = "database"
            case _:
                cause = "defect"
        self._metrics.collector_failures.labels(cause=cause).inc()
        if cause == "defect":
            log.error(what, exc_info=failure, **fields)
        else:
            # Charges go before: the marks stay, and the next round does the work of both.
            log.warning(what, reason=str(failure), **fields)
