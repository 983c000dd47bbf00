"""Schema notifications: every arrival, duplicates included, because a duplicate must be visible.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

UPGRADE = (
    "CREATE SCHEMA notifications",
    # A role belongs to the whole cluster, so another database may have created it already.
    """
    DO $$ BEGIN
      EXECUTE format('CREATE ROLE notification_service LOGIN PASSWORD %L',
                     current_setting('migrations.notification_password'));
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END $$
    """,
    """
    CREATE TABLE notifications.arrivals (
      arrival_id      bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
      notification_id uuid        NOT NULL,
      client          text        NOT NULL,
      order_id        uuid        NOT NULL,
      customer        text        NOT NULL,
      text            text        NOT NULL,
      arrived_at      timestamptz NOT NULL DEFAULT now(),
      CONSTRAINT arrivals_pkey PRIMARY KEY (arrival_id)
    )
    """,
    "COMMENT ON TABLE notifications.arrivals IS 'What was shown to customers. Not deduplicated: at most once is the sender''s promise.'",
    "COMMENT ON CONSTRAINT arrivals_pkey ON notifications.arrivals IS 'Each arrival is a row of its own, also when the same notification arrives twice.'",
    "CREATE INDEX arrivals_by_order ON notifications.arrivals (order_id, arrival_id)",
    "COMMENT ON INDEX notifications.arrivals_by_order IS 'GET /notifications?order_id= reads the arrivals of one order.'",
    "GRANT USAGE ON SCHEMA notifications TO notification_service",
    "GRANT SELECT, INSERT ON notifications.arrivals TO notification_service",
)

DOWNGRADE = (
    "DROP SCHEMA notifications CASCADE",
    "DROP OWNED BY notification_service",
    # The role is kept while another database of the cluster still grants it privileges.
    """
    DO $$ BEGIN
      DROP ROLE notification_service;
    EXCEPTION WHEN dependent_objects_still_exist THEN NULL;
    END $$
    """,
)


def upgrade() -> None:
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWNGRADE:
        op.execute(statement)
