"""The vacuum of the keys keeps the file's empty tail: to cut it off takes a lock that stops every charge.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # After a purge the tail is empty, and the next keys need it again. To truncate it, the vacuum locks the table
    # exclusively; charges that met that lock ran into their lock timeout and were answered 503.
    op.execute("ALTER TABLE billing.processed_keys SET (vacuum_truncate = false)")


def downgrade() -> None:
    op.execute("ALTER TABLE billing.processed_keys RESET (vacuum_truncate)")
