"""Withdraws money once for each sequence key: the whole of the receiver's half, in one transaction.

Guarantee: for a key there is at most one withdrawal, whatever is sent again, late, twice at once or out of order, and
whichever process dies. It rests on one unique index and on the commit coming before the answer; not on the retry flag,
not on time, not on memory.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from billing_service import keys
from billing_service.keys import (
    CHARGED,
    DECLINED,
    Answer,
    KeyForgotten,
    KeyInFlight,
    Stored,
    Voided,
)
from billing_service.wire import Charge, Charged
from service_kit.bounded_pool import BoundedPool, Connection, Connections


@dataclass(frozen=True)
class KeyReused:
    """The key is known with another payload. Nothing was executed."""


@dataclass(frozen=True)
class AccountUnknown:
    """There is no such account. The key is not spent."""


@dataclass(frozen=True)
class TooLate:
    """The caller's deadline has passed before the charge began. Nothing was executed and the key is not spent."""


ChargeOutcome = Answer | Voided | KeyReused | KeyForgotten | KeyInFlight | AccountUnknown | TooLate

# Whether the caller still waits.
Awaited = Callable[[], bool]
# Renders the body of a decline; arguments: the charge, and the balance in cents that was too low.
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

    Raises `DatabaseTrouble` when it could not be found out (it may have happened), and `LockWaitTooLong` when the
    account, not the key, stayed locked (it did not happen).
    """
    digest = fingerprint(request)
    try:
        async with pool.transaction() as connection:
            # The lock first, then the mark, each with a statement of its own: the mark that is read here cannot move
            # before the commit.
            first_incomplete = await keys.share_lock_client(connection, client)
            if sequence_key < first_incomplete:
                return KeyForgotten(first_incomplete)
            if not await keys.claim(connection, client, sequence_key, digest):
                stored = await keys.require_stored(connection, client, sequence_key)
                return replay(stored, digest)
            # The claim may have waited for another transaction, and the caller may have given up meanwhile.
            if not awaited():
                raise _RolledBack(TooLate())
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
            await keys.store_answer(connection, client, sequence_key, answer)
        # Committed, and only now answered.
        return answer
    except keys.Held:
        return KeyInFlight()
    except _RolledBack as exc:
        return exc.outcome


def charged_body(request: Charge, charge_id: UUID, balance_cents: int) -> str:
    """The body of a 201, which is stored and replayed byte for byte; `balance_cents` is what was left."""
    return Charged(
        charge_id=charge_id,
        order_id=request.order_id,
        account=request.account,
        amount_cents=request.amount_cents,
        balance_cents=balance_cents,
    ).model_dump_json()


async def open_account(pool: BoundedPool, account: str, opening_balance_cents: int) -> int | None:
    """Opens an account, or finds it opened with the same balance: its balance in cents.

    None when it was opened with another balance. Idempotent by nature. Raises `DatabaseTrouble`.
    """
    async with pool.transaction() as connection:
        await insert_account(connection, account, opening_balance_cents)
        return await read_balance_opened_with(connection, account, opening_balance_cents)


async def prove_writable(connection: Connection) -> None:
    """Succeeds when this role could charge in this session. Names all that a charge writes and writes no row of it."""
    await connection.execute(
        """
        WITH claimed AS (
          INSERT INTO billing.processed_keys (client, sequence_key, fingerprint, status, body)
          SELECT NULL, NULL, NULL, NULL, NULL WHERE false
        ), withdrawn AS (
          UPDATE billing.accounts SET balance_cents = balance_cents WHERE false
        )
        INSERT INTO billing.ledger (client, sequence_key, order_id, account, amount_cents, balance_cents)
        SELECT NULL, NULL, NULL, NULL, NULL, NULL WHERE false
        """
    )


async def balance(pool: Connections, account: str) -> int | None:
    """The balance in cents; None when there is no such account. Raises `DatabaseTrouble`."""
    async with pool.connection() as connection:
        return await read_balance(connection, account)


async def order_of(pool: BoundedPool, charge_id: UUID) -> UUID | None:
    """Whose charge it was; None when there is no such charge. Raises `DatabaseTrouble`."""
    async with pool.connection() as connection:
        return await read_order_of(connection, charge_id)


def fingerprint(request: Charge) -> bytes:
    """Tells payloads apart by what they mean, not by how their JSON is written: SHA-256, 32 bytes.

    The text is JSON with its fields in the order of their names. None of the values needs an escape, so it is put together
    here; it is stored with each key and must stay as it is.
    """
    canonical = (
        f'{{"account":"{request.account}","amount_cents":{request.amount_cents},'
        f'"order_id":"{request.order_id}"}}'
    )
    return hashlib.sha256(b"POST /charges\n" + canonical.encode()).digest()


def replay(stored: Stored, digest: bytes) -> Answer | Voided | KeyReused:
    """What a request with this fingerprint gets for a key that is known."""
    if isinstance(stored.state, Answer) and stored.fingerprint != digest:
        return KeyReused()
    return stored.state


class _RolledBack(Exception):
    """Leaves the transaction with nothing done: a refusal spends no key."""

    def __init__(self, outcome: AccountUnknown | TooLate) -> None:
        super().__init__(type(outcome).__name__)
        self.outcome = outcome


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


async def read_order_of(connection: Connection, charge_id: UUID) -> UUID | None:
    """The order that the ledger names for a charge."""
    order_id: UUID | None = await connection.fetchval(
        "SELECT order_id FROM billing.ledger WHERE charge_id = $1", charge_id
    )
    return order_id


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
