"""Forgets keys that their clients declared settled, so that the table of keys does not grow for ever.

Guarantee: a key is forgotten only because its client declared it settled, never because time has passed. A forgotten key is
refused for ever. A failure at one client delays no other client and does not end the collector.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

import billing_service.charge
from billing_service.metrics import Metrics
from billing_service.outcomes import VOIDED, MarkLeap
from service_kit.bounded_pool import BoundedPool, Connection, DatabaseTrouble, LockWaitTooLong

log = structlog.get_logger()

# Rows that one transaction of the collector deletes: it is short enough that no charge waits for it.
FORGOTTEN_AT_ONCE_MAX = 1_000
# While the collector waits for a client's lock, the client's new charges wait behind it. Ordinary charges end within this
# time; when one takes longer, the collector gives up and tries again in the next round.
_PATIENCE_S = 0.2
# The part of a round that one client may take: some ten thousand keys. The next round deletes the rest, so that other
# clients do not wait.
_SHARE_S = 1.0


class Collector:
    """Collects the marks that clients announce, and deletes the keys below them in rounds.

    New marks are kept in memory until their round. A crash may lose one; the client's next charge announces it again. Memory
    holds two numbers for each client, and every client needs a token, so requests cannot make it grow.
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
        """Notes that a client declared all its keys below this one settled. A mark below the last one is ignored.

        Raises `MarkLeap` when the mark lies too far above the client's highest known key. That key is read again only when
        the mark lies too far above the value that was read last: for an ordinary client once in `leap_max` keys. Raises
        `DatabaseTrouble` and `LockWaitTooLong`.
        """
        if first_incomplete > self._highest.get(client, 0) + self._leap_max:
            async with self._pool.connection() as connection:
                highest_key = await read_highest(connection, client)
            self._highest[client] = highest_key
            if first_incomplete > highest_key + self._leap_max:
                raise MarkLeap(client, first_incomplete, highest_key, self._leap_max)
        known = self._announced.get(client, 1)
        self._announced[client] = max(known, first_incomplete)

    async def run(self) -> None:
        """Runs one round after the other until it is cancelled."""
        while True:
            # `gather` returns the exception: it is recorded and must not end the collector.
            (end,) = await asyncio.gather(self.run_once(), return_exceptions=True)
            if isinstance(end, BaseException):
                self._record("a collector round could not begin", end)
            await self._sleep(self._pause_s)

    async def run_once(self) -> int:
        """Runs one round over all clients and returns how many keys it deleted. It also finishes rounds that a crash cut short.

        A client that fails is recorded and tried again in the next round. The round is counted when no client failed.
        """
        async with self._pool.connection() as connection:
            marks = await read_marks(connection)
        deleted, failed = 0, False
        for client in sorted({*marks, *self._announced}):
            (end,) = await asyncio.gather(
                self._serve(client, marks.get(client, 1)), return_exceptions=True
            )
            if isinstance(end, BaseException):
                failed = True
                self._record("a client's keys were not forgotten in this round", end, client=client)
            else:
                deleted += end
        if not failed:
            self._metrics.collector_rounds.inc()
        return deleted

    async def _serve(self, client: str, mark: int) -> int:
        announced = self._announced.get(client, mark)
        # An unmoved mark has no keys below it, unless the last round was cut short.
        if announced <= mark and client in self._swept:
            return 0
        until_s = self._clock() + _SHARE_S
        self._swept.discard(client)
        deleted = await forget(
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
            # Charges have priority. The marks stay, and the next round does this work.
            log.warning(what, reason=str(failure), **fields)


async def forget(
    pool: BoundedPool,
    client: str,
    first_incomplete: int,
    patience_s: float | None = None,
    enough: Callable[[], bool] = lambda: False,
) -> int:
    """Advances a client's mark, deletes the keys below it and returns how many. Raises `DatabaseTrouble`.

    The mark is committed before the first key is deleted. `patience_s` shortens each wait for a lock; raises
    `LockWaitTooLong` after it. When `enough` says so after a chunk, the remaining keys are left for another call.
    """
    await move_mark(pool, client, first_incomplete, patience_s)
    deleted = 0
    while True:
        async with pool.transaction() as connection:
            if patience_s is not None:
                await limit_lock_waits(connection, patience_s)
            chunk = await delete_forgotten(connection, client, FORGOTTEN_AT_ONCE_MAX)
        deleted += chunk
        if chunk < FORGOTTEN_AT_ONCE_MAX or enough():
            return deleted


async def move_mark(
    pool: BoundedPool, client: str, first_incomplete: int, patience_s: float | None = None
) -> None:
    """Advances a client's mark. After it returns, no key below the mark is executed. Raises `DatabaseTrouble`.

    It waits for every charge that has read the old mark, and new charges wait for it. So a charge either finds its key or
    reads the new mark and is refused. Raises `LockWaitTooLong`, after `patience_s` if that is given.
    """
    async with pool.transaction() as connection:
        if patience_s is not None:
            await limit_lock_waits(connection, patience_s)
        await lock_client_exclusively(connection, client)
        await insert_client(connection, client)
        await advance_mark(connection, client, first_incomplete)
        # Another transaction may have moved the mark: then this one has written nothing.
        await billing_service.charge.seal(connection)


async def limit_lock_waits(connection: Connection, timeout_s: float) -> None:
    """Shortens the lock timeout of this transaction."""
    await connection.execute(
        "SELECT set_config('lock_timeout', $1, true)", f"{round(timeout_s * 1000)}ms"
    )


async def lock_client_exclusively(connection: Connection, client: str) -> None:
    """Waits for all charges that have read the client's mark. Later charges wait until this transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(1, hashtext($1))", client)


async def insert_client(connection: Connection, client: str) -> None:
    """Inserts the row of a client that declares its first mark.

    The client's first charge does not insert it: it would lock the row until its commit, and every other charge of a new
    client would wait for it.
    """
    await connection.execute(
        "INSERT INTO billing.clients (client) VALUES ($1) ON CONFLICT (client) DO NOTHING", client
    )


async def advance_mark(connection: Connection, client: str, first_incomplete: int) -> None:
    """Moves the mark forward, never back."""
    await connection.execute(
        """
        UPDATE billing.clients
        SET first_incomplete = $2
        WHERE client = $1 AND first_incomplete < $2
        """,
        client,
        first_incomplete,
    )


async def delete_forgotten(connection: Connection, client: str, limit: int) -> int:
    """Deletes keys below the committed mark, the lowest first, and returns how many."""
    deleted: int = await connection.fetchval(
        """
        WITH forgotten AS (
          DELETE FROM billing.processed_keys
          WHERE client = $1 AND sequence_key IN (
            SELECT processed_keys.sequence_key
            FROM billing.processed_keys
            WHERE processed_keys.client = $1
              AND processed_keys.sequence_key
                  < (SELECT first_incomplete FROM billing.clients WHERE clients.client = $1)
            ORDER BY processed_keys.sequence_key
            LIMIT $2
          )
          RETURNING 1
        )
        SELECT count(*) FROM forgotten
        """,
        client,
        limit,
    )
    return deleted


async def read_marks(connection: Connection) -> dict[str, int]:
    """The first incomplete key of each client."""
    rows = await connection.fetch("SELECT client, first_incomplete FROM billing.clients")
    return {row["client"]: row["first_incomplete"] for row in rows}


async def read_highest(connection: Connection, client: str) -> int:
    """The client's highest key that was charged, declined or declared settled; 0 when there is none.

    Voided keys do not count: a client can void any number, so a voided key proves nothing.
    """
    highest: int = await connection.fetchval(
        """
        SELECT greatest(
          0,
          (SELECT first_incomplete - 1 FROM billing.clients WHERE client = $1),
          (SELECT max(sequence_key) FROM billing.processed_keys WHERE client = $1 AND status <> $2)
        )
        WHERE (SELECT billing.sealed())
        """,
        client,
        VOIDED,
    )
    return highest
