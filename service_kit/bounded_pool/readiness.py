"""Checks over a connection of its own whether a service can write.

Guarantee: the answer comes within the deadline, under any load; one check runs at a time and concurrent callers share its
answer, so many probes cost the database no more than one.
"""

import asyncio
from collections.abc import Awaitable, Callable
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

if TYPE_CHECKING:
    RawConnection = asyncpg.Connection[asyncpg.Record]
else:
    RawConnection = asyncpg.Connection

# The probe of a load balancer or an orchestrator times out after a few seconds.
_DEADLINE_MAX_S = 2.0

Connect = Callable[[], Awaitable[RawConnection]]
Prepare = Callable[[RawConnection], Awaitable[session.Session]]
Prove = Callable[[RawConnection], Awaitable[None]]


class Readiness:
    """`connect` and `prepare` make its connection in the same way as those of the pool."""

    def __init__(self, connect: Connect, prepare: Prepare) -> None:
        self._connect = connect
        self._prepare = prepare
        self._kept: tuple[RawConnection, session.Session] | None = None
        self._asking: asyncio.Task[str | None] | None = None

    async def missing(self, prove: Prove, deadline_s: float) -> str | None:
        """One sentence that says why the service cannot write, or None when it can."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(prove, deadline_s), name="readiness")
        # When one caller is cancelled, the others still get the answer.
        return await asyncio.shield(self._asking)

    def close(self) -> None:
        """Cancels a running check and closes the connection."""
        if self._asking is not None:
            self._asking.cancel()
        if self._kept is not None:
            self._kept[0].terminate()
            self._kept = None

    async def _ask(self, prove: Prove, deadline_s: float) -> str | None:
        bound_s = min(deadline_s, _DEADLINE_MAX_S)
        try:
            with translated():
                async with asyncio.timeout(bound_s) as bound:
                    await self._prove(prove)
        except (DatabaseTrouble, LockWaitTooLong) as exc:
            return f"no answer within {bound_s:g} s" if bound.expired() else str(exc)
        except asyncpg.PostgresError as exc:
            # The schema does not exist yet, or this role may not write to it.
            return f"{type(exc).__name__}: {exc}"
        return None

    async def _prove(self, prove: Prove) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            try:
                await self._prove_on(*kept, prove)
            except (
                SessionRefused,
                asyncpg.PostgresError,
                asyncpg.InterfaceError,
                asyncpg.InternalClientError,
                OSError,
            ) as exc:
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
