"""Reads orders with their attempts, as the wire shows them.

Guarantee: an order is shown to the client that placed it, and to no other, as it was committed at one moment: each function is
one statement, so an order and its attempts come from one snapshot. With a synchronous standby, it is shown only when the
standby has it (`orders.sealed()`, migration 0011). Nothing is written here.

OFFSET 0 keeps the client out of the search for one order: the index that lists a client's orders could serve it, too, and a
plan made while the table was empty would read all of them.
"""

import json
from uuid import UUID

import asyncpg

from order_service.wire import Attempt, Order
from service_kit.bounded_pool import Connection


async def find(connection: Connection, client: str, order_id: UUID) -> Order | None:
    """One order of a client with its attempts."""
    row = await connection.fetchrow(
        """
        SELECT order_id, customer, item, amount_cents, delivery, status, sequence_key, answer, notification,
               created_at, settled_at,
               (SELECT json_agg(json_build_object('attempt', attempt, 'sequence_key', attempts.sequence_key, 'retry', retry,
                                                  'outcome', outcome, 'caller_saw', caller_saw, 'seconds', seconds)
                                ORDER BY attempt)
                FROM orders.attempts
                WHERE attempts.order_id = orders.order_id) AS attempts
        FROM (SELECT * FROM orders.orders WHERE order_id = $2 OFFSET 0) AS orders
        WHERE (SELECT orders.sealed()) AND client = $1
        """,
        client,
        order_id,
    )
    return None if row is None else _order(row)


async def find_by_customer_key(
    connection: Connection, client: str, customer: str, customer_key: str
) -> tuple[UUID, bytes] | None:
    """Id and fingerprint of the order that a customer's key names for a client."""
    row = await connection.fetchrow(
        """
        SELECT order_id, fingerprint
        FROM (
          SELECT order_id, fingerprint, client
          FROM orders.orders
          WHERE customer = $2 AND shopper_key = $3
          OFFSET 0
        ) AS of_this_key
        WHERE (SELECT orders.sealed()) AND client = $1
        """,
        client,
        customer,
        customer_key,
    )
    return None if row is None else (row["order_id"], row["fingerprint"])


async def newest(
    connection: Connection, client: str, before: UUID | None, limit: int
) -> list[Order]:
    """A page of a client's orders, the newest first, those older than `before` when it is given.

    The two columns that sort the orders never change, so an order is on exactly one page, whatever is recorded meanwhile.
    """
    rows = await connection.fetch(
        """
        SELECT order_id, customer, item, amount_cents, delivery, status, sequence_key, answer, notification,
               created_at, settled_at,
               (SELECT json_agg(json_build_object('attempt', attempt, 'sequence_key', attempts.sequence_key, 'retry', retry,
                                                  'outcome', outcome, 'caller_saw', caller_saw, 'seconds', seconds)
                                ORDER BY attempt)
                FROM orders.attempts
                WHERE attempts.order_id = orders.order_id) AS attempts
        FROM orders.orders
        WHERE (SELECT orders.sealed()) AND client = $1
          AND ($2::uuid IS NULL
               OR (created_at, order_id) < (SELECT created_at, order_id FROM orders.orders WHERE order_id = $2))
        ORDER BY created_at DESC, order_id DESC
        LIMIT $3
        """,
        client,
        before,
        limit,
    )
    return [_order(row) for row in rows]


def _order(row: asyncpg.Record) -> Order:
    answer = row["answer"]
    attempts = json.loads(row["attempts"] or "[]")
    return Order(
        order_id=row["order_id"],
        customer=row["customer"],
        item=row["item"],
        amount_cents=row["amount_cents"],
        delivery=row["delivery"],
        status=row["status"],
        sequence_key=row["sequence_key"],
        attempts=[Attempt.model_validate(attempt) for attempt in attempts],
        answer=None if answer is None else json.loads(answer),
        notification=row["notification"],
        created_at=row["created_at"],
        settled_at=row["settled_at"],
    )
