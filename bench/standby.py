"""What the seal costs when a synchronous standby follows: replays and reads with it, and with the seal taken out.

Guarantee: both contenders run on the same pair of servers, in turn; afterwards the database is as before.
"""

from collections.abc import Awaitable

from bench import load
from bench.load import Load
from bench.measurements import ACCOUNTS, CHARGE, FACTORIES, Bench, ratio, summary
from stack import ports
from stack.ports import LOOPBACK
from stack.standby import Standby, release

# The number at which the price is stated, and one: a single caller waits for each of its answers.
_CONNECTIONS = (64, 1)
# Keys that were charged before, which are all that is asked for.
_KNOWN = 1000
# Charging them takes less.
_WARM_UP_S = 3
_UNSEALED = (
    "CREATE OR REPLACE FUNCTION billing.sealed() RETURNS boolean LANGUAGE sql AS 'SELECT true'"
)
_DEFINITION = "SELECT pg_get_functiondef('billing.sealed'::regproc)"


async def sealing(bench: Bench) -> None:
    """Replays at some numbers of connections, with the seal and without it, while the standby follows."""
    testbed = bench.testbed
    primary = testbed.postgres
    follower = Standby(
        primary,
        f"{LOOPBACK}:{primary.port}",
        testbed.directory / "standby",
        testbed.directory / "standby.log",
        lambda: ports.choose("", None),
    )
    await follower.start()
    try:
        for connections in _CONNECTIONS:
            await _replays(bench, connections)
    finally:
        await release(primary)
        await follower.stop()


async def _replays(bench: Bench, connections: int) -> None:
    async with bench.testbed.owner() as owner:
        definition: str = await owner.fetchval(_DEFINITION)
        first = bench.next_key
        bench.next_key += _KNOWN
        async with bench.testbed.serving(FACTORIES[CHARGE]) as service:
            await _charge(service.url, first)

            async def replays(sql: str) -> Load:
                await owner.execute(sql)
                return await load.run(
                    service.url, "charges.lua", connections, bench.seconds, first, ACCOUNTS, _KNOWN
                )

            def sealed() -> Awaitable[Load]:
                return replays(definition)

            def unsealed() -> Awaitable[Load]:
                return replays(_UNSEALED)

            try:
                runs = await bench.alternate(
                    f"replays with a standby, {connections} connections",
                    {"sealed": sealed, "unsealed": unsealed},
                )
            finally:
                await owner.execute(definition)
        bench.figures[f"replays with a standby at {connections}"] = {
            **{name: summary(each) for name, each in runs.items()},
            "sealed / unsealed": ratio(runs["sealed"], runs["unsealed"]),
        }


async def _charge(url: str, first: int) -> None:
    """Charges each key once, as the load asks for it: what follows are replays."""
    await load.run(url, "charges.lua", _CONNECTIONS[0], _WARM_UP_S, first, ACCOUNTS, _KNOWN)
