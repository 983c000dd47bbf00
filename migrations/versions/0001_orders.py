"""Schema orders: what the caller must still know after a crash.

Revision ID: 0001
Revises:
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

UPGRADE = (
    "CREATE SCHEMA orders",
    # A role belongs to the whole cluster, so another database may have created it already.
    """
    DO $$ BEGIN
      EXECUTE format('CREATE ROLE order_service LOGIN PASSWORD %L', current_setting('migrations.order_password'));
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END $$
    """,
    """
    CREATE TABLE orders.sequence_counter (
      only_row boolean NOT NULL DEFAULT true,
      last_key bigint  NOT NULL,
      CONSTRAINT sequence_counter_pkey PRIMARY KEY (only_row),
      CONSTRAINT sequence_counter_one_row CHECK (only_row),
      CONSTRAINT sequence_counter_not_negative CHECK (last_key >= 0)
    )
    """,
    """
    COMMENT ON TABLE orders.sequence_counter IS
      'The last sequence key handed out. A locked row and not a sequence: keys are gap-free and become visible in '
      'their order, so that the lowest pending key really is the first incomplete one.'
    """,
    """
    COMMENT ON CONSTRAINT sequence_counter_pkey ON orders.sequence_counter IS
      'Together with sequence_counter_one_row: there is one counter, so no two orders can count apart.'
    """,
    """
    COMMENT ON CONSTRAINT sequence_counter_one_row ON orders.sequence_counter IS 'There is one counter, never two.'
    """,
    """
    COMMENT ON CONSTRAINT sequence_counter_not_negative ON orders.sequence_counter IS
      'Sequence keys are integers from 1 upwards.'
    """,
    "INSERT INTO orders.sequence_counter (only_row, last_key) VALUES (true, 0)",
    """
    CREATE TABLE orders.orders (
      order_id     uuid        NOT NULL,
      customer     text        NOT NULL,
      item         text        NOT NULL,
      amount_cents bigint      NOT NULL,
      delivery     text        NOT NULL,
      sequence_key bigint      NOT NULL,
      attempts     integer     NOT NULL DEFAULT 1,
      status       text        NOT NULL DEFAULT 'pending',
      answer       jsonb,
      notification text,
      shopper_key  text,
      fingerprint  bytea       NOT NULL,
      lease_owner  uuid        NOT NULL,
      lease_until  timestamptz NOT NULL,
      created_at   timestamptz NOT NULL DEFAULT now(),
      settled_at   timestamptz,
      CONSTRAINT orders_pkey PRIMARY KEY (order_id),
      CONSTRAINT orders_sequence_key_once UNIQUE (sequence_key),
      CONSTRAINT orders_shopper_key_once UNIQUE (customer, shopper_key),
      CONSTRAINT orders_amount_positive CHECK (amount_cents > 0),
      CONSTRAINT orders_sequence_key_positive CHECK (sequence_key > 0),
      CONSTRAINT orders_attempts_positive CHECK (attempts >= 1),
      CONSTRAINT orders_delivery_known CHECK (delivery IN ('at_most_once', 'at_least_once', 'exactly_once')),
      CONSTRAINT orders_status_known CHECK (status IN ('pending', 'billed', 'declined', 'failed', 'unknown')),
      CONSTRAINT orders_at_most_once_tries_once CHECK (delivery <> 'at_most_once' OR attempts = 1),
      CONSTRAINT orders_unknown_only_at_most_once CHECK (status <> 'unknown' OR delivery = 'at_most_once'),
      CONSTRAINT orders_settled_has_a_time CHECK ((status = 'pending') = (settled_at IS NULL)),
      CONSTRAINT orders_settled_has_an_answer CHECK (status IN ('pending', 'unknown') OR answer IS NOT NULL),
      CONSTRAINT orders_notification_known CHECK (notification IN ('attempted', 'acknowledged', 'refused', 'unknown')),
      CONSTRAINT orders_notified_after_settling CHECK (notification IS NULL OR status IN ('billed', 'declined'))
    )
    """,
    "COMMENT ON TABLE orders.orders IS 'Each order with the key under which it is billed. Committed before the first send.'",
    "COMMENT ON COLUMN orders.orders.sequence_key IS 'The key of the latest attempt; at_least_once takes a new one each time.'",
    "COMMENT ON COLUMN orders.orders.attempts IS 'Attempts begun. Committed before each send, so a crash cannot hide one.'",
    "COMMENT ON COLUMN orders.orders.lease_until IS 'Until then lease_owner alone works on the order; a courtesy against storms, safety never rests on it.'",
    "COMMENT ON CONSTRAINT orders_pkey ON orders.orders IS 'An order is one row; settling it is one update of that row.'",
    "COMMENT ON CONSTRAINT orders_sequence_key_once ON orders.orders IS 'A sequence key belongs to one order: no order can be billed under the key of another.'",
    "COMMENT ON CONSTRAINT orders_shopper_key_once ON orders.orders IS 'A shopper who retries gets the same order and not a second one; the key of one customer says nothing about another.'",
    "COMMENT ON CONSTRAINT orders_amount_positive ON orders.orders IS 'An order takes money, it never gives any.'",
    "COMMENT ON CONSTRAINT orders_sequence_key_positive ON orders.orders IS 'Sequence keys are integers from 1 upwards.'",
    "COMMENT ON CONSTRAINT orders_attempts_positive ON orders.orders IS 'The first attempt is counted when the order is recorded.'",
    "COMMENT ON CONSTRAINT orders_delivery_known ON orders.orders IS 'There are three delivery semantics.'",
    "COMMENT ON CONSTRAINT orders_status_known ON orders.orders IS 'There are five states, of which pending alone is not final.'",
    "COMMENT ON CONSTRAINT orders_at_most_once_tries_once ON orders.orders IS 'At most once: no second attempt, ever.'",
    "COMMENT ON CONSTRAINT orders_unknown_only_at_most_once ON orders.orders IS 'Who resends never gives up without an answer.'",
    "COMMENT ON CONSTRAINT orders_settled_has_a_time ON orders.orders IS 'Settled orders, and only they, have the time at which they were settled.'",
    "COMMENT ON CONSTRAINT orders_settled_has_an_answer ON orders.orders IS 'A final state rests on an answer of billing.'",
    "COMMENT ON CONSTRAINT orders_notification_known ON orders.orders IS 'A notification was attempted, and then acknowledged, refused, or nobody knows.'",
    "COMMENT ON CONSTRAINT orders_notified_after_settling ON orders.orders IS 'Nobody is told of an order that is not settled.'",
    "CREATE INDEX orders_pending_by_key ON orders.orders (sequence_key) WHERE status = 'pending'",
    "COMMENT ON INDEX orders.orders_pending_by_key IS 'First incomplete is the first entry; as small as what is in flight.'",
    "CREATE INDEX orders_pending_by_lease ON orders.orders (lease_until) WHERE status = 'pending'",
    "COMMENT ON INDEX orders.orders_pending_by_lease IS 'Finds the orders of dead processes without reading history.'",
    "CREATE INDEX orders_by_age ON orders.orders (created_at DESC, order_id DESC)",
    "COMMENT ON INDEX orders.orders_by_age IS 'GET /orders lists the newest first.'",
    """
    CREATE TABLE orders.attempts (
      order_id     uuid             NOT NULL,
      attempt      integer          NOT NULL,
      sequence_key bigint           NOT NULL,
      retry        boolean          NOT NULL,
      outcome      text             NOT NULL,
      caller_saw   text             NOT NULL,
      seconds      double precision NOT NULL,
      CONSTRAINT attempts_pkey PRIMARY KEY (order_id, attempt),
      CONSTRAINT attempts_of_an_order FOREIGN KEY (order_id) REFERENCES orders.orders (order_id),
      CONSTRAINT attempts_positive CHECK (attempt >= 1),
      CONSTRAINT attempts_first_is_no_retry CHECK (attempt > 1 OR NOT retry),
      CONSTRAINT attempts_outcome_known CHECK (outcome IN ('acknowledged', 'refused', 'unknown'))
    )
    """,
    "COMMENT ON TABLE orders.attempts IS 'How each attempt ended, as the caller saw it.'",
    "COMMENT ON CONSTRAINT attempts_pkey ON orders.attempts IS 'An attempt ends once.'",
    "COMMENT ON CONSTRAINT attempts_of_an_order ON orders.attempts IS 'Nothing is sent for an order that was not recorded.'",
    "COMMENT ON CONSTRAINT attempts_positive ON orders.attempts IS 'Attempts are counted from 1.'",
    "COMMENT ON CONSTRAINT attempts_first_is_no_retry ON orders.attempts IS 'The retry flag is evidence: it never lies about the first attempt.'",
    "COMMENT ON CONSTRAINT attempts_outcome_known ON orders.attempts IS 'Acknowledged, definitely refused, or unknown; there is nothing else.'",
    "GRANT USAGE ON SCHEMA orders TO order_service",
    "GRANT SELECT, UPDATE ON orders.sequence_counter TO order_service",
    "GRANT SELECT, INSERT, UPDATE ON orders.orders TO order_service",
    "GRANT SELECT, INSERT ON orders.attempts TO order_service",
)

DOWNGRADE = (
    "DROP SCHEMA orders CASCADE",
    "DROP OWNED BY order_service",
    # The role is kept while another database of the cluster still grants it privileges.
    """
    DO $$ BEGIN
      DROP ROLE order_service;
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
