"""The statement that records orders.

Guarantee: an order, its key and its first attempt are committed together before anything is sent; keys are gap-free and
become visible in their order, because only what is inserted spends one.
"""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from order_service.orders import (
    CustomerKeyTaken,
    PendingOrder,
    Recording,
    WindowFull,
    fingerprint,
)
from service_kit.bounded_pool import Connection


async def record_all(
    connection: Connection,
    recordings: Sequence[Recording],
    owner: UUID,
    lease_s: float,
    window_max: int,
) -> list[PendingOrder | Exception]:
    """Commits all orders with their keys and first attempts: the order of arrival is the order of their keys.

    For each one the order, `WindowFull` or `CustomerKeyTaken`. The counter row is locked from here to the commit, so keys
    become visible in their order; the statement is alone in its transaction to keep that time short. When the same customer's
    key is recorded elsewhere at this moment, or twice here, the unique constraint fails it: see `wait_for_others`.

    OFFSET 0 keeps the client out of the search for a key. Else the index that lists a client's orders would serve it, too: a
    plan made while the table was empty would read all orders of the client for each new one.
    """
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
            FROM (
              SELECT client
              FROM orders.orders
              WHERE orders.customer = wanted.customer AND orders.shopper_key = wanted.shopper_key
              OFFSET 0
            ) AS of_this_key
            WHERE of_this_key.client = wanted.client
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
    return [_recorded(each, row) for each, row in zip(recordings, rows, strict=True)]


async def wait_for_others(connection: Connection) -> None:
    """Ends when no other transaction records an order; none does until this one ends. Statements after it see all that is recorded."""
    await connection.execute("SELECT FROM orders.sequence_counter FOR UPDATE")


def _recorded(recording: Recording, row: asyncpg.Record) -> PendingOrder | Exception:
    if row["taken"]:
        return CustomerKeyTaken()
    if row["sequence_key"] is None:
        return WindowFull()
    return recording.pending(row["sequence_key"], row["created_at"])


async def prove_writable(connection: Connection) -> None:
    """Succeeds when this role could record an order in this session. It names all tables and columns that an order writes, and writes no row."""
    await connection.execute(
        """
        WITH minted AS (
          UPDATE orders.sequence_counter SET last_key = last_key WHERE false
        ), attempted AS (
          INSERT INTO orders.attempts (order_id, attempt, sequence_key, retry, outcome, caller_saw, seconds)
          SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE false
        ), recorded AS (
          INSERT INTO orders.orders
            (order_id, customer, item, amount_cents, delivery, sequence_key, shopper_key, fingerprint,
             lease_owner, lease_until, client)
          SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE false
        )
        UPDATE orders.orders
        SET status = status, answer = answer, notification = notification, settled_at = settled_at, attempts = attempts,
            sequence_key = sequence_key, lease_owner = lease_owner, lease_until = lease_until
        WHERE false
        """
    )


async def seal(connection: Connection) -> None:
    """Ends when a synchronous standby has everything that this session can see; at once when there is none."""
    await connection.execute("SELECT orders.sealed()")
