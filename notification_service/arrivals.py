"""The arrivals table: what was shown.

Guarantee: an arrival that was answered is stored; nothing is deduplicated, so a second one would be seen.
"""

from uuid import UUID

from bounded_pool import Connection
from notification_service.wire import Arrival, Notification

# A page of history; whoever wants one order's arrivals names it.
LISTED_MAX = 100


async def insert(connection: Connection, client: str, notification: Notification) -> None:
    """Stores one arrival."""
    await connection.execute(
        """
        INSERT INTO notifications.arrivals (notification_id, client, order_id, customer, text)
        VALUES ($1, $2, $3, $4, $5)
        """,
        notification.notification_id,
        client,
        notification.order_id,
        notification.customer,
        notification.text,
    )


async def of_order(connection: Connection, order_id: UUID) -> list[Arrival]:
    """All arrivals of one order, the first one first."""
    rows = await connection.fetch(
        """
        SELECT notification_id, order_id, customer, text, arrived_at
        FROM notifications.arrivals
        WHERE order_id = $1
        ORDER BY arrival_id
        """,
        order_id,
    )
    return [Arrival.model_validate(dict(row)) for row in rows]


async def latest(connection: Connection) -> list[Arrival]:
    """The newest arrivals, `LISTED_MAX` at most, the newest first."""
    rows = await connection.fetch(
        """
        SELECT notification_id, order_id, customer, text, arrived_at
        FROM notifications.arrivals
        ORDER BY arrival_id DESC
        LIMIT $1
        """,
        LISTED_MAX,
    )
    return [Arrival.model_validate(dict(row)) for row in rows]
