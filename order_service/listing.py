"""Reads orders with their attempts, as the wire shows them.

Guarantee: an order is shown to the client that placed it, as it was committed, and to no other; nothing is changed here.
"""

import json
from uuid import UUID

import asyncpg

from bounded_pool import Connection
from order_service.wire import Attempt, Order


async def find(connection: Connection, client: str, order_id: UUID) -> Order | None:
    """One order of a client with its attempts."""
    row = await connection.fetchrow(
        """
        SELECT order_id, customer, item, amount_cents, delivery, status, sequence_key, answer, notification,
               created_at, settled_at
        FROM orders.orders
        WHERE order_id = $2 AND client = $1
        """,
        client,
        order_id,
    )
    if row is None:
        return None
    attempts = await attempts_of(connection, [order_id])
    return _order(row, attempts.get(order_id, []))


async def find_by_shopper_key(
    connection: Connection, client: str, customer: str, shopper_key: str
) -> tuple[UUID, bytes] | None:
    """Id and fingerprint of the order that a customer's key names for a client."""
    row = await connection.fetchrow(
        """
        SELECT order_id, fingerprint
        FROM orders.orders
        WHERE client = $1 AND customer = $2 AND shopper_key = $3
        """,
        client,
        customer,
        shopper_key,
    )
    return None if row is None else (row["order_id"], row["fingerprint"])


async def newest(
    connection: Connection, client: str, before: UUID | None, limit: int
) -> list[Order]:
    """A page of a client's orders, the newest first, those older than `before` when it is given."""
    rows = await connection.fetch(
        """
        SELECT order_id, customer, item, amount_cents, delivery, status, sequence_key, answer, notification,
               created_at, settled_at
        FROM orders.orders
        WHERE client = $1
          AND ($2::uuid IS NULL
               OR (created_at, order_id) < (SELECT created_at, order_id FROM orders.orders WHERE order_id = $2))
        ORDER BY created_at DESC, order_id DESC
        LIMIT $3
        """,
        client,
        before,
        limit,
    )
    attempts = await attempts_of(connection, [row["order_id"] for row in rows])
    return [_order(row, attempts.get(row["order_id"], [])) for row in rows]


async def attempts_of(connection: Connection, order_ids: list[UUID]) -> dict[UUID, list[Attempt]]:
    """The finished attempts of some orders, in their order."""
    rows = await connection.fetch(
        """
        SELECT order_id, attempt, sequence_key, retry, outcome, caller_saw, seconds
        FROM orders.attempts
        WHERE order_id = ANY($1)
        ORDER BY order_id, attempt
        """,
        order_ids,
    )
    attempts: dict[UUID, list[Attempt]] = {}
    for row in rows:
        fields = {name: value for name, value in row.items() if name != "order_id"}
        attempts.setdefault(row["order_id"], []).append(Attempt.model_validate(fields))
    return attempts


def _order(row: asyncpg.Record, attempts: list[Attempt]) -> Order:
    answer = row["answer"]
    return Order(
        order_id=row["order_id"],
        customer=row["customer"],
        item=row["item"],
        amount_cents=row["amount_cents"],
        delivery=row["delivery"],
        status=row["status"],
        sequence_key=row["sequence_key"],
        attempts=attempts,
        answer=None if answer is None else json.loads(answer),
        notification=row["notification"],
        created_at=row["created_at"],
        settled_at=row["settled_at"],
    )
