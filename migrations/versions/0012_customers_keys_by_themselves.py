"""The index of customers' keys begins with the customer, so that a key is found without its client.

Revision ID: 0012
Revises: 0011

Two indexes began with the client. For a table that was empty when a statement was planned, the planner had no reason to
prefer one of them; it looked for customers' keys among all orders of a client, and kept that plan until the first ANALYZE.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

COMMENT = (
    "COMMENT ON CONSTRAINT orders_shopper_key_once ON orders.orders IS 'A customer who retries gets the same order and not a"
    " second one; the key of one customer says nothing about another, and that of one client nothing about another.'"
)


def upgrade() -> None:
    _constrain("customer, shopper_key, client")


def downgrade() -> None:
    _constrain("client, customer, shopper_key")


def _constrain(columns: str) -> None:
    op.execute("ALTER TABLE orders.orders DROP CONSTRAINT orders_shopper_key_once")
    op.execute(
        f"ALTER TABLE orders.orders ADD CONSTRAINT orders_shopper_key_once UNIQUE ({columns})"
    )
    op.execute(COMMENT)
