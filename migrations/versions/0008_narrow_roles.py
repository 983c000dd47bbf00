"""Roles that reach no further than their work: columns, locks, connections, and what marks may never do.

Revision ID: 0008
Revises: 0007

What needs a superuser, or the owner of another database, is tried and left alone when it is refused: `env.py` says at
the end of each run what is still open, and docs/running.md what a superuser has to execute once.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# Three replicas of each service with the default pools (10, 10 and 5 connections), one more each for readiness, and for
# billing one that opens accounts: 33, 34 and 18, with a little room. Together they stay below the default
# max_connections (100) less the three connections that are reserved for superusers.
LIMITS = tuple(
    f"""
    DO $$ BEGIN
      EXECUTE format('ALTER ROLE {role}_service CONNECTION LIMIT %s', current_setting('migrations.{role}_connections_max'));
    EXCEPTION WHEN insufficient_privilege THEN NULL;
    END $$
    """
    for role in ("order", "billing", "notification")
)

# Advisory locks belong to the database and not to a schema: a role that may take any of them can take billing's, and so
# stop every charge of a client. Only billing uses them, and only those that end with their transaction.
LOCKS_AND_LARGE_OBJECTS = """
    DO $$ DECLARE each regprocedure; BEGIN
      FOR each IN
        SELECT oid FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace
          AND (proname ~ '^pg_(try_)?advisory_(xact_)?lock' OR proname ~ '^(lo_\\w+|loread|lowrite)$' OR proname = 'pg_logical_emit_message')
      LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', each);
      END LOOP;
      FOR each IN
        SELECT oid FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ '^pg_(try_)?advisory_xact_lock'
      LOOP
        -- The owner's own: one migration waits for the other.
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO billing_service, %I', each,
                       (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()));
      END LOOP;
    EXCEPTION WHEN insufficient_privilege THEN NULL;
    END $$
"""
OTHER_DATABASES = tuple(
    f"""
    DO $$ BEGIN
      REVOKE CONNECT, TEMPORARY ON DATABASE {database} FROM PUBLIC;
    EXCEPTION WHEN insufficient_privilege OR invalid_catalog_name THEN NULL;
    END $$
    """
    for database in ("postgres", "template1")
)
OWN_DATABASE = """
    DO $$ BEGIN
      EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    EXCEPTION WHEN insufficient_privilege THEN NULL;
    END $$
"""
PUBLIC_SCHEMA = """
    DO $$ BEGIN
      REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    EXCEPTION WHEN insufficient_privilege OR invalid_schema_name THEN NULL;
    END $$
"""

# Table, role, and the columns that the statements of the role change.
COLUMNS = (
    ("billing.clients", "billing_service", "first_incomplete"),
    ("billing.accounts", "billing_service", "balance_cents"),
    ("billing.processed_keys", "billing_service", "status, body"),
    ("orders.sequence_counter", "order_service", "last_key"),
    (
        "orders.orders",
        "order_service",
        "attempts, sequence_key, lease_owner, lease_until, status, answer, notification, settled_at",
    ),
)

# The owner may do all of this, for example to move back a mark that was moved too far by mistake.
REFUSE = """
    CREATE FUNCTION billing.refuse() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
    BEGIN
      IF pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'USAGE') THEN
        RETURN NEW;
      END IF;
      RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'insufficient_privilege';
    END $$
"""

# Table, trigger, the column that is watched, when it is refused, and the promise.
REFUSALS = (
    (
        "billing.clients",
        "clients_mark_only_rises",
        "first_incomplete",
        "NEW.first_incomplete < OLD.first_incomplete",
        "First incomplete never falls: a key that was forgotten could be executed again.",
    ),
    (
        "billing.processed_keys",
        "processed_keys_answer_stays",
        "status, body",
        "OLD.status IS NOT NULL",
        "A stored answer never changes: a replay repeats it.",
    ),
    (
        "orders.sequence_counter",
        "sequence_counter_only_rises",
        "last_key",
        "NEW.last_key < OLD.last_key",
        "The counter never falls: a sequence key would be handed out twice.",
    ),
    (
        "orders.orders",
        "orders_settled_stays",
        "status, answer, sequence_key, attempts, settled_at",
        "OLD.status <> 'pending' AND (OLD.status, OLD.answer, OLD.sequence_key, OLD.attempts, OLD.settled_at)"
        " IS DISTINCT FROM (NEW.status, NEW.answer, NEW.sequence_key, NEW.attempts, NEW.settled_at)",
        "A settled order keeps its state and its answer; only what became of its notification is added.",
    ),
)


def upgrade() -> None:
    for statement in (
        *LIMITS,
        LOCKS_AND_LARGE_OBJECTS,
        *OTHER_DATABASES,
        OWN_DATABASE,
        PUBLIC_SCHEMA,
    ):
        op.execute(statement)
    for table, role, columns in COLUMNS:
        op.execute(f"REVOKE UPDATE ON {table} FROM {role}")
        op.execute(f"GRANT UPDATE ({columns}) ON {table} TO {role}")
    for schema in ("billing", "orders"):
        op.execute(REFUSE.replace("billing", schema))
    for table, name, columns, refused, promise in REFUSALS:
        schema = table.partition(".")[0]
        op.execute(
            f"""
            CREATE TRIGGER {name} BEFORE UPDATE OF {columns} ON {table}
            FOR EACH ROW WHEN ({refused}) EXECUTE FUNCTION {schema}.refuse('{promise}')
            """
        )
        op.execute(f"COMMENT ON TRIGGER {name} ON {table} IS '{promise}'")


def downgrade() -> None:
    """Keeps limits of roles and their rights in other databases, on which other databases of the cluster may rely."""
    for table, name, _, _, _ in REFUSALS:
        op.execute(f"DROP TRIGGER {name} ON {table}")
    for schema in ("billing", "orders"):
        op.execute(f"DROP FUNCTION {schema}.refuse()")
    for table, role, _ in COLUMNS:
        op.execute(f"GRANT UPDATE ON {table} TO {role}")
    op.execute(
        """
        DO $$ DECLARE each regprocedure; BEGIN
          FOR each IN
            SELECT oid FROM pg_proc
            WHERE pronamespace = 'pg_catalog'::regnamespace
              AND (proname ~ '^pg_(try_)?advisory_(xact_)?lock' OR proname ~ '^(lo_\\w+|loread|lowrite)$' OR proname = 'pg_logical_emit_message')
          LOOP
            EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM billing_service', each);
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', each);
          END LOOP;
        EXCEPTION WHEN insufficient_privilege THEN NULL;
        END $$
        """
    )
    op.execute(
        """
        DO $$ BEGIN
          EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO PUBLIC', current_database());
        EXCEPTION WHEN insufficient_privilege THEN NULL;
        END $$
        """
    )
