"""Withdraws money once for each sequence key: the whole of the receiver's half, in one transaction.

Guarantee: for a key there is at most one withdrawal, whatever is sent again, late, twice at once or out of order, and
whichever process dies. It rests on one unique index and on the commit coming before the answer; not on the retry flag,
not on time, not on memory.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from billing_service.wire import Charge, Charged
from bounded_pool import BoundedPool, Connection, DatabaseTrouble, LockWaitTooLong, translated

CHARGED = 201
DECLINED = 402


@dataclass(frozen=True)
class Answer:
    """A final answer, executed now (`replayed` false) or when the key came for the first time (true)."""

    status: int
    body: str
    replayed: bool = False


@dataclass(frozen=True)
class KeyReused:
    """The key is known with another payload. Nothing was executed."""


@dataclass(frozen=True)
class KeyForgotten:
    """The key lies below first incomplete. Nothing was executed, and nothing ever will be."""

    first_incomplete: int


@dataclass(frozen=True)
class KeyInFlight:
    """Another transaction holds the key for longer than the lock timeout. Nothing was executed by this one."""


@dataclass(frozen=True)
class AccountUnknown:
    """There is no such account. The key is not spent."""


@dataclass(frozen=True)
class NeverSeen:
    """The key was never processed; its charge may still be on its way."""


ChargeOutcome = Answer | KeyReused | KeyForgotten | KeyInFlight | AccountUnknown
KeyState = Answer | KeyForgotten | NeverSeen

# Renders the body of a decline; arguments: the charge, and the balance in cents that was too low.
DeclineBody = Callable[[Charge, int], str]


async def charge(
    pool: BoundedPool, client: str, sequence_key: int, request: Charge, decline_body: DeclineBody
) -> ChargeOutcome:
    """Withdraws, declines, replays or refuses.

    Raises `DatabaseTrouble` when it could not be found out (it may have happened), and `LockWaitTooLong` when the
    account, not the key, stayed locked (it did not happen).
    """
    digest = fingerprint(request)
    try:
        async with pool.transaction() as connection:
            first_incomplete = await share_lock_client(connection, client)
            if sequence_key < first_incomplete:
                return KeyForgotten(first_incomplete)
            if not await _claim(connection, client, sequence_key, digest):
                return await _replay(connection, client, sequence_key, digest)
            answer = await _execute(connection, client, sequence_key, request, decline_body)
            await store_answer(connection, client, sequence_key, answer)
            return answer
    except _RolledBack as exc:
        return exc.outcome


async def key_state(pool: BoundedPool, client: str, sequence_key: int) -> KeyState:
    """The definite answer about a key: what it did, or that it has done nothing so far. Raises `DatabaseTrouble`."""
    async with pool.transaction() as connection:
        first_incomplete = await share_lock_client(connection, client)
        if sequence_key < first_incomplete:
            return KeyForgotten(first_incomplete)
        stored = await read_stored(connection, client, sequence_key)
        return NeverSeen() if stored is None else stored.answer


async def open_account(pool: BoundedPool, account: str, opening_balance_cents: int) -> int | None:
    """Opens an account, or finds it opened with the same balance: its balance in cents.

    None when it was opened with another balance. Idempotent by nature. Raises `DatabaseTrouble`.
    """
    async with pool.transaction() as connection:
        await insert_account(connection, account, opening_balance_cents)
        return await read_balance_opened_with(connection, account, opening_balance_cents)


async def balance(pool: BoundedPool, account: str) -> int | None:
    """The balance in cents; None when there is no such account. Raises `DatabaseTrouble`."""
    async with pool.connection() as connection:
        return await read_balance(connection, account)


def fingerprint(request: Charge) -> bytes:
    """Tells payloads apart by what they mean, not by how their JSON is written: SHA-256, 32 bytes."""
    canonical = json.dumps(request.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(b"POST /charges\n" + canonical.encode()).digest()


class _RolledBack(Exception):
    """Leaves the transaction with nothing done: a refusal spends no key."""

    def __init__(self, outcome: KeyInFlight | AccountUnknown) -> None:
        super().__init__(type(outcome).__name__)
        self.outcome = outcome


@dataclass(frozen=True)
class _Stored:
    fingerprint: bytes
    answer: Answer


async def _claim(connection: Connection, client: str, sequence_key: int, digest: bytes) -> bool:
    """Whether the key is new and now this transaction's. A twin waits here until the first one is over."""
    try:
        with translated():
            return await insert_key(connection, client, sequence_key, digest)
    except LockWaitTooLong as exc:
        raise _RolledBack(KeyInFlight()) from exc


async def _replay(
    connection: Connection, client: str, sequence_key: int, digest: bytes
) -> Answer | KeyReused:
    # The row is there and stays: it was committed before the claim failed, the client's row is share-locked, and keys
    # are deleted only under that row's exclusive lock.
    stored = await read_stored(connection, client, sequence_key)
    if stored is None:
        raise DatabaseTrouble(f"key {sequence_key} was neither claimed nor found")
    if stored.fingerprint != digest:
        return KeyReused()
    return stored.answer


async def _execute(
    connection: Connection,
    client: str,
    sequence_key: int,
    request: Charge,
    decline_body: DeclineBody,
) -> Answer:
    before_cents = await lock_account(connection, request.account)
    if before_cents is None:
        raise _RolledBack(AccountUnknown())
    after_cents = before_cents - request.amount_cents
    if after_cents < 0:
        return Answer(DECLINED, decline_body(request, before_cents))
    await withdraw(connection, request.account, request.amount_cents)
    charge_id = await insert_withdrawal(connection, client, sequence_key, request, after_cents)
    charged = Charged(
        charge_id=charge_id,
        account=request.account,
        amount_cents=request.amount_cents,
        balance_cents=after_cents,
    )
    return Answer(CHARGED, charged.model_dump_json())


async def share_lock_client(connection: Connection, client: str) -> int:
    """The client's first incomplete key, which cannot move before this transaction ends."""
    sql = "SELECT first_incomplete FROM billing.clients WHERE client = $1 FOR SHARE"
    first_incomplete = await connection.fetchval(sql, client)
    if first_incomplete is None:
        await insert_client(connection, client)
        first_incomplete = await connection.fetchval(sql, client)
    return int(first_incomplete)


async def insert_client(connection: Connection, client: str) -> None:
    """Makes the row of a client that calls for the first time."""
    await connection.execute(
        "INSERT INTO billing.clients (client) VALUES ($1) ON CONFLICT (client) DO NOTHING", client
    )


async def insert_key(connection: Connection, client: str, sequence_key: int, digest: bytes) -> bool:
    """Whether the row was inserted; false when another transaction committed it before."""
    inserted = await connection.fetchval(
        """
        INSERT INTO billing.processed_keys (client, sequence_key, fingerprint)
        VALUES ($1, $2, $3)
        ON CONFLICT (client, sequence_key) DO NOTHING
        RETURNING true
        """,
        client,
        sequence_key,
        digest,
    )
    return inserted is not None


async def read_stored(connection: Connection, client: str, sequence_key: int) -> _Stored | None:
    """The stored answer of a processed key."""
    row = await connection.fetchrow(
        """
        SELECT fingerprint, status, body
        FROM billing.processed_keys
        WHERE client = $1 AND sequence_key = $2
        """,
        client,
        sequence_key,
    )
    if row is None:
        return None
    return _Stored(row["fingerprint"], Answer(row["status"], row["body"], replayed=True))


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


async def lock_account(connection: Connection, account: str) -> int | None:
    """The balance in cents, which nobody else can change before this transaction ends."""
    cents: int | None = await connection.fetchval(
        "SELECT balance_cents FROM billing.accounts WHERE account = $1 FOR NO KEY UPDATE", account
    )
    return cents


async def withdraw(connection: Connection, account: str, amount_cents: int) -> None:
    """Moves the money."""
    await connection.execute(
        "UPDATE billing.accounts SET balance_cents = balance_cents - $2 WHERE account = $1",
        account,
        amount_cents,
    )


async def insert_withdrawal(
    connection: Connection, client: str, sequence_key: int, request: Charge, balance_cents: int
) -> UUID:
    """Writes the ledger entry: the charge's identity."""
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


async def insert_account(connection: Connection, account: str, opening_balance_cents: int) -> None:
    """Makes the account unless it is there."""
    await connection.execute(
        """
        INSERT INTO billing.accounts (account, opening_balance_cents, balance_cents)
        VALUES ($1, $2, $2)
        ON CONFLICT (account) DO NOTHING
        """,
        account,
        opening_balance_cents,
    )


async def read_balance(connection: Connection, account: str) -> int | None:
    """The balance in cents."""
    cents: int | None = await connection.fetchval(
        "SELECT balance_cents FROM billing.accounts WHERE account = $1", account
    )
    return cents


async def read_balance_opened_with(
    connection: Connection, account: str, opening_balance_cents: int
) -> int | None:
    """The balance in cents of an account that was opened with just this balance."""
    cents: int | None = await connection.fetchval(
        """
        SELECT balance_cents
        FROM billing.accounts
        WHERE account = $1 AND opening_balance_cents = $2
        """,
        account,
        opening_balance_cents,
    )
    return cents
