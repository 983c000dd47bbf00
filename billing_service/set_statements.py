"""The statements of a batch: each one speaks of many keys or accounts at once.

Guarantee: none of them waits for a lock that somebody else holds, but for a key that was inserted unannounced, and
there no longer than a moment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from billing_service.keys import CHARGED, Answer
from billing_service.wire import Charge
from bounded_pool import Connection

# Every holder of a key announces it by an advisory lock, which a batch only tries. Some other software that inserts keys
# would be met at the index instead; longer than this the batch does not wait there, its charges then go one by one.
_INDEX_WAIT = "20ms"


@dataclass(frozen=True)
class Effect:
    """A key that is executed now: its answer, and what it leaves in the ledger when it is a charge."""

    client: str
    sequence_key: int
    fingerprint: bytes
    answer: Answer
    charge: Charge
    charge_id: UUID
    balance_cents: int


async def charge_plain(
    connection: Connection,
    clients: list[str],
    sequence_keys: list[int],
    fingerprints: list[bytes],
    charges: list[Charge],
) -> list[Any]:
    """Charges what is plain, and says of each key what it found, in the same order; a transaction of its own.

    `verdict`: `charged` (with the new `body`), `known`, `forgotten`, which lock is held elsewhere as in `try_locks`, or that it
    is `not plain`. The function is part of the schema (migration 0007), because its statements need a snapshot each and
    should not need a round trip each.
    """
    return await connection.fetch(
        "SELECT * FROM billing.charge_plain($1, $2, $3, $4, $5, $6)",
        clients,
        sequence_keys,
        fingerprints,
        [charge.account for charge in charges],
        [charge.amount_cents for charge in charges],
        [charge.order_id for charge in charges],
    )


async def try_locks(
    connection: Connection, clients: list[str], sequence_keys: list[int]
) -> list[str]:
    """For each key `free`, or which lock is held elsewhere: the `client`'s (see `keys.share_lock_client`) or the `key`'s.

    The second word shortens the lock timeout of this transaction, because from here on it should find every lock free.
    """
    rows = await connection.fetch(
        """
        WITH patience AS MATERIALIZED (SELECT set_config('lock_timeout', $3, true))
        SELECT CASE
                 WHEN NOT pg_try_advisory_xact_lock_shared(1, hashtext(wanted.client)) THEN 'client'
                 WHEN NOT pg_try_advisory_xact_lock(hashtextextended(wanted.client, wanted.sequence_key)) THEN 'key'
                 ELSE 'free'
               END AS hold
        FROM patience, unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS wanted (client, sequence_key, position)
        ORDER BY wanted.position
        """,
        clients,
        sequence_keys,
        _INDEX_WAIT,
    )
    return [row["hold"] for row in rows]


async def read_known(
    connection: Connection, clients: list[str], sequence_keys: list[int], accounts: list[str]
) -> list[Any]:
    """Of each key its client's mark, its row if there is one, and an identity for its charge; and what its account has.

    A statement of its own, so after the locks were granted: it sees whatever their holders before have committed. The
    accounts of new keys are locked, and nobody else can change their balances (in cents) from now on; no balance means that
    the account was not locked: it is not wanted, busy or not there. A locked row is read in its latest version.
    """
    return await connection.fetch(
        """
        WITH wanted AS MATERIALIZED (
          SELECT wanted.client, wanted.sequence_key, wanted.account,
                 coalesce(clients.first_incomplete, 1) AS first_incomplete,
                 known.fingerprint, known.status, known.body
          FROM unnest($1::text[], $2::bigint[], $3::text[]) AS wanted (client, sequence_key, account)
          LEFT JOIN billing.clients ON clients.client = wanted.client
          LEFT JOIN billing.processed_keys AS known
                 ON known.client = wanted.client AND known.sequence_key = wanted.sequence_key
        ), locked AS MATERIALIZED (
          SELECT account, balance_cents
          FROM billing.accounts
          WHERE account IN (
            SELECT wanted.account
            FROM wanted
            WHERE wanted.status IS NULL AND wanted.sequence_key >= wanted.first_incomplete
          )
          ORDER BY account
          FOR NO KEY UPDATE SKIP LOCKED
        )
        SELECT wanted.client, wanted.sequence_key, wanted.account, wanted.first_incomplete,
               wanted.fingerprint, wanted.status, wanted.body, uuidv7() AS charge_id, locked.balance_cents
        FROM wanted
        LEFT JOIN locked ON locked.account = wanted.account
        """,
        clients,
        sequence_keys,
        accounts,
    )


async def read_existing(connection: Connection, accounts: list[str]) -> list[str]:
    """Those of the accounts that are open."""
    rows = await connection.fetch(
        "SELECT account FROM billing.accounts WHERE account = ANY ($1::text[])", accounts
    )
    return [row["account"] for row in rows]


async def insert_effects(
    connection: Connection, effects: Sequence[Effect], withdrawn_cents: dict[str, int]
) -> int:
    """Claims the keys with their answers, moves the money, writes the ledger; how many keys were claimed.

    One statement, because it is one thing: the withdrawals stand and fall with the unique index.
    """
    charged = [effect for effect in effects if effect.answer.status == CHARGED]
    claimed: int = await connection.fetchval(
        """
        WITH claimed AS (
          INSERT INTO billing.processed_keys (client, sequence_key, fingerprint, status, body)
          SELECT client, sequence_key, fingerprint, status, body
          FROM unnest($1::text[], $2::bigint[], $3::bytea[], $4::smallint[], $5::text[])
            AS answered (client, sequence_key, fingerprint, status, body)
          ON CONFLICT (client, sequence_key) DO NOTHING
          RETURNING 1
        ), withdrawn AS (
          UPDATE billing.accounts
          SET balance_cents = accounts.balance_cents - taken.amount_cents
          FROM unnest($6::text[], $7::bigint[]) AS taken (account, amount_cents)
          WHERE accounts.account = taken.account
        ), written AS (
          INSERT INTO billing.ledger
            (charge_id, client, sequence_key, order_id, account, amount_cents, balance_cents)
          SELECT charge_id, client, sequence_key, order_id, account, amount_cents, balance_cents
          FROM unnest($8::uuid[], $9::text[], $10::bigint[], $11::uuid[], $12::text[], $13::bigint[], $14::bigint[])
            AS charged (charge_id, client, sequence_key, order_id, account, amount_cents, balance_cents)
        )
        SELECT count(*) FROM claimed
        """,
        [effect.client for effect in effects],
        [effect.sequence_key for effect in effects],
        [effect.fingerprint for effect in effects],
        [effect.answer.status for effect in effects],
        [effect.answer.body for effect in effects],
        list(withdrawn_cents),
        list(withdrawn_cents.values()),
        [effect.charge_id for effect in charged],
        [effect.client for effect in charged],
        [effect.sequence_key for effect in charged],
        [effect.charge.order_id for effect in charged],
        [effect.charge.account for effect in charged],
        [effect.charge.amount_cents for effect in charged],
        [effect.balance_cents for effect in charged],
    )
    return claimed
