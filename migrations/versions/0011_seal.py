"""The seal: what a service reads and tells as final is replicated before it is told.

Revision ID: 0011
Revises: 0010

With a synchronous standby, COMMIT waits until the standby has the transaction. That wait can end without the standby: by a
cancel, by the end of the session, by a restart of the server. The rows are then visible on this server only, and a promoted
standby does not have them. A transaction that writes to the log waits for everything before it in the log. So a statement
that reads such rows, and calls `sealed()`, ends only when they are replicated.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

SCHEMAS = {
    "billing": "billing_service",
    "orders": "order_service",
    "notifications": "notification_service",
}

# A commit waits for the standby only when its transaction has an id and has written to the log; a transactional message
# does both, and writes some 60 bytes. The function belongs to the owner, so that the roles need no right to write messages
# of their own. A server in recovery, or one that was told to only read, may have lost its rows to another primary.
SEALED = """
    CREATE FUNCTION {schema}.sealed() RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
    BEGIN
      IF pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean THEN
        RAISE EXCEPTION 'this server only reads: what it shows may not be final'
          USING ERRCODE = 'read_only_sql_transaction';
      END IF;
      IF current_setting('synchronous_standby_names') <> '' THEN
        PERFORM pg_logical_emit_message(true, 'sealed'::text, ''::text);
      END IF;
      RETURN true;
    END $$
"""
COMMENT = (
    "Always true. With a synchronous standby, the commit of the transaction that called it waits until every row that the"
    " transaction has seen is replicated."
)


def upgrade() -> None:
    for schema, role in SCHEMAS.items():
        op.execute(SEALED.format(schema=schema))
        op.execute(f"COMMENT ON FUNCTION {schema}.sealed() IS '{COMMENT}'")
        op.execute(f"REVOKE EXECUTE ON FUNCTION {schema}.sealed() FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {schema}.sealed() TO {role}")


def downgrade() -> None:
    for schema in SCHEMAS:
        op.execute(f"DROP FUNCTION {schema}.sealed()")
