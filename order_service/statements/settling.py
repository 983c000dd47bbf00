"""The statements that settle orders and record what became of their notifications.

Guarantee: a settled order never changes its state again; of several settlements of one order exactly one takes effect.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from order_service.orders import Settlement, stored
from order_service.wire import Fate
from service_kit.bounded_pool import Connection


async def settle_all(
    connection: Connection, settlements: Sequence[Settlement]
) -> dict[UUID, datetime | None]:
    """Gives orders that no other transaction holds their final state, and records their last attempts.

    For each of these: when it was settled, or None when it has a final state already, and then that stays. Each order is
    named once. The notifications are marked attempted here, before they are sent: a crash in between loses one and never
    sends it twice.
    """
    latest = [each for each in settlements if each.attempt is not None]
    attempts = [each.attempt for each in latest if each.attempt is not None]
    rows = await connection.fetch(
        """
        WITH wanted AS (
          SELECT *
          FROM unnest($1::uuid[], $2::text[], $3::jsonb[], $4::text[])
            AS wanted (order_id, status, answer, notification)
        ), free AS (
          SELECT order_id
          FROM orders.orders
          WHERE order_id = ANY ($1::uuid[])
          FOR UPDATE SKIP LOCKED
        ), settled AS (
          UPDATE orders.orders
          SET status = wanted.status, answer = wanted.answer, notification = wanted.notification, settled_at = now()
          FROM wanted JOIN free ON free.order_id = wanted.order_id
          WHERE orders.order_id = wanted.order_id AND orders.status = 'pending'
          RETURNING orders.order_id, orders.settled_at
        ), ended AS (
          INSERT INTO orders.attempts (order_id, attempt, sequence_key, retry, outcome, caller_saw, seconds)
          SELECT latest.*
          FROM unnest($5::uuid[], $6::integer[], $7::bigint[], $8::boolean[], $9::text[], $10::text[], $11::float8[])
            AS latest (order_id, attempt, sequence_key, retry, outcome, caller_saw, seconds)
          JOIN free ON free.order_id = latest.order_id
          ON CONFLICT (order_id, attempt) DO NOTHING
        )
        SELECT free.order_id, settled.settled_at
        FROM free LEFT JOIN settled ON settled.order_id = free.order_id
        """,
        [each.order_id for each in settlements],
        [each.status.value for each in settlements],
        [stored(each.answer) for each in settlements],
        [None if each.notification is None else each.notification.value for each in settlements],
        [each.order_id for each in latest],
        [attempt.attempt for attempt in attempts],
        [attempt.sequence_key for attempt in attempts],
        [attempt.retry for attempt in attempts],
        [attempt.outcome for attempt in attempts],
        [attempt.caller_saw for attempt in attempts],
        [attempt.seconds for attempt in attempts],
    )
    return {row["order_id"]: row["settled_at"] for row in rows}


async def lock_order(connection: Connection, order_id: UUID) -> None:
    """Waits until no other transaction holds the order, which then belongs to this transaction."""
    await connection.execute("SELECT 1 FROM orders.orders WHERE order_id = $1 FOR UPDATE", order_id)


async def record_fates(connection: Connection, fates: Sequence[tuple[UUID, Fate]]) -> set[UUID]:
    """Records what became of notifications, and returns the orders that no other transaction holds; the first record stays."""
    rows = await connection.fetch(
        """
        WITH wanted AS (
          SELECT * FROM unnest($1::uuid[], $2::text[]) AS wanted (order_id, fate)
        ), free AS (
          SELECT order_id
          FROM orders.orders
          WHERE order_id = ANY ($1::uuid[])
          FOR UPDATE SKIP LOCKED
        ), recorded AS (
          UPDATE orders.orders
          SET notification = wanted.fate
          FROM wanted JOIN free ON free.order_id = wanted.order_id
          WHERE orders.order_id = wanted.order_id AND orders.notification = 'attempted'
        )
        SELECT order_id FROM free
        """,
        [order_id for order_id, _ in fates],
        [fate.value for _, fate in fates],
    )
    return {row["order_id"] for row in rows}
