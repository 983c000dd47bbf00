"""Voided keys and cancelled orders; and a table of keys that is vacuumed as fast as keys are deleted.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

UPGRADE = (
    "ALTER TABLE billing.processed_keys DROP CONSTRAINT processed_keys_answer_is_final",
    """
    ALTER TABLE billing.processed_keys
      ADD CONSTRAINT processed_keys_answer_is_final CHECK (status IN (201, 402, 410))
    """,
    "COMMENT ON CONSTRAINT processed_keys_answer_is_final ON billing.processed_keys IS 'Only what is final is stored: charged (201), declined (402), or voided before it was executed (410). An ambiguity is never stored as a fact.'",
    # Keys are inserted and deleted all the time. The default, a fifth of the table, would let it grow with the load.
    """
    ALTER TABLE billing.processed_keys
      SET (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 2000)
    """,
    "ALTER TABLE orders.orders DROP CONSTRAINT orders_status_known",
    """
    ALTER TABLE orders.orders ADD CONSTRAINT orders_status_known
      CHECK (status IN ('pending', 'billed', 'declined', 'failed', 'cancelled', 'unknown'))
    """,
    "COMMENT ON CONSTRAINT orders_status_known ON orders.orders IS 'There are six states, of which pending alone is not final.'",
    "ALTER TABLE orders.orders DROP CONSTRAINT orders_unknown_only_at_most_once",
    """
    ALTER TABLE orders.orders ADD CONSTRAINT orders_unknown_for_a_reason
      CHECK (status <> 'unknown' OR delivery = 'at_most_once' OR answer IS NOT NULL)
    """,
    "COMMENT ON CONSTRAINT orders_unknown_for_a_reason ON orders.orders IS 'Who resends gives up without an answer only when billing itself said that it has forgotten.'",
)

DOWNGRADE = (
    "ALTER TABLE orders.orders DROP CONSTRAINT orders_unknown_for_a_reason",
    "UPDATE orders.orders SET status = 'failed' WHERE status = 'cancelled'",
    "UPDATE orders.orders SET status = 'failed' WHERE status = 'unknown' AND delivery <> 'at_most_once'",
    """
    ALTER TABLE orders.orders ADD CONSTRAINT orders_unknown_only_at_most_once
      CHECK (status <> 'unknown' OR delivery = 'at_most_once')
    """,
    "ALTER TABLE orders.orders DROP CONSTRAINT orders_status_known",
    """
    ALTER TABLE orders.orders ADD CONSTRAINT orders_status_known
      CHECK (status IN ('pending', 'billed', 'declined', 'failed', 'unknown'))
    """,
    "ALTER TABLE billing.processed_keys RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold)",
    # An older billing_service does not understand a voided key, and without its row the key could be executed. So
    # voided keys must be settled before a downgrade.
    """
    DO $$ BEGIN
      IF EXISTS (SELECT FROM billing.processed_keys WHERE status = 410) THEN
        RAISE EXCEPTION 'there are voided keys; let their clients settle them before the downgrade';
      END IF;
    END $$
    """,
    "ALTER TABLE billing.processed_keys DROP CONSTRAINT processed_keys_answer_is_final",
    """
    ALTER TABLE billing.processed_keys
      ADD CONSTRAINT processed_keys_answer_is_final CHECK (status IN (201, 402))
    """,
)


def upgrade() -> None:
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWNGRADE:
        op.execute(statement)
