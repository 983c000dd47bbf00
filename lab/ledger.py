"""What Postgres says of the orders in play: money, keys, attempts, notifications.

Guarantee: the rows of one reading are of one moment, read past every proxy; money is the account's balance and not a count of
rows.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from chaos.evidence import readings


@dataclass(frozen=True)
class Ended:
    """One attempt that is over, as the order service wrote it down."""

    attempt: int
    sequence_key: int
    retry: bool
    outcome: str
    caller_saw: str


@dataclass(frozen=True)
class Reading:
    """One account. `keys` are those of the withdrawals; `status` is empty while the order is not recorded."""

    moved_cents: int
    keys: tuple[int, ...]
    status: str
    attempts: tuple[Ended, ...]
    told: int
    order_id: str
    notification: str


class Ledger:
    """One connection of the owner's, made again when Postgres has closed it."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def close(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            await self._connection.close()

    async def read(self, accounts: Sequence[str]) -> Mapping[str, Reading]:
        """The accounts that exist. Raises `OSError`, `TimeoutError`, `asyncpg.PostgresError` or `asyncpg.InterfaceError`."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await readings.connect(self._owner)
        rows = await self._connection.fetch(
            """
            SELECT accounts.account,
                   opening_balance_cents - balance_cents AS moved_cents,
                   ARRAY(SELECT sequence_key FROM billing.ledger
                         WHERE ledger.account = accounts.account ORDER BY charge_id) AS keys,
                   coalesce(orders.status, '') AS status,
                   coalesce(orders.order_id::text, '') AS order_id,
                   coalesce(orders.notification, '') AS notification,
                   (SELECT coalesce(json_agg(json_build_object(
                             'attempt', attempt, 'sequence_key', attempts.sequence_key, 'retry', retry,
                             'outcome', outcome, 'caller_saw', caller_saw) ORDER BY attempt), '[]')
                    FROM orders.attempts WHERE attempts.order_id = orders.order_id) AS attempts,
                   (SELECT count(*) FROM notifications.arrivals
                    WHERE arrivals.customer = accounts.account) AS told
            FROM billing.accounts LEFT JOIN orders.orders ON orders.customer = accounts.account
            WHERE accounts.account = ANY ($1)
            """,
            list(accounts),
        )
        return {row["account"]: _reading(row) for row in rows}


def _reading(row: "asyncpg.Record") -> Reading:
    return Reading(
        row["moved_cents"],
        tuple(row["keys"]),
        row["status"],
        tuple(Ended(**each) for each in json.loads(row["attempts"])),
        row["told"],
        row["order_id"],
        row["notification"],
    )
