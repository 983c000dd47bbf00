"""Withdraws money once for each sequence key: the receiver's half of the pattern, in one transaction.

Guarantee: a key withdraws money at most once, even when its request is repeated, delayed, reordered or sent twice at the same
time, and whichever process crashes. This rests on one unique index and on committing before answering. It does not rest on
the retry flag, on clocks or on memory.

The transaction comes first; each statement follows in the order in which the transaction runs it.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from billing_service.outcomes import (
    CHARGED,
    DECLINED,
    VOIDED,
    AccountUnknown,
    Answer,
    ChargeOutcome,
    ClientHeld,
    KeyForgotten,
    KeyHeld,
    KeyInFlight,
    KeyReused,
    TooLate,
    Voided,
)
from billing_service.wire import Charge, Charged
from service_kit.bounded_pool import (
    BoundedPool,
    Connection,
    DatabaseTrouble,
    LockWaitTooLong,
    translated,
)

# Whether the caller still waits for the answer.
Awaited = Callable[[], bool]
# Renders the body of a decline from the charge and the balance in cents that was too low.
DeclineBody = Callable[[Charge, int], str]


async def charge(
    pool: BoundedPool,
    client: str,
    sequence_key: int,
    request: Charge,
    decline_body: DeclineBody,
    awaited: Awaited,
) -> ChargeOutcome:
    """Withdraws, declines, replays or refuses.

    Raises `DatabaseTrouble` when the outcome is unknown: the withdrawal may have happened. Raises `LockWaitTooLong` when the
    account or the client's mark stayed locked: the withdrawal did not happen.
    """
    digest = fingerprint(request)
    try:
        async with pool.transaction() as connection:
            # 1. The client's mark. It cannot move before this transaction commits.
            first_incomplete = await share_lock_client(connection, client)
            if sequence_key < first_incomplete:
                await seal(connection)
                return KeyForgotten(first_incomplete)
            # 2. The key. The unique index lets one transaction claim it; every later request replays.
            if not await claim(connection, client, sequence_key, digest):
                stored = await require_stored(connection, client, sequence_key)
                return replay(stored, digest)
            # The claim may have waited for another transaction, and the caller may have given up meanwhile.
            if not awaited():
                raise _RolledBack(TooLate())
            # 3. The effect: lock the account, then withdraw or decline.
            before_cents = await lock_account(connection, request.account)
            if before_cents is None:
                raise _RolledBack(AccountUnknown())
            after_cents = before_cents - request.amount_cents
            if after_cents < 0:
                answer = Answer(DECLINED, decline_body(request, before_cents))
            else:
                await withdraw(connection, request.account, request.amount_cents)
                charge_id = await insert_withdrawal(
                    connection, client, sequence_key, request, after_cents
                )
                answer = Answer(CHARGED, charged_body(request, charge_id, after_cents))
            # 4. The answer, in the same transaction as the effect: both are committed, or neither is.
            await store_answer(connection, client, sequence_key, answer)
        # 5. The transaction is committed. Only now does the answer leave.
        return answer
    except KeyHeld:
        return KeyInFlight()
    except _RolledBack as exc:
        return exc.outcome


class _RolledBack(Exception):
    """Leaves the transaction by rolling it back, claim included: a refusal spends no key."""

    def __init__(self, outcome: AccountUnknown | TooLate) -> None:
        super().__init__(type(outcome).__name__)
        self.outcome = outcome


def fingerprint(request: Charge) -> bytes:
    """Identifies a payload by its meaning, not by how its JSON is written: SHA-256, 32 bytes.

    The hashed text is JSON with its fields in alphabetical order. No value needs escaping, so an f-string builds it. The
    fingerprint is stored with each key, so its form must never change.
    """
    canonical = (
        f'{{"account":"{request.account}","amount_cents":{request.amount_cents},'
        f'"order_id":"{request.order_id}"}}'
    )
    return hashlib.sha256(b"POST /charges\n" + canonical.encode()).digest()


async def share_lock_client(connection: Connection, client: str) -> int:
    """The client's first incomplete key, which cannot move before this transaction ends; 1 when it never declared one.

    Clients use advisory locks of class 1, not row locks: share locks of a row overtake a waiting update, so the collector
    would starve under load. The mark is read in a second statement, after the lock was granted. Raises `ClientHeld`.
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


async def seal(connection: Connection) -> None:
    """Makes the end of this transaction wait until every row that it has read is replicated; without a standby, nothing.

    An answer may rest on rows that another transaction committed and whose replication was never confirmed: then a promoted
    standby does not know them. A transaction that writes waits for everything before it, so one that only reads is sealed
    (migration 0011). Raises `DatabaseTrouble` on a server that only reads.
    """
    with translated():
        await connection.execute("SELECT billing.sealed()")


async def claim(connection: Connection, client: str, sequence_key: int, digest: bytes) -> bool:
    """Whether the key was new and now belongs to this transaction. Waits while another transaction holds the key.

    Raises `KeyHeld` when that takes longer than the lock timeout.
    """
    try:
        with translated():
            return await insert_key(connection, client, sequence_key, digest)
    except LockWaitTooLong as exc:
        raise KeyHeld from exc


async def insert_key(connection: Connection, client: str, sequence_key: int, digest: bytes) -> bool:
    """Whether the row was inserted; false when another transaction has committed this key.

    The unique index decides. The advisory lock only tells batches that the key is being inserted, so that they need not
    wait for it.
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


@dataclass(frozen=True)
class Stored:
    """A processed key: the fingerprint of its payload, and its final state."""

    fingerprint: bytes
    state: Answer | Voided


def replay(stored: Stored, digest: bytes) -> Answer | Voided | KeyReused:
    """The outcome of a request with this fingerprint whose key was processed before."""
    if isinstance(stored.state, Answer) and stored.fingerprint != digest:
        return KeyReused()
    return stored.state


async def require_stored(connection: Connection, client: str, sequence_key: int) -> Stored:
    """The row of a key that could not be claimed.

    The row exists and stays: it was committed before the claim failed, this transaction holds the client's shared lock, and
    keys are deleted only below a mark, which moves only under the client's exclusive lock.
    """
    stored = await read_stored(connection, client, sequence_key)
    if stored is None:
        raise DatabaseTrouble(f"key {sequence_key} was neither claimed nor found")
    return stored


async def read_stored(connection: Connection, client: str, sequence_key: int) -> Stored | None:
    """A processed key with its answer; None when the key was never processed. Sealed, as `seal` explains."""
    row = await connection.fetchrow(
        """
        SELECT fingerprint, status, body
        FROM billing.processed_keys
        WHERE (SELECT billing.sealed()) AND client = $1 AND sequence_key = $2
        """,
        client,
        sequence_key,
    )
    return None if row is None else stored_as(row["fingerprint"], row["status"], row["body"])


def stored_as(fingerprint: bytes, status: int, body: str) -> Stored:
    """The columns of a processed key as a value."""
    if status == VOIDED:
        return Stored(fingerprint, Voided())
    return Stored(fingerprint, Answer(status, body, replayed=True))


async def lock_account(connection: Connection, account: str) -> int | None:
    """The balance in cents, which no other transaction can change before this one ends; None when there is no account."""
    cents: int | None = await connection.fetchval(
        "SELECT balance_cents FROM billing.accounts WHERE account = $1 FOR NO KEY UPDATE", account
    )
    return cents


async def withdraw(connection: Connection, account: str, amount_cents: int) -> None:
    """Takes the money from the account."""
    await connection.execute(
        "UPDATE billing.accounts SET balance_cents = balance_cents - $2 WHERE account = $1",
        account,
        amount_cents,
    )


async def insert_withdrawal(
    connection: Connection, client: str, sequence_key: int, request: Charge, balance_cents: int
) -> UUID:
    """Writes the ledger entry and returns its identity, the charge id."""
    charge_id: UUID = await connection.fetchval(
        """
        INSERT INTO billing.ledger (client, sequence_key, order_id, account, amount_cents, balance_cents)
        VALUES ($1, $2, $3, $4, $5, $6)
        RETURNING charge_id
        """,
        client,
        sequence_key,
        request.order_id,
        request.account,
        request.amount_cents,
        balance_cents,
    )
    return charge_id


def charged_body(request: Charge, charge_id: UUID, balance_cents: int) -> str:
    """The body of a 201, stored and replayed byte for byte; `balance_cents` is the balance after the withdrawal."""
    return Charged(
        charge_id=charge_id,
        order_id=request.order_id,
        account=request.account,
        amount_cents=request.amount_cents,
        balance_cents=balance_cents,
    ).model_dump_json()


async def store_answer(
    connection: Connection, client: str, sequence_key: int, answer: Answer
) -> None:
    """Completes the claimed row with the answer that later requests replay."""
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
