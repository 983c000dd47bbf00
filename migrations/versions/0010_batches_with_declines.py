"""A batch of charges in one round trip, declines included.

Revision ID: 0010
Revises: 0009

`billing.charge_plain` of the releases before stays: their processes still call it while this release is rolled out. Both
functions take the same locks.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# The balance of an account after each charge, in order of arrival: a charge that is too large withdraws nothing, so a
# later, smaller one can still succeed. A window sum cannot skip rows; this aggregate does.
LEFT_AFTER = """
    CREATE FUNCTION billing.left_after(left_cents bigint, opening_cents bigint, amount_cents bigint) RETURNS bigint
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $$
    BEGIN
      left_cents := coalesce(left_cents, opening_cents);
      RETURN left_cents - CASE WHEN amount_cents <= left_cents THEN amount_cents ELSE 0 END;
    END
    $$
"""
LEFT_AFTER_ALL = (
    "CREATE AGGREGATE billing.left_after_all(bigint, bigint) "
    "(SFUNC = billing.left_after, STYPE = bigint)"
)

# VOLATILE, so each statement inside has a snapshot of its own under READ COMMITTED: marks and keys are read after the
# locks were granted. Locks are tried and never waited for. The short lock timeout is for an index entry that another
# transaction inserted without taking these locks. The two bodies are templates for format(): charge id, order, account, amount
# and balance, in this order.
CHARGE_BATCH = """
    CREATE FUNCTION billing.charge_batch(
      clients text[], sequence_keys bigint[], fingerprints bytea[], accounts text[], amounts_cents bigint[], order_ids uuid[],
      awaited boolean[], charged_body text, declined_body text
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
                 WHEN NOT pg_try_advisory_xact_lock_shared(1, hashtext(asked.client)) THEN 'client held'
                 WHEN NOT pg_try_advisory_xact_lock(hashtextextended(asked.client, asked.sequence_key)) THEN 'key held'
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
               CASE
                 WHEN asked.hold <> 'free' THEN asked.hold
                 WHEN asked.sequence_key < coalesce(marks.first_incomplete, 1) THEN 'forgotten'
                 WHEN known.client IS NOT NULL THEN 'known'
                 WHEN NOT asked.awaited THEN 'too late'
                 ELSE 'new'
               END AS verdict
        FROM unnest(clients, sequence_keys, fingerprints, accounts, amounts_cents, order_ids, awaited, holds)
               WITH ORDINALITY
               AS asked (client, sequence_key, fingerprint, account, amount_cents, order_id, awaited, hold, position)
        LEFT JOIN billing.clients AS marks ON marks.client = asked.client
        LEFT JOIN billing.processed_keys AS known
               ON known.client = asked.client AND known.sequence_key = asked.sequence_key
      ), locked AS MATERIALIZED (
        SELECT accounts.account, accounts.balance_cents
        FROM billing.accounts
        WHERE accounts.account IN (SELECT wanted.account FROM wanted WHERE wanted.verdict = 'new')
        ORDER BY accounts.account
        FOR NO KEY UPDATE SKIP LOCKED
      ), taken AS (
        SELECT wanted.*, locked.balance_cents AS opening_cents,
               billing.left_after_all(locked.balance_cents, wanted.amount_cents) OVER in_order AS after_cents
        FROM wanted
        JOIN locked ON locked.account = wanted.account
        WHERE wanted.verdict = 'new'
        WINDOW in_order AS (PARTITION BY wanted.account ORDER BY wanted.position ROWS UNBOUNDED PRECEDING)
      ), executed AS MATERIALIZED (
        SELECT made.*,
               format(
                 CASE WHEN made.is_charged THEN charged_body ELSE declined_body END,
                 made.charge_id, made.order_id, made.account, made.amount_cents, made.after_cents
               ) AS body
        FROM (
          SELECT position, client, sequence_key, fingerprint, order_id, account, amount_cents, after_cents,
                 after_cents < coalesce(
                   lag(after_cents) OVER (PARTITION BY account ORDER BY position), opening_cents
                 ) AS is_charged,
                 uuidv7() AS charge_id
          FROM taken
          OFFSET 0
        ) AS made
      ), claimed AS (
        INSERT INTO billing.processed_keys (client, sequence_key, fingerprint, status, body)
        SELECT client, sequence_key, fingerprint, CASE WHEN is_charged THEN 201 ELSE 402 END, body
        FROM executed
      ), withdrawn AS (
        UPDATE billing.accounts
        SET balance_cents = accounts.balance_cents - sums.amount_cents
        FROM (
          SELECT account, sum(amount_cents)::bigint AS amount_cents FROM executed WHERE is_charged GROUP BY account
        ) AS sums
        WHERE accounts.account = sums.account
      ), written AS (
        INSERT INTO billing.ledger
          (charge_id, client, sequence_key, order_id, account, amount_cents, balance_cents)
        SELECT charge_id, client, sequence_key, order_id, account, amount_cents, after_cents
        FROM executed
        WHERE is_charged
      )
      SELECT CASE
               WHEN wanted.verdict <> 'new' THEN wanted.verdict
               WHEN executed.is_charged THEN 'charged'
               WHEN NOT executed.is_charged THEN 'declined'
               WHEN EXISTS (SELECT FROM billing.accounts WHERE accounts.account = wanted.account) THEN 'account held'
               ELSE 'account unknown'
             END,
             wanted.first_incomplete, wanted.known_fingerprint, wanted.status, coalesce(executed.body, wanted.body)
      FROM wanted
      LEFT JOIN executed ON executed.position = wanted.position
      ORDER BY wanted.position;
    END
    $$
"""


def upgrade() -> None:
    op.execute(LEFT_AFTER)
    op.execute(LEFT_AFTER_ALL)
    op.execute(CHARGE_BATCH)


def downgrade() -> None:
    op.execute("DROP FUNCTION billing.charge_batch")
    op.execute("DROP AGGREGATE billing.left_after_all(bigint, bigint)")
    op.execute("DROP FUNCTION billing.left_after")
