"""Holds charges at a point of their transaction, through Postgres: no service knows, nothing in the image is needed.

Guarantee: a paused charge was found in Postgres's own list of waiting locks; after the block nothing is held
and the schema is as before.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from chaos.compose.deployment import Connection, Deployment
from chaos.faults.account_lock import AccountLock

Where = Literal["before execution", "inside commit"]

# A charge waits for as long as its process needs to be killed, whatever lock_timeout the service has set.
_FUNCTION = """
    CREATE FUNCTION billing.compose_pause() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '60s' AS
    $$ BEGIN PERFORM pg_advisory_xact_lock(471148, 0); RETURN NEW; END $$
"""
_BEFORE_EXECUTION = """
    CREATE TRIGGER compose_pause BEFORE INSERT ON billing.processed_keys
    FOR EACH ROW EXECUTE FUNCTION billing.compose_pause()
"""
_INSIDE_COMMIT = """
    CREATE CONSTRAINT TRIGGER compose_pause AFTER INSERT ON billing.ledger
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing.compose_pause()
"""
_WAITING = """
    SELECT EXISTS (SELECT FROM pg_locks WHERE classid = 471148 AND objid = 0 AND NOT granted)
"""


class Pause:
    """`reached` returns when a charge is paused; `resume` lets it and all later ones go on."""

    def __init__(
        self, deployment: Deployment, connection: Connection, account_lock: AccountLock | None
    ) -> None:
        self._deployment = deployment
        self._connection = connection
        self._account_lock = account_lock

    async def reached(self) -> None:
        """Raises `StackError` when no charge comes."""

        if self._account_lock is not None:
            await self._deployment.until(
                "a charge waits for its account", self._account_lock.is_waited_for
            )
            await self._account_lock.release()
            self._account_lock = None

        async def waiting() -> bool:
            return bool(await self._connection.fetchval(_WAITING))

        await self._deployment.until("a charge is paused in Postgres", waiting)

    async def resume(self) -> None:
        """Drops the trigger after the paused transactions have ended."""
        await self._connection.execute("SELECT pg_advisory_unlock_all()")
        await self._connection.execute("DROP FUNCTION IF EXISTS billing.compose_pause() CASCADE")


@asynccontextmanager
async def paused(deployment: Deployment, where: Where, account: str) -> AsyncIterator[Pause]:
    """Every charge pauses there for the length of the block, or until `resume`; `account` is whose charge comes first."""
    connection, beside = await deployment.connected(), await deployment.connected()
    try:
        await connection.execute(_FUNCTION)
        await connection.execute(_INSIDE_COMMIT if where == "inside commit" else _BEFORE_EXECUTION)
        await connection.execute("SELECT pg_advisory_lock(471148, 0)")
        account_lock = None
        if where == "before execution":
            # A charge on the fast path is one message that commits itself, whether its process lives or not. One whose account a
            # transaction of the harness locks takes a transaction, whose end is a message of its own; a process that
            # dies before that message has executed nothing.
            account_lock = AccountLock(beside)
            await account_lock.take(account)
        pause = Pause(deployment, connection, account_lock)
        try:
            yield pause
        finally:
            await pause.resume()
    finally:
        await beside.close()
        await connection.close()
