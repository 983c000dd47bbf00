"""Forgets keys that their clients have declared settled, so that the table stays as large as what is in flight.

Guarantee: a key is forgotten only because its client said so, never because time has passed; and what is forgotten is
refused for ever.
"""

from collections.abc import Awaitable, Callable

import structlog
from prometheus_client import Counter

from billing_service import keys
from bounded_pool import BoundedPool, DatabaseTrouble, LockWaitTooLong

log = structlog.get_logger()


class Collector:
    """Collects the marks that clients announce and acts on them from time to time.

    Marks are kept in memory only: one that a crash takes away comes again with the client's next charge.
    """

    def __init__(
        self,
        pool: BoundedPool,
        *,
        pause_s: float,
        sleep: Callable[[float], Awaitable[None]],
        forgotten: Counter,
        rounds: Counter,
    ) -> None:
        self._pool = pool
        self._pause_s = pause_s
        self._sleep = sleep
        self._forgotten = forgotten
        self._rounds = rounds
        self._announced: dict[str, int] = {}
        self._swept: set[str] = set()

    def announce(self, client: str, first_incomplete: int) -> None:
        """A client said that all its keys below this one are settled; an older word than the last one is ignored."""
        known = self._announced.get(client, 1)
        self._announced[client] = max(known, first_incomplete)

    async def run(self) -> None:
        """Forgets again and again, until it is cancelled."""
        while True:
            try:
                await self.run_once()
            except (DatabaseTrouble, LockWaitTooLong) as exc:
                # Charges go before: the marks stay, and the next round does the work of both.
                log.warning("no keys forgotten this time", reason=str(exc))
            await self._sleep(self._pause_s)

    async def run_once(self) -> int:
        """One round over all clients, those of a round that a crash has cut short included; how many keys."""
        async with self._pool.connection() as connection:
            marks = await keys.read_marks(connection)
        deleted = 0
        for client in {*marks, *self._announced}:
            mark = marks.get(client, 1)
            announced = self._announced.get(client, mark)
            # What has not moved since the last round has nothing below it, but for a round that a crash cut short.
            if announced > mark or client not in self._swept:
                deleted += await keys.forget(self._pool, client, max(mark, announced))
                self._swept.add(client)
        self._forgotten.inc(deleted)
        self._rounds.inc()
        return deleted
