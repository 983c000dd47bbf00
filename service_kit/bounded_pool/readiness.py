"""Asks over a connection of its own whether a service can write.

Guarantee: the answer comes within the deadline, under any load; one question runs at a time, and all callers that come
meanwhile share its answer, so that probes cost the database no more when they are many.
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

# Whoever asks has little patience: a balancer's or an orchestrator's probe gives up after a few seconds.
_DEADLINE_MAX_S = 2.0

Connect = Callable[[], Awaitable[RawConnection]]
Prepare = Callable[[RawConnection], Awaitable[session.Session]]
Prove = Callable[[RawConnection], Awaitable[None]]


class Readiness:
    """`connect` and `prepare` make the connection as the pool makes its own."""

    def __init__(self, connect: Connect, prepare: Prepare) -> None:
        self._connect = connect
        self._prepare = prepare
        self._kept: tuple[RawConnection, session.Session] | None = None
        self._asking: asyncio.Task[str | None] | None = None

    async def missing(self, prove: Prove, deadline_s: float) -> str | None:
        """One sentence that says why the service cannot write, or None when it can."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(prove, deadline_s), name="readiness")
        # A caller that leaves does not take the answer away from the others.
        return await asyncio.shield(self._asking)

    def close(self) -> None:
        """Ends a question that is under way, and the connection."""
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
            # The schema is not there yet, or this role may not write to it.
            return f"{type(exc).__name__}: {exc}"
        return None

    async def _prove(self, prove: Prove) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            try:
                await self._prove_on(*kept, prove)
            except (SessionRefused, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as exc:
                if not (isinstance(exc, SessionRefused) or ends_session(exc)):
                    raise
                # It was kept for long and the server may be another one by now: a new connection decides.
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
