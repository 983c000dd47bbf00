"""A connection that knows the types that another one of this process has asked Postgres about.

asyncpg asks for the structure of each array type that a statement has as a parameter, and on each connection anew. That takes ten
milliseconds of processor time at both ends, twice what the connection itself takes; after a failover all connections are new.

Guarantee: only types that Postgres brings are remembered. Their object ids are below 16,384 (FirstNormalObjectId in Postgres's
access/transam.h) and the same in each database and on each server.
"""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import asyncpg

if TYPE_CHECKING:
    _Connection = asyncpg.Connection[asyncpg.Record]
else:
    _Connection = asyncpg.Connection

_FIRST_OWN_OID = 16_384
# asyncpg would prepare a statement without a name again, if the question had none either. No question was asked.
_NOT_ASKED = SimpleNamespace(name="none")


class InformedConnection(_Connection):
    """What asyncpg's pool and `asyncpg.connect` may make in the place of their own class."""

    _known: ClassVar[dict[frozenset[int], Any]] = {}

    # Private to asyncpg, which is pinned: nothing public lends what one connection has learned to another.
    async def _introspect_types(self, typeoids: Iterable[int], timeout: float | None) -> Any:
        asked = frozenset(typeoids)
        if asked in self._known:
            return self._known[asked], _NOT_ASKED
        ask: Any = super()._introspect_types  # type: ignore[misc]
        types, statement = await ask(typeoids, timeout)
        if all(row["oid"] < _FIRST_OWN_OID for row in types):
            self._known[asked] = types
        return types, statement
