"""Charges of new keys in one round trip, because nearly every batch consists of them.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# VOLATILE, so each statement inside has a snapshot of its own under READ COMMITTED: marks and keys are read after the
# locks were granted. Locks are tried and never waited for. The short lock timeout is for an index entry that another
# transaction inserted without taking these locks.
FUNCTION = """
    CREATE FUNCTION billing.charge_plain(
      clients text[], sequence_keys bigint[], fingerprints bytea[], accounts text[], amounts_cents bigint[], order_ids uuid[]
    )
    RETURNS TABLE (verdict text, first_incomplete bigint, fingerprint bytea, status smallint, body text)
    LANGUAGE plpgsql VOLATILE ROWS 100
    SET lock_timeout = '20ms'
    AS $$
    #variable_conflict use_column
    DECLARE
      holds text[];
    BEGIN
      holds := ARRAY(
        SELECT CASE
                 WHEN NOT pg_try_advisory_xact_lock_shared(1, hashtext(asked.client)) THEN 'client'
                 WHEN NOT pg_try_advisory_xact_lock(hashtextextended(asked.client, asked.sequence_key)) THEN 'key'
                 ELSE 'free'
               END
        FROM unnest(clients, sequence_keys) WITH ORDINALITY AS asked (client, sequence_key, position)
        ORDER BY asked.position
      );
      RETURN QUERY
      WITH wanted AS MATERIALIZED (
        SELECT asked.*,
               coalesce(marks.first_incomplete, 1) AS first_incomplete,
               known.fingerprint AS known_fingerprint, known.status, known.body,
               known.client IS NULL
                 AND asked.hold = 'free'
                 AND asked.sequence_key >= coalesce(marks.first_incomplete, 1) AS is_new
        FROM unnest(clients, sequence_keys, fingerprints, accounts, amounts_cents, order_ids, holds)
               WITH ORDINALITY
               AS asked (client, sequence_key, fingerprint, account, amount_cents, order_id, hold, position)
        LEFT JOIN billing.clients AS marks ON marks.client = asked.client
        LEFT JOIN billing.processed_keys AS known
               ON known.client = asked.client AND known.sequence_key = asked.sequence_key
      ), locked AS MATERIALIZED (
        SELECT accounts.account, accounts.balance_cents
        FROM billing.accounts
        WHERE accounts.account IN (SELECT wanted.account FROM wanted WHERE wanted.is_new)
        ORDER BY accounts.account
        FOR NO KEY UPDATE SKIP LOCKED
      ), summed AS (
        SELECT wanted.*,
               locked.balance_cents - sum(wanted.amount_cents) OVER in_order AS after_cents,
               locked.balance_cents - sum(wanted.amount_cents) OVER of_account AS last_cents
        FROM wanted
        JOIN locked ON locked.account = wanted.account
        WHERE wanted.is_new
        WINDOW of_account AS (PARTITION BY wanted.account),
               in_order AS (PARTITION BY wanted.account ORDER BY wanted.position ROWS UNBOUNDED PRECEDING)
      ), charged AS MATERIALIZED (
        SELECT made.*,
               '{"charge_id":"' || made.charge_id || '","account":"' || made.account
                 || '","amount_cents":' || made.amount_cents || ',"balance_cents":' || made.balance_cents || '}' AS body
        FROM (
          SELECT position, client, sequence_key, fingerprint, order_id, account, amount_cents, last_cents,
                 after_cents::bigint AS balance_cents, uuidv7() AS charge_id
          FROM summed
          WHERE last_cents >= 0
          OFFSET 0
        ) AS made
      ), claimed AS (
        INSERT INTO billing.processed_keys (client, sequence_key, fingerprint, status, body)
        SELECT client, sequence_key, fingerprint, 201, body
        FROM charged
      ), withdrawn AS (
        UPDATE billing.accounts
        SET balance_cents = accounts.balance_cents - taken.amount_cents
        FROM (SELECT account, sum(amount_cents)::bigint AS amount_cents FROM charged GROUP BY account) AS taken
        WHERE accounts.account = taken.account
      ), written AS (
        INSERT INTO billing.ledger
          (charge_id, client, sequence_key, order_id, account, amount_cents, balance_cents)
        SELECT charge_id, client, sequence_key, order_id, account, amount_cents, balance_cents
        FROM charged
      )
      SELECT CASE
               WHEN wanted.hold <> 'free' THEN wanted.hold
               WHEN wanted.sequence_key < wanted.first_incomplete THEN 'forgotten'
               WHEN NOT wanted.is_new THEN 'known'
               WHEN charged.position IS NULL THEN 'not plain'
               ELSE 'charged'
             END,
             wanted.first_incomplete, wanted.known_fingerprint, wanted.status, coalesce(charged.body, wanted.body)
      FROM wanted
      LEFT JOIN charged ON charged.position = wanted.position
      ORDER BY wanted.position;
    END
    $$
"""


def upgrade() -> None:
    op.execute(FUNCTION)


def downgrade() -> None:
    op.execute("DROP FUNCTION billing.charge_plain")
