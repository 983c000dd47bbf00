"""Planted bug: nothing keeps a key from being claimed twice."""

import uuid

from starlette.types import ASGIApp

import chaos.sabotage
from billing_service import keys
from bounded_pool import Connection


async def insert_key(connection: Connection, client: str, sequence_key: int, digest: bytes) -> bool:
    """Stores the key beside the constraint's reach and says that it was new."""
    await connection.execute(
        """
        INSERT INTO billing.processed_keys (client, sequence_key, fingerprint) VALUES ($1, $2, $3)
        """,
        f"{client} {uuid.uuid4()}",
        sequence_key,
        digest,
    )
    return True


def billing() -> ASGIApp:
    """billing_service with the bug."""
    keys.insert_key = insert_key
    return chaos.sabotage.billing()
