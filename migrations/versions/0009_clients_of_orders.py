"""An order belongs to the client that placed it.

Revision ID: 0009
Revises: 0008
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

UPGRADE = (
    # Existing orders, and those of an older order_service that still runs, belong to the anonymous client.
    "ALTER TABLE orders.orders ADD COLUMN client text NOT NULL DEFAULT ''",
    "COMMENT ON COLUMN orders.orders.client IS 'The client of order_service that placed the order (ORDER_TOKENS), empty when clients were not known. It alone may see and cancel it.'",
    "ALTER TABLE orders.orders DROP CONSTRAINT orders_shopper_key_once",
    "ALTER TABLE orders.orders ADD CONSTRAINT orders_shopper_key_once UNIQUE (client, customer, shopper_key)",
    "COMMENT ON CONSTRAINT orders_shopper_key_once ON orders.orders IS 'A customer who retries gets the same order and not a second one; the key of one customer says nothing about another, and that of one client nothing about another.'",
    "DROP INDEX orders.orders_by_age",
    "CREATE INDEX orders_of_client_by_age ON orders.orders (client, created_at DESC, order_id DESC)",
    "COMMENT ON INDEX orders.orders_of_client_by_age IS 'GET /orders lists the orders of its client, the newest first.'",
)

DOWNGRADE = (
    # An older order_service knows no clients: it would show every client's orders to all, and two clients may have used
    # the same key for the same customer. The operator must decide that before a downgrade: UPDATE orders.orders SET client = ''.
    """
    DO $$ BEGIN
      IF EXISTS (SELECT FROM orders.orders WHERE client <> '') THEN
        RAISE EXCEPTION 'there are orders of clients, which an older order_service would show to every caller; '
                        'make them anonymous (client = '''') before the downgrade';
      END IF;
    END $$
    """,
    "DROP INDEX orders.orders_of_client_by_age",
    "CREATE INDEX orders_by_age ON orders.orders (created_at DESC, order_id DESC)",
    "COMMENT ON INDEX orders.orders_by_age IS 'GET /orders lists the newest first.'",
    "ALTER TABLE orders.orders DROP CONSTRAINT orders_shopper_key_once",
    "ALTER TABLE orders.orders ADD CONSTRAINT orders_shopper_key_once UNIQUE (customer, shopper_key)",
    "COMMENT ON CONSTRAINT orders_shopper_key_once ON orders.orders IS 'A shopper who retries gets the same order and not a second one; the key of one customer says nothing about another.'",
    "ALTER TABLE orders.orders DROP COLUMN client",
)


def upgrade() -> None:
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWNGRADE:
        op.execute(statement)
