"""Proves that this process could charge.

Guarantee: the proof names every table and column that a charge writes, and writes no row.
"""

from service_kit.bounded_pool import Connection


async def prove_writable(connection: Connection) -> None:
    """Succeeds when this session's role may write what a charge writes."""
    await connection.execute(
        """
        WITH claimed AS (
          INSERT INTO billing.processed_keys (client, sequence_key, fingerprint, status, body)
          SELECT NULL, NULL, NULL, NULL, NULL WHERE false
        ), withdrawn AS (
          UPDATE billing.accounts SET balance_cents = balance_cents WHERE false
        )
        INSERT INTO billing.ledger (client, sequence_key, order_id, account, amount_cents, balance_cents)
        SELECT NULL, NULL, NULL, NULL, NULL, NULL WHERE false
        """
    )
