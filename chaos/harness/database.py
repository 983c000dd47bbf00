"""Postgres as the steps read and write it: as its owner, past all proxies.

Guarantee: a connection waits while Postgres restarts, for as long as a scenario may last.
"""

from typing import Any

import asyncpg

from chaos.evidence import readings
from chaos.harness.harness import BOUND_S
from stack.waiting import until

# Nothing listens, the server ends while a session begins, or it starts and does not let one in yet.
_AWAY = (OSError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError)


class Database:
    """`owner` is a connection URL."""

    def __init__(self, owner: str) -> None:
        self._owner = owner

    async def connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        """A new connection; the step closes it. Raises `NotSeen` when Postgres accepts none."""

        async def try_once() -> "asyncpg.Connection[asyncpg.Record] | None":
            try:
                return await readings.connect(self._owner)
            except _AWAY:
                return None

        return await until(try_once, BOUND_S, "Postgres accepts connections")

    async def value(self, sql: str, *parameters: Any) -> Any:
        """The first column of the first row of a query; None when it has no row."""
        connection = await self.connect()
        try:
            return await connection.fetchval(sql, *parameters)
        finally:
            await connection.close()
