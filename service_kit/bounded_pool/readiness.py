"""Checks over a connection of its own whether a service can write.

Guarantee: the answer comes within the deadline, under any load; one check runs at a time and concurrent callers share its
answer, so many probes cost the database no more than one. However long a synchronous standby is silent, no more than one
session of the check waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import asyncpg

from service_kit.bounded_pool import session
from service_kit.bounded_pool.errors import (
    DatabaseTrouble,
    LockWaitTooLong,
    SessionRefused,
    ends_session,
    translated,
)
from service_kit.bounded_pool.warnings import Warnings

if TYPE_CHECKING:
    RawConnection = asyncpg.Connection[asyncpg.Record]
else:
    RawConnection = asyncpg.Connection

# The probe of a load balancer or an orchestrator times out after a few seconds.
_DEADLINE_MAX_S = 2.0

STANDBY_SILENT = "the standby does not confirm"

Connect = Callable[[], Awaitable[RawConnection]]
Prepare = Callable[[RawConnection], Awaitable[session.Session]]
Prove = Callable[[RawConnection], Awaitable[None]]


# What ends a session, and what a statement on it raises.
_OVER = (
    DatabaseTrouble,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)


class Readiness:
    """`connect` and `prepare` make its connection in the same way as those of the pool."""

    def __init__(self, connect: Connect, prepare: Prepare) -> None:
        self._connect = connect
        self._prepare = prepare
        self._kept: tuple[RawConnection, session.Session] | None = None
        # A confirmation that is still awaited, and its connection. Nothing may end it: its session waits in the server for the
        # standby, whether a client listens or not, and every further one would wait beside it.
        self._unconfirmed: tuple[RawConnection, session.Session, asyncio.Task[None]] | None = None
        self._asking: asyncio.Task[str | None] | None = None

    async def missing(self, prove: Prove, confirm: Prove | None, deadline_s: float) -> str | None:
        """One sentence that says why the service cannot write, or None when it can."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(
                self._ask(prove, confirm, deadline_s), name="readiness"
            )
        # When one caller is cancelled, the others still get the answer.
        return await asyncio.shield(self._asking)

    def close(self) -> None:
        """Cancels a running check and closes the connections."""
        if self._asking is not None:
            self._asking.cancel()
        self._forget_unconfirmed()
        if self._kept is not None:
            self._kept[0].terminate()
            self._kept = None

    async def _ask(self, prove: Prove, confirm: Prove | None, deadline_s: float) -> str | None:
        bound_s = min(deadline_s, _DEADLINE_MAX_S)
        try:
            with translated():
                async with asyncio.timeout(bound_s) as bound:
                    if await self._still_unconfirmed():
                        return STANDBY_SILENT
                    await self._prove(prove)
                    if confirm is not None and not await self._confirm(confirm, bound_s):
                        return STANDBY_SILENT
        except (DatabaseTrouble, LockWaitTooLong) as exc:
            return f"no answer within {bound_s:g} s" if bound.expired() else str(exc)
        except asyncpg.PostgresError as exc:
            # The schema does not exist yet, or this role may not write to it.
            return f"{type(exc).__name__}: {exc}"
        return None

    async def _confirm(self, confirm: Prove, bound_s: float) -> bool:
        """Whether the standby confirms in half of the bound; else the confirmation stays under way."""
        if self._kept is None:
            raise RuntimeError("the connection that was proved is not there")
        (connection, prepared), self._kept = self._kept, None

        async def confirming() -> None:
            warnings = Warnings()
            connection.add_log_listener(warnings.hear)
            await confirm(connection)
            connection.remove_log_listener(warnings.hear)
            warnings.raise_if_any()

        task = asyncio.create_task(confirming(), name="readiness: the standby confirms")
        self._unconfirmed = connection, prepared, task
        await asyncio.wait((task,), timeout=bound_s / 2)
        if not task.done():
            return False
        self._settle_unconfirmed()
        return True

    async def _still_unconfirmed(self) -> bool:
        """Whether an earlier confirmation still waits for the standby, as a session of the server that is primary now says."""
        if self._unconfirmed is None:
            return False
        _, prepared, task = self._unconfirmed
        if not task.done():
            # The server of the unconfirmed session may be gone without a word, and another one be primary.
            try:
                beside = await self._connect()
            except asyncpg.TooManyConnectionsError:
                # The role's other sessions wait for the standby, too.
                return True
            try:
                waits = await beside.fetchval(
                    "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'SyncRep'",
                    prepared.backend_pid,
                )
            finally:
                beside.terminate()
            if waits and not task.done():
                return True
        if task.done():
            with suppress(*_OVER):
                self._settle_unconfirmed()
        self._forget_unconfirmed()
        return False

    def _settle_unconfirmed(self) -> None:
        """Keeps the connection of a confirmation that has come. Raises what the confirmation raised."""
        if self._unconfirmed is None:
            return
        connection, prepared, task = self._unconfirmed
        self._unconfirmed = None
        try:
            task.result()
        except BaseException:
            connection.terminate()
            raise
        self._kept = connection, prepared

    def _forget_unconfirmed(self) -> None:
        if self._unconfirmed is not None:
            connection, _, task = self._unconfirmed
            self._unconfirmed = None
            # First the socket: cancelling the task alone would have asyncpg send a cancel request.
            connection.terminate()
            task.cancel()

    async def _prove(self, prove: Prove) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            try:
                await self._prove_on(*kept, prove)
            except _OVER as exc:
                if not (isinstance(exc, SessionRefused) or ends_session(exc)):
                    raise
                # The kept connection may be stale, and the server another one by now: a new connection decides.
            else:
                self._kept = kept
                return
        connection = await self._connect()
        try:
            prepared = await self._prepare(connection)
        except BaseException:
            connection.terminate()
            raise
        await self._prove_on(connection, prepared, prove)
        self._kept = connection, prepared

    async def _prove_on(
        self, connection: RawConnection, prepared: session.Session, prove: Prove
    ) -> None:
        try:
            await session.verify(connection, prepared)
            await prove(connection)
        except BaseException:
            connection.terminate()
            raise
