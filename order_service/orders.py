"""Orders and attempts in Postgres: all of the caller's memory.

Guarantee: an order, its key and its first attempt are committed together before anything is sent; keys are gap-free and
become visible in their order; a settled order never changes its state again.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from bounded_pool import Connection
from order_service.wire import Attempt, Delivery, Fate, NewOrder, Order, Status


class LeaseLost(Exception):
    """Another process works on the order now, or it is settled: this one must send nothing more."""


class ShopperKeyTaken(Exception):
    """The shopper's key already names an order. Nothing was recorded and no sequence key was spent."""


@dataclass(frozen=True)
class PendingOrder:
    """An order that this process holds the lease of."""

    order_id: UUID
    customer: str
    item: str
    amount_cents: int
    delivery: Delivery
    sequence_key: int
    attempts: int
    created_at: datetime
    taken_over: bool = False


def fingerprint(order: NewOrder) -> bytes:
    """Tells orders under one shopper key apart by what they mean: SHA-256, 32 bytes."""
    canonical = json.dumps(order.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).digest()


async def record(
    connection: Connection,
    order_id: UUID,
    order: NewOrder,
    shopper_key: str | None,
    owner: UUID,
    lease_s: float,
) -> PendingOrder:
    """Commits the order, its sequence key and its first attempt in one statement.

    The counter row is locked from here to the commit, so keys become visible in their order; the statement is alone in
    its transaction to keep that time short. Raises `ShopperKeyTaken`, which spends no key.
    """
    try:
        row = await connection.fetchrow(
            """
            WITH minted AS (
              UPDATE orders.sequence_counter SET last_key = last_key + 1 RETURNING last_key
            )
            INSERT INTO orders.orders
              (order_id, customer, item, amount_cents, delivery, sequence_key, shopper_key, fingerprint,
               lease_owner, lease_until)
            SELECT $1, $2, $3, $4, $5, last_key, $6, $7, $8, now() + make_interval(secs => $9)
            FROM minted
            RETURNING sequence_key, created_at
            """,
            order_id,
            order.customer,
            order.item,
            order.amount_cents,
            order.delivery.value,
            shopper_key,
            fingerprint(order),
            owner,
            lease_s,
        )
    except asyncpg.UniqueViolationError as exc:
        if exc.constraint_name != "orders_shopper_key_once":
            raise
        raise ShopperKeyTaken from exc
    if row is None:
        raise RuntimeError("the sequence counter has no row")
    return PendingOrder(
        order_id=order_id,
        customer=order.customer,
        item=order.item,
        amount_cents=order.amount_cents,
        delivery=order.delivery,
        sequence_key=row["sequence_key"],
        attempts=1,
        created_at=row["created_at"],
    )


async def begin_attempt(
    connection: Connection, order_id: UUID, attempt: int, owner: UUID, lease_s: float
) -> None:
    """Commits that an attempt begins under the same key. Doing it twice changes nothing. Raises `LeaseLost`."""
    begun = await connection.fetchval(
        """
        UPDATE orders.orders
        SET attempts = $2, lease_until = now() + make_interval(secs => $4)
        WHERE order_id = $1 AND status = 'pending' AND lease_owner = $3 AND attempts IN ($2 - 1, $2)
        RETURNING true
        """,
        order_id,
        attempt,
        owner,
        lease_s,
    )
    if begun is None:
        raise LeaseLost


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


async def extend_lease(connection: Connection, order_id: UUID, owner: UUID, lease_s: float) -> None:
    """Keeps the order for this process through a pause."""
    await connection.execute(
        """
        UPDATE orders.orders
        SET lease_until = now() + make_interval(secs => $3)
        WHERE order_id = $1 AND status = 'pending' AND lease_owner = $2
        """,
        order_id,
        owner,
        lease_s,
    )


async def settle(
    connection: Connection,
    order_id: UUID,
    status: Status,
    answer: dict[str, Any] | None,
    notification: Fate | None,
) -> datetime | None:
    """Gives a pending order its final state; None when it has one already, and then nothing changes.

    The notification is marked attempted here, before it is sent: a crash in between loses it and never doubles it.
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
        None if answer is None else json.dumps(answer),
        None if notification is None else notification.value,
    )
    return settled_at


async def record_fate(connection: Connection, order_id: UUID, fate: Fate) -> None:
    """What became of the one notification."""
    await connection.execute(
        """
        UPDATE orders.orders SET notification = $2 WHERE order_id = $1 AND notification = 'attempted'
        """,
        order_id,
        fate.value,
    )


async def take_over(
    connection: Connection, owner: UUID, lease_s: float, limit: int
) -> list[PendingOrder]:
    """Leases pending orders whose owner has been silent for longer than its lease, the oldest key first."""
    rows = await connection.fetch(
        """
        UPDATE orders.orders
        SET lease_owner = $1, lease_until = now() + make_interval(secs => $2)
        WHERE order_id IN (
          SELECT order_id
          FROM orders.orders
          WHERE status = 'pending' AND lease_until < now()
          ORDER BY sequence_key
          LIMIT $3
          FOR UPDATE SKIP LOCKED
        )
        RETURNING order_id, customer, item, amount_cents, delivery, sequence_key, attempts, created_at
        """,
        owner,
        lease_s,
        limit,
    )
    return [
        PendingOrder(
            order_id=row["order_id"],
            customer=row["customer"],
            item=row["item"],
            amount_cents=row["amount_cents"],
            delivery=Delivery(row["delivery"]),
            sequence_key=row["sequence_key"],
            attempts=row["attempts"],
            created_at=row["created_at"],
            taken_over=True,
        )
        for row in rows
    ]


async def release_leases(connection: Connection, owner: UUID) -> None:
    """Lets any process take over at once what this one leaves behind."""
    await connection.execute(
        """
        UPDATE orders.orders SET lease_until = '-infinity' WHERE status = 'pending' AND lease_owner = $1
        """,
        owner,
    )


async def find(connection: Connection, order_id: UUID) -> Order | None:
    """One order with its attempts."""
    row = await connection.fetchrow(
        """
        SELECT order_id, customer, item, amount_cents, delivery, status, sequence_key, answer, notification,
               created_at, settled_at
        FROM orders.orders
        WHERE order_id = $1
        """,
        order_id,
    )
    if row is None:
        return None
    attempts = await attempts_of(connection, [order_id])
    return _order(row, attempts.get(order_id, []))


async def find_by_shopper_key(
    connection: Connection, customer: str, shopper_key: str
) -> tuple[UUID, bytes] | None:
    """Id and fingerprint of the order that a customer's key names."""
    row = await connection.fetchrow(
        """
        SELECT order_id, fingerprint
        FROM orders.orders
        WHERE customer = $1 AND shopper_key = $2
        """,
        customer,
        shopper_key,
    )
    return None if row is None else (row["order_id"], row["fingerprint"])


async def newest(connection: Connection, before: UUID | None, limit: int) -> list[Order]:
    """A page of orders, the newest first, those older than `before` when it is given."""
    rows = await connection.fetch(
        """
        SELECT order_id, customer, item, amount_cents, delivery, status, sequence_key, answer, notification,
               created_at, settled_at
        FROM orders.orders
        WHERE $1::uuid IS NULL
           OR (created_at, order_id) < (SELECT created_at, order_id FROM orders.orders WHERE order_id = $1)
        ORDER BY created_at DESC, order_id DESC
        LIMIT $2
        """,
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


async def ping(connection: Connection) -> None:
    """Succeeds when the schema can be read."""
    await connection.fetchval("SELECT last_key FROM orders.sequence_counter")


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
