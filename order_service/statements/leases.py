"""The statements of leases: which process delivers a pending order, and what is unsettled.

Guarantee: an order is taken over only when its lease has run out or was released; `first_incomplete` is never above the key
of a pending order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from order_service.orders import PendingOrder
from order_service.wire import Delivery
from service_kit.bounded_pool import Connection


async def take_over(
    connection: Connection, owner: UUID, lease_s: float, limit: int
) -> list[PendingOrder]:
    """Leases pending orders whose lease has expired, the oldest key first.

    MATERIALIZED, because a plan may execute a subquery once for each row of the join. Each time it would skip what this
    statement has updated already, and so find as many orders again, beyond the limit.
    """
    rows = await connection.fetch(
        """
        WITH due AS MATERIALIZED (
          SELECT order_id
          FROM orders.orders
          WHERE status = 'pending' AND lease_until < now()
          ORDER BY sequence_key
          LIMIT $3
          FOR UPDATE SKIP LOCKED
        )
        UPDATE orders.orders
        SET lease_owner = $1, lease_until = now() + make_interval(secs => $2)
        FROM due
        WHERE orders.order_id = due.order_id
        RETURNING orders.order_id, customer, item, amount_cents, delivery, sequence_key, attempts, created_at
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


async def keep_leases(
    connection: Connection, order_ids: Sequence[UUID], owner: UUID, lease_s: float
) -> None:
    """Renews the leases of orders that this process delivers, however long they wait. Fresh leases are left alone."""
    await connection.execute(
        """
        UPDATE orders.orders
        SET lease_until = now() + make_interval(secs => $3)
        WHERE order_id IN (
          SELECT order_id
          FROM orders.orders
          WHERE order_id = ANY ($1::uuid[]) AND status = 'pending' AND lease_owner = $2
            AND lease_until < now() + make_interval(secs => $3 * 0.7)
          FOR UPDATE SKIP LOCKED
        )
        """,
        list(order_ids),
        owner,
        lease_s,
    )


async def release_leases(connection: Connection, owner: UUID) -> None:
    """Ends the leases of a process, so that another one takes its orders over without delay."""
    await connection.execute(
        """
        UPDATE orders.orders SET lease_until = '-infinity' WHERE status = 'pending' AND lease_owner = $1
        """,
        owner,
    )


@dataclass(frozen=True)
class Unsettled:
    """The unsettled orders of all replicas. Every key below `first_incomplete` has its answer."""

    orders: int
    oldest_s: float
    first_incomplete: int


async def read_unsettled(connection: Connection) -> Unsettled:
    """Read in one snapshot. With nothing pending, `first_incomplete` is the key that comes next.

    Billing forgets the keys below it, so it is sealed: no settlement that it rests on is lost in a failover. Safe because
    keys become visible in their order: no key below the lowest pending one can still appear, because its row would have been
    committed before.
    """
    row = await connection.fetchrow(
        """
        SELECT count(orders.order_id) AS orders,
               coalesce(extract(epoch FROM now() - min(orders.created_at)), 0)::float8 AS oldest_s,
               coalesce(min(orders.sequence_key), max(sequence_counter.last_key) + 1) AS first_incomplete
        FROM orders.sequence_counter
        LEFT JOIN orders.orders ON orders.status = 'pending'
        WHERE (SELECT orders.sealed())
        """
    )
    if row is None:
        raise RuntimeError("an aggregate without a row")
    return Unsettled(row["orders"], row["oldest_s"], row["first_incomplete"])
