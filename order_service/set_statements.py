"""The statements that write many orders at once: recording, beginning an attempt, settling, and the notification's fate.

Guarantee: each one does for every order what its single counterpart in `orders` does, or leaves that order out; none of
them waits for an order that somebody else works on. Keys stay gap-free: only what is inserted spends one.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from order_service.orders import (
    Beginning,
    CustomerKeyTaken,
    PendingOrder,
    Recording,
    Settlement,
    WindowFull,
    fingerprint,
    stored,
)
from order_service.wire import Fate
from service_kit.bounded_pool import Connection
from service_kit.group_commit import Alone


async def record_all(
    connection: Connection,
    recordings: Sequence[Recording],
    owner: UUID,
    lease_s: float,
    window_max: int,
) -> list[PendingOrder | Exception]:
    """Commits all orders with their keys and first attempts: the order of arrival is the order of their keys.

    For each one the order, `WindowFull` or `ShopperKeyTaken`. Raises `Alone` when another replica has just taken one of the
    customers' keys.
    """
    try:
        rows = await connection.fetch(
            """
            WITH wanted AS (
              SELECT *
              FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::bytea[],
                          $11::text[])
                WITH ORDINALITY
                AS wanted (order_id, customer, item, amount_cents, delivery, shopper_key, fingerprint, client, position)
            ), fresh AS (
              SELECT wanted.*, row_number() OVER (ORDER BY wanted.position) AS place
              FROM wanted
              WHERE NOT EXISTS (
                SELECT 1
                FROM orders.orders
                WHERE orders.client = wanted.client AND orders.customer = wanted.customer
                  AND orders.shopper_key = wanted.shopper_key
              )
            ), unsettled AS (
              SELECT count(*) AS orders
              FROM (SELECT 1 FROM orders.orders WHERE status = 'pending' LIMIT $10) AS pending
            ), admitted AS (
              SELECT fresh.* FROM fresh, unsettled WHERE fresh.place <= $10 - unsettled.orders
            ), minted AS (
              UPDATE orders.sequence_counter
              SET last_key = last_key + (SELECT count(*) FROM admitted)
              RETURNING last_key - (SELECT count(*) FROM admitted) AS key_before
            ), recorded AS (
              INSERT INTO orders.orders
                (order_id, customer, item, amount_cents, delivery, sequence_key, shopper_key, fingerprint,
                 lease_owner, lease_until, client)
              SELECT order_id, customer, item, amount_cents, delivery, key_before + place, shopper_key, fingerprint,
                     $8, now() + make_interval(secs => $9), client
              FROM admitted, minted
              ORDER BY place
              RETURNING order_id, sequence_key, created_at
            )
            SELECT fresh.order_id IS NULL AS taken, recorded.sequence_key, recorded.created_at
            FROM wanted
            LEFT JOIN fresh ON fresh.order_id = wanted.order_id
            LEFT JOIN recorded ON recorded.order_id = wanted.order_id
            ORDER BY wanted.position
            """,
            [each.order_id for each in recordings],
            [each.order.customer for each in recordings],
            [each.order.item for each in recordings],
            [each.order.amount_cents for each in recordings],
            [each.order.delivery.value for each in recordings],
            [each.customer_key for each in recordings],
            [fingerprint(each.order) for each in recordings],
            owner,
            lease_s,
            window_max,
            [each.client for each in recordings],
        )
    except asyncpg.UniqueViolationError as exc:
        if exc.constraint_name != "orders_shopper_key_once":
            raise
        raise Alone from exc
    return [_recorded(each, row) for each, row in zip(recordings, rows, strict=True)]


def _recorded(recording: Recording, row: asyncpg.Record) -> PendingOrder | Exception:
    if row["taken"]:
        return CustomerKeyTaken()
    if row["sequence_key"] is None:
        return WindowFull()
    return recording.pending(row["sequence_key"], row["created_at"])


async def begin_attempts(
    connection: Connection, beginnings: Sequence[Beginning], owner: UUID, lease_s: float
) -> list[Exception | None]:
    """Commits that attempts begin under the same keys; `Alone` for those whose lease may be lost."""
    rows = await connection.fetch(
        """
        WITH wanted AS (
          SELECT * FROM unnest($1::uuid[], $2::integer[]) AS wanted (order_id, attempt)
        ), free AS (
          SELECT order_id
          FROM orders.orders
          WHERE order_id = ANY ($1::uuid[])
          ORDER BY order_id
          FOR UPDATE SKIP LOCKED
        )
        UPDATE orders.orders
        SET attempts = wanted.attempt, lease_until = now() + make_interval(secs => $4)
        FROM wanted JOIN free ON free.order_id = wanted.order_id
        WHERE orders.order_id = wanted.order_id AND orders.status = 'pending' AND orders.lease_owner = $3
          AND orders.attempts IN (wanted.attempt - 1, wanted.attempt)
        RETURNING orders.order_id
        """,
        [each.order_id for each in beginnings],
        [each.attempt for each in beginnings],
        owner,
        lease_s,
    )
    begun = {row["order_id"] for row in rows}
    return [None if each.order_id in begun else Alone() for each in beginnings]


async def settle_all(
    connection: Connection, settlements: Sequence[Settlement]
) -> list[datetime | Exception | None]:
    """Gives pending orders their final state and records their last attempts; `Alone` for those that are not free.

    The notifications are marked attempted here, before they are sent. Of two settlements of one order (its delivery's and a
    cancellation's) the first takes part: if both were told that theirs took effect, both would notify.
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
