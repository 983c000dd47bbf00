"""Steps that query a database over a proxy, to observe what the services get there.

Guarantee: no step here changes the fault; what is not seen becomes a missing witness and never an exception.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlsplit

import asyncpg

from chaos.evidence.readings import connect
from chaos.harness.context import Context
from chaos.steps.step import PROCESSES, Needs

# One after the other; enough that a busy machine cannot make all of them late.
_QUERIES = 5
# Far longer than a new connection takes.
_SILENCE_S = 1.0
# What a query ends with when there is no database behind the proxy, or the connection breaks.
_BROKEN = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


@dataclass(frozen=True)
class ExpectSlowAnswers:
    """Witnesses that every query over this proxy takes at least `latency_ms`."""

    needs: ClassVar[Needs] = PROCESSES
    proxy: str
    latency_ms: int

    async def perform(self, context: Context) -> None:
        claim = f"no answer of {self.proxy} came within {self.latency_ms} ms"
        try:
            # The fastest one: a busy machine delays some answers, but not every one of them by this much.
            fastest_ms = 1000 * min(await _times_s(await _over(context, self.proxy)))
        except _BROKEN as exc:
            context.witness(claim, seen=False, instead=f"no answer at all: {type(exc).__name__}")
            return
        context.witness(
            claim,
            seen=fastest_ms >= self.latency_ms,
            instead=f"one came after {fastest_ms:.0f} ms",
        )


@dataclass(frozen=True)
class ExpectSilence:
    """Witnesses that a query over this proxy gets no answer. It runs before healing, which would break the connection."""

    needs: ClassVar[Needs] = PROCESSES
    proxy: str

    async def perform(self, context: Context) -> None:
        url = await _over(context, self.proxy)
        seen = False
        try:
            async with asyncio.timeout(_SILENCE_S):
                connection = await connect(url)
            await connection.close()
        except TimeoutError:
            seen = True
        except _BROKEN:
            pass
        context.witness(f"{self.proxy} said nothing for {_SILENCE_S:g} s", seen=seen)


async def _times_s(url: str) -> list[float]:
    """How long each of some queries takes, over one connection."""
    connection = await connect(url)
    took_s = []
    try:
        for _ in range(_QUERIES):
            since_s = time.monotonic()
            await connection.fetchval("SELECT 1")
            took_s.append(time.monotonic() - since_s)
    finally:
        await connection.close()
    return took_s


async def _over(context: Context, proxy: str) -> str:
    """The owner's connection URL, by way of a proxy."""
    listen = (await context.network.proxies())[proxy].listen
    owner = urlsplit(context.target.owner)
    user = owner.netloc.rpartition("@")[0]
    return owner._replace(netloc=f"{user}@{listen}").geturl()
