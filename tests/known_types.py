"""Types that asyncpg has asked Postgres about are known to all connections of this process.

asyncpg asks anew on each connection that has an array as a parameter. That takes ten milliseconds of processor time, twice what the
connection itself takes, and tests open thousands.

Guarantee: only types that Postgres brings are shared. Their object ids are below 16,384, and the same in each database.
"""

from types import SimpleNamespace
from typing import Any

import asyncpg

_FIRST_OWN_OID = 16_384


def share() -> None:
    """From now on, for all connections."""
    # Private to asyncpg, and pinned with it: nothing public lends what it has learned to another connection.
    connections: Any = asyncpg.Connection
    ask = connections._introspect_types
    known: dict[frozenset[int], Any] = {}

    async def introspect_types(connection: Any, oids: Any, timeout: Any) -> Any:
        asked = frozenset(oids)
        if asked in known:
            # No anonymous statement was executed, so none has to be prepared again: the name says so.
            return known[asked], SimpleNamespace(name="none")
        types, statement = await ask(connection, oids, timeout)
        if all(row["oid"] < _FIRST_OWN_OID for row in types):
            known[asked] = types
        return types, statement

    connections._introspect_types = introspect_types
