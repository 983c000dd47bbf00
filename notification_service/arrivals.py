"""The arrivals table: what was shown.

Guarantee: an arrival that was answered is stored; nothing is deduplicated, so a second one would be seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from notification_service.wire import Arrival, Notification
from service_kit.bounded_pool import Connection

# A page of history; whoever wants one order's arrivals names it.
LISTED_MAX = 100


@dataclass(frozen=True)
class Arriving:
    """A notification and who has sent it."""

    client: str
    notification: Notification


async def insert_all(connection: Connection, shown: Sequence[Arriving]) -> None:
    """Stores all of them, in their order, or none."""
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
    """Succeeds when this role could store an arrival in this session. Writes no row."""
    await connection.execute(
        """
        INSERT INTO notifications.arrivals (notification_id, client, order_id, customer, text)
        SELECT NULL, NULL, NULL, NULL, NULL WHERE false
        """
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
