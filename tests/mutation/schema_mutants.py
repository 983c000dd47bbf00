"""The mutants of the schema: read from the catalogue of a migrated database, so that none of its parts is forgotten.

A migration's text may be superseded by a later one; what counts is the schema that the services meet. Every constraint, every
default, every trigger, every unique index and every privilege is dropped once, every privilege that a role does not have in its
own schema is granted once, and the rules for statements are applied to the bodies of the functions.

Guarantee: the list follows from the catalogue alone; a new constraint is a new mutant.
"""

from collections import Counter
from collections.abc import Iterator

import asyncpg

from tests.mutation.mutant import SCHEMA, Mutant, around, changed_lines
from tests.mutation.sql_rules import changes

PATH = "migrations/versions"
SCHEMAS = {
    "orders": "order_service",
    "billing": "billing_service",
    "notifications": "notification_service",
}

_CONSTRAINTS = """
    SELECT conrelid::regclass::text AS table_name, conname, contype::text, pg_get_constraintdef(pg_constraint.oid) AS definition
    FROM pg_constraint
    WHERE connamespace = ANY ($1::text[]::regnamespace[]) AND conrelid <> 0
      -- A column of a primary key is not null by that.
      AND NOT (contype = 'n' AND EXISTS (
        SELECT FROM pg_constraint AS keys
        WHERE keys.conrelid = pg_constraint.conrelid AND keys.contype = 'p' AND pg_constraint.conkey <@ keys.conkey
      ))
    ORDER BY 1, 2
"""
_DEFAULTS = """
    SELECT adrelid::regclass::text AS table_name, attname, pg_get_expr(adbin, adrelid) AS definition
    FROM pg_attrdef
    JOIN pg_class ON pg_class.oid = adrelid
    JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
    WHERE relnamespace = ANY ($1::text[]::regnamespace[]) AND attgenerated = ''
    ORDER BY 1, 2
"""
_TRIGGERS = """
    SELECT tgrelid::regclass::text AS table_name, tgname, pg_get_triggerdef(pg_trigger.oid) AS definition
    FROM pg_trigger
    JOIN pg_class ON pg_class.oid = tgrelid
    WHERE relnamespace = ANY ($1::text[]::regnamespace[]) AND NOT tgisinternal
    ORDER BY 1, 2
"""
_UNIQUE_INDEXES = """
    SELECT indexrelid::regclass::text AS index_name, pg_get_indexdef(indexrelid) AS definition
    FROM pg_index
    JOIN pg_class ON pg_class.oid = indexrelid
    WHERE relnamespace = ANY ($1::text[]::regnamespace[]) AND indisunique
      AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
    ORDER BY 1
"""
_FUNCTIONS = """
    SELECT pg_proc.oid::regprocedure::text AS signature, pronamespace::regnamespace::text AS schema_name, proname,
           pg_get_functiondef(pg_proc.oid) AS definition, proconfig IS NOT NULL AS configured
    FROM pg_proc
    WHERE pronamespace = ANY ($1::text[]::regnamespace[]) AND prokind = 'f'
    ORDER BY 1
"""
# What roles other than the owner hold.
_GRANTS = """
    SELECT 'TABLE ' || pg_class.oid::regclass AS object, acl.privilege_type AS privilege, acl.grantee
    FROM pg_class, aclexplode(relacl) AS acl
    WHERE relnamespace = ANY ($1::text[]::regnamespace[]) AND acl.grantee <> relowner
    UNION ALL
    SELECT 'TABLE ' || attrelid::regclass, format('%s (%I)', acl.privilege_type, attname), acl.grantee
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid, aclexplode(attacl) AS acl
    WHERE relnamespace = ANY ($1::text[]::regnamespace[]) AND acl.grantee <> relowner
    UNION ALL
    SELECT 'SCHEMA ' || nspname, acl.privilege_type, acl.grantee
    FROM pg_namespace, aclexplode(nspacl) AS acl
    WHERE nspname = ANY ($1) AND acl.grantee <> nspowner
    UNION ALL
    SELECT 'FUNCTION ' || pg_proc.oid::regprocedure, acl.privilege_type, acl.grantee
    FROM pg_proc, aclexplode(proacl) AS acl
    WHERE pronamespace = ANY ($1::text[]::regnamespace[]) AND acl.grantee <> proowner
"""
_GRANTED = f"""
    SELECT object, privilege, CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee) END AS role
    FROM ({_GRANTS}) AS held
    ORDER BY 1, 2, 3
"""
_NOT_GRANTED = """
    SELECT pg_class.oid::regclass::text AS table_name, privilege, rolname AS role
    FROM pg_class
    CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS privilege
    JOIN unnest($1::text[], $2::text[]) AS own (schema_name, role_name) ON relnamespace = schema_name::regnamespace
    JOIN pg_roles ON rolname = role_name
    WHERE relkind = 'r' AND NOT has_table_privilege(pg_roles.oid, pg_class.oid, privilege)
    ORDER BY 1, 2
"""


async def schema_mutants(connection: "asyncpg.Connection[asyncpg.Record]") -> list[Mutant]:
    """All, from the catalogue of the database to which the owner is connected."""
    names, roles = list(SCHEMAS), list(SCHEMAS.values())
    found: list[Mutant] = []
    for row in await connection.fetch(_CONSTRAINTS, names):
        drop = f"ALTER TABLE {row['table_name']} DROP CONSTRAINT {row['conname']} CASCADE"
        rule = "no not null" if row["contype"] == "n" else "no constraint"
        found.append(
            _mutant(row["table_name"], rule, f"{row['conname']} {row['definition']}", drop)
        )
    for row in await connection.fetch(_DEFAULTS, names):
        drop = f"ALTER TABLE {row['table_name']} ALTER COLUMN {row['attname']} DROP DEFAULT"
        text = f"{row['attname']} DEFAULT {row['definition']}"
        found.append(_mutant(row["table_name"], "no default", text, drop))
    for row in await connection.fetch(_TRIGGERS, names):
        drop = f"DROP TRIGGER {row['tgname']} ON {row['table_name']}"
        found.append(_mutant(row["table_name"], "no trigger", row["definition"], drop))
    for row in await connection.fetch(_UNIQUE_INDEXES, names):
        drop = f"DROP INDEX {row['index_name']}"
        found.append(_mutant(row["index_name"], "no unique index", row["definition"], drop))
    for row in await connection.fetch(_GRANTED, names):
        text = f"GRANT {row['privilege']} ON {row['object']} TO {row['role']}"
        revoke = f"REVOKE {row['privilege']} ON {row['object']} FROM {row['role']}"
        found.append(_mutant(row["object"], "no grant", text, revoke))
    for row in await connection.fetch(_NOT_GRANTED, names, roles):
        text = f"GRANT {row['privilege']} ON TABLE {row['table_name']} TO {row['role']}"
        found.append(_mutant(row["table_name"], "no revoke", "", text, added=text))
    found += _foreign_schemas()
    for row in await connection.fetch(_FUNCTIONS, names):
        found += _of_function(row["signature"], row["definition"])
        if row["configured"]:
            reset = f"ALTER FUNCTION {row['signature']} RESET ALL"
            found.append(_mutant(row["signature"], "no setting", "SET …", reset))
    return found


def _foreign_schemas() -> Iterator[Mutant]:
    """Each role in the schema of each other one."""
    for schema in SCHEMAS:
        for role in SCHEMAS.values():
            if role != SCHEMAS[schema]:
                grant = (
                    f"GRANT USAGE ON SCHEMA {schema} TO {role}; "
                    f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}"
                )
                yield _mutant(schema, "no revoke", "", grant, added=grant)
    create = "GRANT CREATE ON SCHEMA public TO PUBLIC"
    yield _mutant("public", "no revoke", "", create, added=create)


def _of_function(signature: str, definition: str) -> Iterator[Mutant]:
    """One for each change of the body; the head stays."""
    seen: Counter[object] = Counter()
    begin = definition.index("$function$") + len("$function$")
    end = definition.rindex("$function$")
    body = definition[begin:end]
    for change in changes(body):
        mutated = body[: change.start] + change.text + body[change.end :]
        removed, added = changed_lines(*around(body, change.start, change.end, change.text))
        apply = (definition[:begin] + mutated + definition[end:]).replace(
            "CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1
        )
        key = (removed, added)
        yield Mutant(
            SCHEMA,
            PATH,
            signature,
            body.count("\n", 0, change.start) + 1,
            change.rule,
            removed=removed,
            added=added,
            apply_sql=apply,
            occurrence=seen[key],
        )
        seen[key] += 1


def _mutant(scope: str, rule: str, removed: str, apply: str, *, added: str = "") -> Mutant:
    return Mutant(
        SCHEMA,
        PATH,
        scope,
        0,
        rule,
        removed=(removed,) if removed else (),
        added=(added,) if added else (),
        apply_sql=apply,
    )
