"""Orders and attempts in Postgres: all of the caller's memory.

Guarantee: an order, its key and its first attempt are committed together before anything is sent; keys are gap-free and
become visible in their order; a settled order never changes its state again.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from order_service.wire import (
    Attempt,
    Delivery,
    Fate,
    NewOrder,
    Order,
    Status,
    without_balance,
)
from service_kit.bounded_pool import Connection


class LeaseLost(Exception):
    """Another process works on the order now, or it is settled: this one must send nothing more."""


class WindowFull(Exception):
    """As many orders are unsettled as may be. Nothing was recorded and no sequence key was spent."""


class CustomerKeyTaken(Exception):
    """The customer's key already names an order. Nothing was recorded and no sequence key was spent."""


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


@dataclass(frozen=True)
class Recording:
    """An order that is to be recorded, for the client that places it; empty when clients are not known."""

    order_id: UUID
    order: NewOrder
    customer_key: str | None
    client: str = ""

    def pending(self, sequence_key: int, created_at: datetime) -> PendingOrder:
        """The order, now that it is recorded."""
        return PendingOrder(
            order_id=self.order_id,
            customer=self.order.customer,
            item=self.order.item,
            amount_cents=self.order.amount_cents,
            delivery=self.order.delivery,
            sequence_key=sequence_key,
            attempts=1,
            created_at=created_at,
        )


@dataclass(frozen=True)
class Beginning:
    """An attempt that is to begin under the key of the one before."""

    order_id: UUID
    attempt: int


@dataclass(frozen=True)
class Settlement:
    """The final state of an order, and the attempt that led to it."""

    order_id: UUID
    attempt: Attempt | None
    status: Status
    answer: dict[str, Any] | None
    notification: Fate | None


def stored(answer: dict[str, Any] | None) -> str | None:
    """An answer of billing as it is kept: JSON, without any balance."""
    return None if answer is None else json.dumps(without_balance(answer))


def pending(order: Order) -> PendingOrder:
    """The same order, for one who works on it; the attempts begun are not in it."""
    return PendingOrder(
        order_id=order.order_id,
        customer=order.customer,
        item=order.item,
        amount_cents=order.amount_cents,
        delivery=order.delivery,
        sequence_key=order.sequence_key,
        attempts=max(1, len(order.attempts)),
        created_at=order.created_at,
    )


def fingerprint(order: NewOrder) -> bytes:
    """Tells orders under one customer key apart by what they mean: SHA-256, 32 bytes."""
    canonical = json.dumps(order.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).digest()


async def record(
    connection: Connection,
    recording: Recording,
    owner: UUID,
    lease_s: float,
    window_max: int,
) -> PendingOrder:
    """Commits the order, its sequence key and its first attempt in one statement.

    The counter row is locked from here to the commit, so keys become visible in their order; the statement is alone in
    its transaction to keep that time short. Raises `ShopperKeyTaken` and `WindowFull`, which spend no key.
    """
    order = recording.order
    try:
        row = await connection.fetchrow(
            """
            WITH unsettled AS (
              SELECT count(*) AS orders
              FROM (SELECT 1 FROM orders.orders WHERE status = 'pending' LIMIT $10) AS pending
            ), minted AS (
              UPDATE orders.sequence_counter
              SET last_key = last_key + 1
              FROM unsettled
              WHERE unsettled.orders < $10
              RETURNING last_key
            )
            INSERT INTO orders.orders
              (order_id, customer, item, amount_cents, delivery, sequence_key, shopper_key, fingerprint,
               lease_owner, lease_until, client)
            SELECT $1, $2, $3, $4, $5, last_key, $6, $7, $8, now() + make_interval(secs => $9), $11
            FROM minted
            RETURNING sequence_key, created_at
            """,
            recording.order_id,
            order.customer,
            order.item,
            order.amount_cents,
            order.delivery.value,
            recording.customer_key,
            fingerprint(order),
            owner,
            lease_s,
            window_max,
            recording.client,
        )
    except asyncpg.UniqueViolationError as exc:
        if exc.constraint_name != "orders_shopper_key_once":
            raise
        raise CustomerKeyTaken from exc
    if row is None:
        raise WindowFull
    return recording.pending(row["sequence_key"], row["created_at"])


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


async def keep_leases(
    connection: Connection, order_ids: Sequence[UUID], owner: UUID, lease_s: float
) -> None:
    """Keeps for this process the orders that it has in hand, however long they wait. Fresh leases are left alone."""
    await connection.execute(
        """
        UPDATE orders.orders
        SET lease_until = now() + make_interval(secs => $3)
        WHERE order_id IN (
          SELECT order_id
          FROM orders.orders
          WHERE order_id = ANY ($1::uuid[]) AND status = 'pending' AND lease_owner = $2
            AND lease_until < now() + make_interval(secs => $3 * 0.7)
          ORDER BY order_id
          FOR UPDATE SKIP LOCKED
        )
        """,
        list(order_ids),
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
        stored(answer),
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


@dataclass(frozen=True)
class Unsettled:
    """What is not settled, of all replicas. Below `first_incomplete` every key has its answer."""

    orders: int
    oldest_s: float
    first_incomplete: int


async def read_unsettled(connection: Connection) -> Unsettled:
    """One snapshot: with nothing pending, first incomplete is the key that comes next.

    Safe because keys become visible in their order: a key below the lowest pending one that could still appear would
    have been handed out, and its row committed, before.
    """
    row = await connection.fetchrow(
        """
        SELECT count(orders.order_id) AS orders,
               coalesce(extract(epoch FROM now() - min(orders.created_at)), 0)::float8 AS oldest_s,
               coalesce(min(orders.sequence_key), max(sequence_counter.last_key) + 1) AS first_incomplete
        FROM orders.sequence_counter
        LEFT JOIN orders.orders ON orders.status = 'pending'
        """
    )
    if row is None:
        raise RuntimeError("an aggregate without a row")
    return Unsettled(row["orders"], row["oldest_s"], row["first_incomplete"])


async def prove_writable(connection: Connection) -> None:
    """Succeeds when this role could record an order in this session. Names all that it writes and writes no row of it."""
    await connection.execute(
        """
        WITH minted AS (
          UPDATE orders.sequence_counter SET last_key = last_key WHERE false
        ), attempted AS (
          INSERT INTO orders.attempts (order_id, attempt, sequence_key, retry, outcome, caller_saw, seconds)
          SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE false
        ), recorded AS (
          INSERT INTO orders.orders
            (order_id, customer, item, amount_cents, delivery, sequence_key, fingerprint, lease_owner, lease_until)
          SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE false
        )
        UPDATE orders.orders SET status = status, answer = answer, settled_at = settled_at WHERE false
        """
    )
