"""The statements of attempts: an attempt begins, with the same key or a fresh one, and its end is recorded.

Guarantee: an attempt begins only for a process that holds the order's lease, and is committed before it is sent; the first
record of how it ended stays.
"""

from collections.abc import Sequence
from uuid import UUID

from order_service.orders import Beginning, LeaseLost
from order_service.wire import Attempt
from service_kit.bounded_pool import Connection


async def begin_attempts(
    connection: Connection, beginnings: Sequence[Beginning], owner: UUID, lease_s: float
) -> dict[UUID, bool]:
    """Commits that attempts begin under the same keys, of the orders that no other transaction holds.

    For each of these: false when this process has lost the lease. Doing it twice changes nothing.
    """
    rows = await connection.fetch(
        """
        WITH wanted AS (
          SELECT * FROM unnest($1::uuid[], $2::integer[]) AS wanted (order_id, attempt)
        ), free AS (
          SELECT order_id
          FROM orders.orders
          WHERE order_id = ANY ($1::uuid[])
          FOR UPDATE SKIP LOCKED
        ), begun AS (
          UPDATE orders.orders
          SET attempts = wanted.attempt, lease_until = now() + make_interval(secs => $4)
          FROM wanted JOIN free ON free.order_id = wanted.order_id
          WHERE orders.order_id = wanted.order_id AND orders.status = 'pending' AND orders.lease_owner = $3
            AND orders.attempts IN (wanted.attempt - 1, wanted.attempt)
          RETURNING orders.order_id
        )
        SELECT free.order_id, begun.order_id IS NOT NULL AS begun
        FROM free LEFT JOIN begun ON begun.order_id = free.order_id
        """,
        [each.order_id for each in beginnings],
        [each.attempt for each in beginnings],
        owner,
        lease_s,
    )
    return {row["order_id"]: row["begun"] for row in rows}


async def lock_for_fresh_key(
    connection: Connection, order_id: UUID, owner: UUID
) -> tuple[int, int]:
    """Attempts begun and the latest key of an order that this transaction has locked. Raises `LeaseLost`."""
    row = await connection.fetchrow(
        """
        SELECT attempts, sequence_key
        FROM orders.orders
        WHERE order_id = $1 AND status = 'pending' AND lease_owner = $2
        FOR UPDATE
        """,
        order_id,
        owner,
    )
    if row is None:
        raise LeaseLost
    return row["attempts"], row["sequence_key"]


async def mint_for_attempt(
    connection: Connection, order_id: UUID, attempt: int, lease_s: float
) -> int:
    """A fresh key for an attempt of an order that this transaction has locked."""
    sequence_key: int = await connection.fetchval(
        """
        WITH minted AS (
          UPDATE orders.sequence_counter SET last_key = last_key + 1 RETURNING last_key
        )
        UPDATE orders.orders
        SET attempts = $2, sequence_key = minted.last_key, lease_until = now() + make_interval(secs => $3)
        FROM minted
        WHERE order_id = $1
        RETURNING sequence_key
        """,
        order_id,
        attempt,
        lease_s,
    )
    return sequence_key


async def insert_attempt(connection: Connection, order_id: UUID, attempt: Attempt) -> None:
    """Records how an attempt ended; the first record of it stays."""
    await connection.execute(
        """
        INSERT INTO orders.attempts (order_id, attempt, sequence_key, retry, outcome, caller_saw, seconds)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (order_id, attempt) DO NOTHING
        """,
        order_id,
        attempt.attempt,
        attempt.sequence_key,
        attempt.retry,
        attempt.outcome,
        attempt.caller_saw,
        attempt.seconds,
    )
