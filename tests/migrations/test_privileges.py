"""What each role may do, to the last privilege: a new one, and one that is gone, are seen here first."""

from typing import Any

import asyncpg

# By role and table: the privileges that it holds, a column's in parentheses behind.
TABLES = {
    "billing_service": {
        "billing.accounts": {"INSERT", "SELECT", "UPDATE (balance_cents)"},
        "billing.clients": {"INSERT", "SELECT", "UPDATE (first_incomplete)"},
        "billing.ledger": {"INSERT", "SELECT"},
        "billing.processed_keys": {
            "DELETE",
            "INSERT",
            "SELECT",
            "UPDATE (body)",
            "UPDATE (status)",
        },
    },
    "notification_service": {"notifications.arrivals": {"INSERT", "SELECT"}},
    "order_service": {
        "orders.attempts": {"INSERT", "SELECT"},
        "orders.orders": {
            "INSERT",
            "SELECT",
            "UPDATE (answer)",
            "UPDATE (attempts)",
            "UPDATE (lease_owner)",
            "UPDATE (lease_until)",
            "UPDATE (notification)",
            "UPDATE (sequence_key)",
            "UPDATE (settled_at)",
            "UPDATE (status)",
        },
        "orders.sequence_counter": {"SELECT", "UPDATE (last_key)"},
    },
}
OTHERS = {
    "billing": {("billing_service", "USAGE")},
    "notifications": {("notification_service", "USAGE")},
    "orders": {("order_service", "USAGE")},
}
# A function whose caller chooses the search path could be made to read another table; a batch must not wait for locks.
SETTINGS = {
    "billing.charge_batch": ["lock_timeout=20ms"],
    "billing.charge_plain": ["lock_timeout=20ms"],
    "billing.refuse": ["search_path=pg_catalog"],
    "billing.sealed": ["search_path=pg_catalog"],
    "notifications.sealed": ["search_path=pg_catalog"],
    "orders.refuse": ["search_path=pg_catalog"],
    "orders.sealed": ["search_path=pg_catalog"],
}

_OF_TABLES = """
    SELECT grantee, object, privilege FROM (
      SELECT relowner, acl.grantee, pg_class.oid::regclass::text AS object, acl.privilege_type AS privilege
      FROM pg_class, aclexplode(relacl) AS acl
      WHERE relnamespace::regnamespace::text = ANY ($1)
      UNION ALL
      SELECT relowner, acl.grantee, attrelid::regclass::text, format('%s (%s)', acl.privilege_type, attname)
      FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid, aclexplode(attacl) AS acl
      WHERE relnamespace::regnamespace::text = ANY ($1)
    ) AS held
    WHERE grantee <> relowner
"""


async def rows(database: Any, sql: str, *arguments: Any) -> list[Any]:
    """Of the catalogue, for the owner."""
    connection = await asyncpg.connect(database.owner)
    try:
        found: list[Any] = await connection.fetch(sql, *arguments)
    finally:
        await connection.close()
    return found


async def test_tables(database: Any) -> None:
    """Each role works on the tables of its own schema, on the columns that it changes, and nothing is open to all roles."""
    held: dict[str, dict[str, set[str]]] = {}
    named = f"SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee) END, object, privilege FROM ({_OF_TABLES}) AS held"
    for role, table, privilege in await rows(database, named, list(OTHERS)):
        held.setdefault(role, {}).setdefault(table, set()).add(privilege)
    assert held == TABLES


async def test_schemas(database: Any) -> None:
    """Each role enters its own, and none may create anything, neither there nor in the schema public."""
    found = await rows(
        database,
        """
        SELECT nspname, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee) END AS role, privilege_type
        FROM pg_namespace, aclexplode(nspacl)
        WHERE (nspname = ANY ($1) OR nspname = 'public') AND grantee <> nspowner
        """,
        list(OTHERS),
    )
    held: dict[str, set[tuple[str, str]]] = {}
    for schema, role, privilege in found:
        held.setdefault(schema, set()).add((role, privilege))
    assert held == {**OTHERS, "public": {("PUBLIC", "USAGE")}}


async def test_functions(database: Any) -> None:
    """They carry settings of their own where a caller's would change what they do."""
    found = await rows(
        database,
        """
        SELECT format('%s.%s', pronamespace::regnamespace, proname) AS name, proconfig
        FROM pg_proc
        WHERE pronamespace::regnamespace::text = ANY ($1) AND proconfig IS NOT NULL
        """,
        list(OTHERS),
    )
    assert {row["name"]: row["proconfig"] for row in found} == SETTINGS
