"""The arrivals table: the messages that were shown.

Guarantee: an arrival is stored as often as it is inserted; nothing is deduplicated, so a duplicate can be seen. With a
synchronous standby, arrivals are listed only when the standby has them (`notifications.sealed()`, migration 0011).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from notification_service.wire import Arrival, Notification
from service_kit.bounded_pool import Connection

# One page. A client that wants the arrivals of one order names the order.
LISTED_MAX = 100


@dataclass(frozen=True)
class Arriving:
    """A notification and the client that sent it."""

    client: str
    notification: Notification


async def insert_all(connection: Connection, shown: Sequence[Arriving]) -> None:
    """Stores all of them in the given order, or none of them."""
    notifications = [each.notification for each in shown]
    await connection.execute(
        """
        INSERT INTO notifications.arrivals (notification_id, client, order_id, customer, text)
        SELECT notification_id, client, order_id, customer, text
        FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[])
          WITH ORDINALITY AS shown (notification_id, client, order_id, customer, text, position)
        ORDER BY position
        """,
        [each.notification_id for each in notifications],
        [each.client for each in shown],
        [each.order_id for each in notifications],
        [each.customer for each in notifications],
        [each.text for each in notifications],
    )


async def prove_writable(connection: Connection) -> None:
    """Succeeds if this role can store an arrival in this session. Writes no row."""
    await connection.execute(
        """
        INSERT INTO notifications.arrivals (notification_id, client, order_id, customer, text)
        SELECT NULL, NULL, NULL, NULL, NULL WHERE false
        """
    )


async def seal(connection: Connection) -> None:
    """Ends when a synchronous standby has everything that this session can see; at once when there is none."""
    await connection.execute("SELECT notifications.sealed()")


async def of_order(connection: Connection, order_id: UUID) -> list[Arrival]:
    """All arrivals of one order, oldest first."""
    rows = await connection.fetch(
        """
        SELECT notification_id, order_id, customer, text, arrived_at
        FROM notifications.arrivals
        WHERE (SELECT notifications.sealed()) AND order_id = $1
        ORDER BY arrival_id
        """,
        order_id,
    )
    return [Arrival.model_validate(dict(row)) for row in rows]


async def latest(connection: Connection) -> list[Arrival]:
    """At most `LISTED_MAX` arrivals, newest first."""
    rows = await connection.fetch(
        """
        SELECT notification_id, order_id, customer, text, arrived_at
        FROM notifications.arrivals
        WHERE (SELECT notifications.sealed())
        ORDER BY arrival_id DESC
        LIMIT $1
        """,
        LISTED_MAX,
    )
    return [Arrival.model_validate(dict(row)) for row in rows]
