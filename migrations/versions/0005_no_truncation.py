"""Vacuum no longer truncates the table of keys, because truncation takes a lock that stops every charge.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # After keys are forgotten the end of the file is empty, and the next keys reuse it. To truncate it, vacuum locks the
    # table exclusively; charges that waited for that lock reached their lock timeout and were answered 503.
    op.execute("ALTER TABLE billing.processed_keys SET (vacuum_truncate = false)")


def downgrade() -> None:
    op.execute("ALTER TABLE billing.processed_keys RESET (vacuum_truncate)")
