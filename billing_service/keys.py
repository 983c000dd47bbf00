"""The processed keys of each client: claimed once, answered for as long as they may come again, then forgotten.

Guarantee: a key is in one of five states, and moves only forward: never seen, then charged, declined or voided, then
forgotten. From none of them does it come back to be executed.
"""

from collections.abc import Callable
from dataclasses import dataclass

from service_kit.bounded_pool import (
    BoundedPool,
    Connection,
    Connections,
    DatabaseTrouble,
    LockWaitTooLong,
    translated,
)

CHARGED = 201
DECLINED = 402
VOIDED = 410

# Rows that one transaction of the collector deletes: short enough that nobody waits for it.
FORGOTTEN_AT_ONCE_MAX = 1_000


@dataclass(frozen=True)
class Answer:
    """A final answer, executed now (`replayed` false) or when the key came for the first time (true)."""

    status: int
    body: str
    replayed: bool = False


@dataclass(frozen=True)
class Voided:
    """The key was taken out of use before it was executed. It never was and never will be."""


@dataclass(frozen=True)
class KeyForgotten:
    """The key lies below first incomplete. Nothing was executed now, and nothing ever will be."""

    first_incomplete: int


@dataclass(frozen=True)
class KeyInFlight:
    """Another transaction holds the key for longer than the lock timeout. Nothing was executed by this one."""


@dataclass(frozen=True)
class NeverSeen:
    """The key was never processed; its charge may still be on its way."""


KeyState = Answer | Voided | KeyForgotten | NeverSeen
VoidOutcome = Answer | Voided | KeyForgotten | KeyInFlight


@dataclass(frozen=True)
class Stored:
    """A processed key: the fingerprint of its payload, and what became of it."""

    fingerprint: bytes
    state: Answer | Voided


def stored_as(fingerprint: bytes, status: int, body: str) -> Stored:
    """What the columns of a processed key say."""
    if status == VOIDED:
        return Stored(fingerprint, Voided())
    return Stored(fingerprint, Answer(status, body, replayed=True))


class Held(Exception):
    """Somebody else has the key. To be caught outside of the transaction, which is over with it."""


class ClientHeld(LockWaitTooLong):
    """The client's mark was being moved for longer than the lock timeout. Nothing was executed."""


async def state(pool: Connections, client: str, sequence_key: int) -> KeyState:
    """The definite answer about a key: what it did, or that it has done nothing so far. Raises `DatabaseTrouble`."""
    async with pool.transaction() as connection:
        first_incomplete = await share_lock_client(connection, client)
        if sequence_key < first_incomplete:
            return KeyForgotten(first_incomplete)
        stored = await read_stored(connection, client, sequence_key)
        return NeverSeen() if stored is None else stored.state


async def void(pool: BoundedPool, client: str, sequence_key: int) -> VoidOutcome:
    """Takes a key out of use unless it was executed, and says which; to do it twice changes nothing.

    A charge of this key that is still on its way will find the tombstone. Raises `DatabaseTrouble`.
    """
    try:
        async with pool.transaction() as connection:
            first_incomplete = await share_lock_client(connection, client)
            if sequence_key < first_incomplete:
                return KeyForgotten(first_incomplete)
            if await claim(connection, client, sequence_key, b""):
                await store_answer(connection, client, sequence_key, Answer(VOIDED, ""))
                return Voided()
            return (await require_stored(connection, client, sequence_key)).state
    except Held:
        return KeyInFlight()


async def forget(
    pool: BoundedPool,
    client: str,
    first_incomplete: int,
    patience_s: float | None = None,
    enough: Callable[[], bool] = lambda: False,
) -> int:
    """Advances a client's mark and deletes the keys below it; how many were deleted. Raises `DatabaseTrouble`.

    The mark is committed before the first key is deleted. `patience_s` bounds each wait for a lock below the lock timeout;
    raises `LockWaitTooLong`. It stops after a chunk when that was `enough`; the rest is for another call.
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
    """Advances a client's mark; on return no key below it is executed any more. Raises `DatabaseTrouble`.

    It waits for every charge that has read the old mark and lets none in meanwhile, so a charge either finds its key or is
    refused. Raises `LockWaitTooLong`, after `patience_s` if that is given.
    """
    async with pool.transaction() as connection:
        if patience_s is not None:
            await limit_lock_waits(connection, patience_s)
        await lock_client_exclusively(connection, client)
        await insert_client(connection, client)
        await advance_mark(connection, client, first_incomplete)


async def claim(connection: Connection, client: str, sequence_key: int, digest: bytes) -> bool:
    """Whether the key is new and now this transaction's. A twin waits here until the first one is over.

    Raises `Held` when that takes longer than the lock timeout.
    """
    try:
        with translated():
            return await insert_key(connection, client, sequence_key, digest)
    except LockWaitTooLong as exc:
        raise Held from exc


async def require_stored(connection: Connection, client: str, sequence_key: int) -> Stored:
    """The row of a key that could not be claimed.

    It is there and stays: it was committed before the claim failed, the client is share-locked, and keys are deleted
    only below a mark that moves under the client's exclusive lock.
    """
    stored = await read_stored(connection, client, sequence_key)
    if stored is None:
        raise DatabaseTrouble(f"key {sequence_key} was neither claimed nor found")
    return stored


async def share_lock_client(connection: Connection, client: str) -> int:
    """The client's first incomplete key, which cannot move before this transaction ends; 1 when it never declared one.

    Advisory locks of class 1 are the clients'. An advisory lock and not a lock of the row: share locks of a row overtake whoever waits to update it, and the
    collector would starve under load. The mark is read by a statement of its own, so after the lock was granted. Raises
    `ClientHeld`.
    """
    try:
        with translated():
            await connection.execute(
                "SELECT pg_advisory_xact_lock_shared(1, hashtext($1))",
                client,
            )
    except LockWaitTooLong as exc:
        raise ClientHeld(str(exc)) from exc
    sql = "SELECT first_incomplete FROM billing.clients WHERE client = $1"
    first_incomplete = await connection.fetchval(sql, client)
    return 1 if first_incomplete is None else int(first_incomplete)


async def limit_lock_waits(connection: Connection, timeout_s: float) -> None:
    """Shortens the lock timeout of this transaction."""
    await connection.execute(
        "SELECT set_config('lock_timeout', $1, true)", f"{round(timeout_s * 1000)}ms"
    )


async def lock_client_exclusively(connection: Connection, client: str) -> None:
    """Waits for all charges of the client that have read its mark; others wait until this transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(1, hashtext($1))", client)


async def insert_client(connection: Connection, client: str) -> None:
    """Makes the row of a client that declares a mark for the first time.

    Not its first charge: that would hold the row to its commit, and all charges of a new client would wait for one.
    """
    await connection.execute(
        "INSERT INTO billing.clients (client) VALUES ($1) ON CONFLICT (client) DO NOTHING", client
    )


async def advance_mark(connection: Connection, client: str, first_incomplete: int) -> None:
    """Moves the mark forward; it never goes back."""
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
    """Deletes keys below the committed mark, the lowest first; how many."""
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
    """The highest key that a client was answered for or had declared settled; 0 when there is none.

    A voided key does not count: to void one costs nothing and proves nothing.
    """
    highest: int = await connection.fetchval(
        """
        SELECT greatest(
          0,
          (SELECT first_incomplete - 1 FROM billing.clients WHERE client = $1),
          (SELECT max(sequence_key) FROM billing.processed_keys WHERE client = $1 AND status <> $2)
        )
        """,
        client,
        VOIDED,
    )
    return highest


async def insert_key(connection: Connection, client: str, sequence_key: int, digest: bytes) -> bool:
    """Whether the row was inserted; false when another transaction committed it before.

    The index decides. The advisory lock is a courtesy to batches: whoever inserts a key holds it, so that a batch can
    see a key that is under way elsewhere without waiting for it.
    """
    inserted = await connection.fetchval(
        """
        WITH announced AS MATERIALIZED (SELECT pg_advisory_xact_lock(hashtextextended($1, $2)))
        INSERT INTO billing.processed_keys (client, sequence_key, fingerprint)
        SELECT $1, $2, $3 FROM announced
        ON CONFLICT (client, sequence_key) DO NOTHING
        RETURNING true
        """,
        client,
        sequence_key,
        digest,
    )
    return inserted is not None


async def read_stored(connection: Connection, client: str, sequence_key: int) -> Stored | None:
    """A processed key with its answer."""
    row = await connection.fetchrow(
        """
        SELECT fingerprint, status, body
        FROM billing.processed_keys
        WHERE client = $1 AND sequence_key = $2
        """,
        client,
        sequence_key,
    )
    return None if row is None else stored_as(row["fingerprint"], row["status"], row["body"])


async def store_answer(
    connection: Connection, client: str, sequence_key: int, answer: Answer
) -> None:
    """Completes the claimed row with what will be replayed."""
    await connection.execute(
        """
        UPDATE billing.processed_keys
        SET status = $3, body = $4
        WHERE client = $1 AND sequence_key = $2
        """,
        client,
        sequence_key,
        answer.status,
        answer.body,
    )
