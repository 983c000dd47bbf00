"""Schema billing: accounts, the ledger, and the processed keys that prevent a second charge.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UPGRADE = (
    "CREATE SCHEMA billing",
    # A role belongs to the whole cluster, so another database may have created it already.
    """
    DO $$ BEGIN
      EXECUTE format('CREATE ROLE billing_service LOGIN PASSWORD %L', current_setting('migrations.billing_password'));
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END $$
    """,
    """
    CREATE TABLE billing.clients (
      client           text   NOT NULL,
      first_incomplete bigint NOT NULL DEFAULT 1,
      CONSTRAINT clients_pkey PRIMARY KEY (client),
      CONSTRAINT clients_first_incomplete_positive CHECK (first_incomplete >= 1)
    )
    """,
    "COMMENT ON TABLE billing.clients IS 'Who calls, and from which key on this client still may.'",
    "COMMENT ON COLUMN billing.clients.first_incomplete IS 'Keys below are settled for the client: forgotten, and refused for ever.'",
    "COMMENT ON CONSTRAINT clients_pkey ON billing.clients IS 'A client has one mark; a charge share-locks this row while it trusts it.'",
    "COMMENT ON CONSTRAINT clients_first_incomplete_positive ON billing.clients IS 'Sequence keys are integers from 1 upwards.'",
    """
    CREATE TABLE billing.accounts (
      account               text   NOT NULL,
      opening_balance_cents bigint NOT NULL,
      balance_cents         bigint NOT NULL,
      CONSTRAINT accounts_pkey PRIMARY KEY (account),
      CONSTRAINT accounts_no_overdraft CHECK (balance_cents >= 0),
      CONSTRAINT accounts_money_is_not_made CHECK (balance_cents <= opening_balance_cents)
    )
    """,
    "COMMENT ON TABLE billing.accounts IS 'The money. What was withdrawn is opening_balance_cents - balance_cents.'",
    "COMMENT ON CONSTRAINT accounts_pkey ON billing.accounts IS 'An account has one balance; a withdrawal locks its row.'",
    "COMMENT ON CONSTRAINT accounts_no_overdraft ON billing.accounts IS 'Nobody can withdraw what is not there, not even by a race.'",
    "COMMENT ON CONSTRAINT accounts_money_is_not_made ON billing.accounts IS 'Money only leaves an account here, so a balance above the opening one is a defect.'",
    """
    CREATE TABLE billing.processed_keys (
      client       text     NOT NULL,
      sequence_key bigint   NOT NULL,
      fingerprint  bytea    NOT NULL,
      status       smallint,
      body         text,
      CONSTRAINT processed_keys_pkey PRIMARY KEY (client, sequence_key),
      CONSTRAINT processed_keys_positive CHECK (sequence_key >= 1),
      CONSTRAINT processed_keys_answer_is_final CHECK (status IN (201, 402)),
      CONSTRAINT processed_keys_answer_is_whole CHECK ((status IS NULL) = (body IS NULL))
    )
    """,
    "COMMENT ON TABLE billing.processed_keys IS 'Each key that was processed, with the answer that is given again.'",
    "COMMENT ON COLUMN billing.processed_keys.client IS 'From the token, so nobody can burn the key of another. No foreign key: each charge share-locks the client''s row itself.'",
    "COMMENT ON COLUMN billing.processed_keys.status IS 'NULL only inside the transaction that claims the key: no committed row is without its answer.'",
    "COMMENT ON CONSTRAINT processed_keys_pkey ON billing.processed_keys IS 'THE promise: a key is processed once. A twin waits on this index until the first one commits or is gone.'",
    "COMMENT ON CONSTRAINT processed_keys_positive ON billing.processed_keys IS 'Sequence keys are integers from 1 upwards.'",
    "COMMENT ON CONSTRAINT processed_keys_answer_is_final ON billing.processed_keys IS 'Only final answers are stored: charged or declined. An ambiguity is never stored as a fact.'",
    "COMMENT ON CONSTRAINT processed_keys_answer_is_whole ON billing.processed_keys IS 'A replay repeats the status and the body.'",
    """
    CREATE TABLE billing.ledger (
      charge_id     uuid        NOT NULL DEFAULT uuidv7(),
      client        text        NOT NULL,
      sequence_key  bigint      NOT NULL,
      order_id      uuid        NOT NULL,
      account       text        NOT NULL,
      amount_cents  bigint      NOT NULL,
      balance_cents bigint      NOT NULL,
      created_at    timestamptz NOT NULL DEFAULT now(),
      CONSTRAINT ledger_pkey PRIMARY KEY (charge_id),
      CONSTRAINT ledger_of_an_account FOREIGN KEY (account) REFERENCES billing.accounts (account),
      CONSTRAINT ledger_amount_positive CHECK (amount_cents > 0),
      CONSTRAINT ledger_no_overdraft CHECK (balance_cents >= 0)
    )
    """,
    "COMMENT ON TABLE billing.ledger IS 'Each withdrawal, for ever. It explains every balance; it protects nothing: that is processed_keys.'",
    "COMMENT ON CONSTRAINT ledger_pkey ON billing.ledger IS 'A charge has one identity. Version 7: in time order, so the index grows at its end.'",
    "COMMENT ON CONSTRAINT ledger_of_an_account ON billing.ledger IS 'Money is taken from an account that exists.'",
    "COMMENT ON CONSTRAINT ledger_amount_positive ON billing.ledger IS 'A charge takes money, it never gives any.'",
    "COMMENT ON CONSTRAINT ledger_no_overdraft ON billing.ledger IS 'The balance after a withdrawal is never below zero.'",
    "CREATE INDEX ledger_by_order ON billing.ledger (order_id)",
    "COMMENT ON INDEX billing.ledger_by_order IS 'The audit compares orders with withdrawals.'",
    "GRANT USAGE ON SCHEMA billing TO billing_service",
    "GRANT SELECT, INSERT, UPDATE ON billing.clients TO billing_service",
    "GRANT SELECT, INSERT, UPDATE ON billing.accounts TO billing_service",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON billing.processed_keys TO billing_service",
    "GRANT SELECT, INSERT ON billing.ledger TO billing_service",
)

DOWNGRADE = (
    "DROP SCHEMA billing CASCADE",
    "DROP OWNED BY billing_service",
    # The role is kept while another database of the cluster still grants it privileges.
    """
    DO $$ BEGIN
      DROP ROLE billing_service;
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
