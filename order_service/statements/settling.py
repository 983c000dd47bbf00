"""The statements that settle orders and record what became of their notifications: one alone, and many at once.

Guarantee: a settled order never changes its state again; of several settlements of one order exactly one takes effect.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from order_service.orders import Settlement, stored
from order_service.wire import Fate, Status
from service_kit.bounded_pool import Connection
from service_kit.group_commit import Alone


async def settle(
    connection: Connection,
    order_id: UUID,
    status: Status,
    answer: dict[str, Any] | None,
    notification: Fate | None,
) -> datetime | None:
    """Gives a pending order its final state; None when it has one already, and then nothing changes.

    The notification is marked attempted here, before it is sent: a crash in between loses it and never sends it twice.
    """
    settled_at: datetime | None = await connection.fetchval(
        """
        UPDATE orders.orders
        SET status = $2, answer = $3, notification = $4, settled_at = now()
        WHERE order_id = $1 AND status = 'pending'
        RETURNING settled_at
        """,
        order_id,
        status.value,
        stored(answer),
        None if notification is None else notification.value,
    )
    return settled_at


async def settle_all(
    connection: Connection, settlements: Sequence[Settlement]
) -> list[datetime | Exception | None]:
    """Gives pending orders their final state and records their last attempts; `Alone` for those that are not free.

    The notifications are marked attempted here, before they are sent. Of two settlements of one order (by its delivery and
    by a cancellation) only the first takes part: if both callers were told that theirs took effect, both would notify.
    """
    first: dict[UUID, Settlement] = {}
    for each in settlements:
        first.setdefault(each.order_id, each)
    taking_part = list(first.values())
    latest = [each for each in taking_part if each.attempt is not None]
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
          WHERE order_id = ANY ($1::uuid[]) AND status = 'pending'
          ORDER BY order_id
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
          JOIN settled ON settled.order_id = latest.order_id
          ON CONFLICT (order_id, attempt) DO NOTHING
        )
        SELECT order_id, settled_at FROM settled
        """,
        [each.order_id for each in taking_part],
        [each.status.value for each in taking_part],
        [stored(each.answer) for each in taking_part],
        [None if each.notification is None else each.notification.value for each in taking_part],
        [each.order_id for each in latest],
        [attempt.attempt for attempt in attempts],
        [attempt.sequence_key for attempt in attempts],
        [attempt.retry for attempt in attempts],
        [attempt.outcome for attempt in attempts],
        [attempt.caller_saw for attempt in attempts],
        [attempt.seconds for attempt in attempts],
    )
    settled = {row["order_id"]: row["settled_at"] for row in rows}
    return [
        settled.get(each.order_id, Alone()) if each is first[each.order_id] else Alone()
        for each in settlements
    ]


async def record_fate(connection: Connection, order_id: UUID, fate: Fate) -> None:
    """What became of the one notification."""
    await connection.execute(
        """
        UPDATE orders.orders SET notification = $2 WHERE order_id = $1 AND notification = 'attempted'
        """,
        order_id,
        fate.value,
    )


async def record_fates(
    connection: Connection, fates: Sequence[tuple[UUID, Fate]]
) -> list[Exception | None]:
    """What became of notifications; `Alone` for those whose order is not free."""
    rows = await connection.fetch(
        """
        WITH wanted AS (
          SELECT * FROM unnest($1::uuid[], $2::text[]) AS wanted (order_id, fate)
        ), free AS (
          SELECT order_id
          FROM orders.orders
          WHERE order_id = ANY ($1::uuid[])
          ORDER BY order_id
          FOR UPDATE SKIP LOCKED
        )
        UPDATE orders.orders
        SET notification = wanted.fate
        FROM wanted JOIN free ON free.order_id = wanted.order_id
        WHERE orders.order_id = wanted.order_id AND orders.notification = 'attempted'
        RETURNING orders.order_id
        """,
        [order_id for order_id, _ in fates],
        [fate.value for _, fate in fates],
    )
    written = {row["order_id"] for row in rows}
    return [None if order_id in written else Alone() for order_id, _ in fates]
