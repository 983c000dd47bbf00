"""The measurements, each a function from the testbed to its figures; figures that are compared come from one run.

Guarantee: a compared figure is a median of `rounds`; contenders alternate, so a slow phase of the machine affects all of
them; after each measurement the account balances are audited, and one unexplained cent ends the bench.

Long because every figure of the README is measured here: contenders, rounds and audit are the same for all of them.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

from bench import load
from bench.load import Load
from bench.testbed import Service, Testbed
from stack import ports
from stack.environ import of_child
from stack.http_client import http_client
from stack.postgres import binaries
from stack.programs import run_to_end

ACCOUNTS = 1000
# High enough that no account runs empty: a decline costs less than a charge.
_OPENING_CENTS = 1_000_000_000_000
# More than one run can send, so no two runs share a key.
_KEYS_OF_A_RUN = 1_000_000
_CONNECTIONS = (1, 32, 128)
_USUAL = 32
_WARM_UP_S = 2
# Short compared with a drain, which takes seconds.
_LOOK_S = 0.25

# The typical baselines keep the names that older figures have.
NOTHING, UNPROTECTED, CHARGE = "nothing", "unprotected", "charge"
FAIR_NOTHING, FAIR_UNPROTECTED = "fair nothing", "fair unprotected"
FACTORIES = {
    NOTHING: "bench.baselines:nothing",
    FAIR_NOTHING: "bench.baselines:fair_nothing",
    UNPROTECTED: "bench.baselines:unprotected",
    FAIR_UNPROTECTED: "bench.baselines:fair_unprotected",
    CHARGE: "billing_service.app:create",
}
Say = Callable[[str], None]


class Unexplained(Exception):
    """The money does not add up, so no figure of this run counts."""


@dataclass
class Bench:
    """What all measurements share: the testbed, the number and length of runs, and the next unused key."""

    testbed: Testbed
    rounds: int
    seconds: int
    say: Say
    next_key: int = 1
    figures: dict[str, Any] = field(default_factory=dict)

    async def charges(
        self, service: Service, connections: int, *, accounts: int = ACCOUNTS, seconds: int = 0
    ) -> Load:
        """New charges, each under a key of its own."""
        first, self.next_key = self.next_key, self.next_key + _KEYS_OF_A_RUN
        return await load.run(
            service.url, "charges.lua", connections, seconds or self.seconds, first, accounts, 0
        )

    async def alternate(
        self, title: str, contenders: Mapping[str, Callable[[], Awaitable[Load]]]
    ) -> dict[str, list[Load]]:
        """Runs each contender once per round."""
        runs: dict[str, list[Load]] = {name: [] for name in contenders}
        for number in range(1, self.rounds + 1):
            for name, measure in contenders.items():
                runs[name].append(await measure())
            row = ", ".join(f"{name} {each[-1].per_second:,.0f}/s" for name, each in runs.items())
            self.say(f"{title}, round {number} of {self.rounds}: {row}")
        return runs


def summary(runs: list[Load]) -> dict[str, float]:
    """Medians over the rounds."""
    return {
        "per_second": round(median(run.per_second for run in runs), 1),
        "p50_ms": round(median(run.p50_ms for run in runs), 3),
        "p99_ms": round(median(run.p99_ms for run in runs), 3),
    }


def ratio(one: list[Load], other: list[Load]) -> float:
    """The median of the ratios of throughput, round by round."""
    pairs = zip(one, other, strict=True)
    return round(median(a.per_second / b.per_second for a, b in pairs), 3)


def latency_ratio(one: list[Load], other: list[Load]) -> float:
    """The median of the ratios of median latency, round by round."""
    pairs = zip(one, other, strict=True)
    return round(median(a.p50_ms / b.p50_ms for a, b in pairs), 3)


async def open_accounts(testbed: Testbed) -> None:
    async with testbed.owner() as owner:
        await owner.execute(
            """
            INSERT INTO billing.accounts (account, opening_balance_cents, balance_cents)
            SELECT 'account' || number, $1, $1 FROM generate_series(0, $2 - 1) AS number
            """,
            _OPENING_CENTS,
            ACCOUNTS,
        )


async def audit(testbed: Testbed) -> None:
    """Raises `Unexplained` unless each key moved money once and each cent is in the ledger."""
    async with testbed.owner() as owner:
        row = await owner.fetchrow(
            """
            SELECT (SELECT sum(opening_balance_cents - balance_cents) FROM billing.accounts),
                   (SELECT coalesce(sum(amount_cents), 0) FROM billing.ledger),
                   (SELECT count(DISTINCT (client, sequence_key)) FROM billing.ledger WHERE client <> 'unprotected'),
                   (SELECT count(*) FROM billing.ledger WHERE client <> 'unprotected')
            """
        )
    moved, written, keys, charges = row or (0, 0, 0, 1)
    if moved != written or keys != charges:
        raise Unexplained(
            f"{moved} cents moved, {written} written; {charges} charges of {keys} keys"
        )


async def charging(bench: Bench) -> None:
    """(a), (b) and (c): endpoints that do nothing and unprotected charges, typical and fair, and the exactly-once charge."""
    async with AsyncExitStack() as services:
        running = {
            name: await services.enter_async_context(bench.testbed.serving(factory))
            for name, factory in FACTORIES.items()
        }
        for service in running.values():
            await bench.charges(service, _USUAL, seconds=_WARM_UP_S)
        for connections in _CONNECTIONS:
            runs = await bench.alternate(
                f"charges, {connections} connections",
                {
                    name: partial(bench.charges, service, connections)
                    for name, service in running.items()
                },
            )
            bench.figures[f"charges at {connections}"] = charge_figures(runs)
        bench.figures["floor"] = await _pgbench(bench)
        await audit(bench.testbed)


def charge_figures(runs: Mapping[str, list[Load]]) -> dict[str, Any]:
    """Each contender's medians, and the charge compared with each baseline."""
    charge = runs[CHARGE]
    return {
        **{name: summary(each) for name, each in runs.items()},
        **{
            f"{CHARGE} / {name}": ratio(charge, runs[name])
            for name in (NOTHING, FAIR_NOTHING, UNPROTECTED, FAIR_UNPROTECTED)
        },
        **{
            f"median latency, {CHARGE} / {name}": latency_ratio(charge, runs[name])
            for name in (UNPROTECTED, FAIR_UNPROTECTED)
        },
    }


async def repeating(bench: Bench) -> None:
    """(d) and (e): the charge against replays of known keys, and against charges of one single account."""
    known = 1000
    async with bench.testbed.serving(FACTORIES[CHARGE]) as service:
        first, bench.next_key = bench.next_key, bench.next_key + _KEYS_OF_A_RUN

        def replays(seconds: int) -> Awaitable[Load]:
            return load.run(service.url, "charges.lua", _USUAL, seconds, first, ACCOUNTS, known)

        await replays(_WARM_UP_S)
        runs = await bench.alternate(
            f"replays and a hot account, {_USUAL} connections",
            {
                CHARGE: lambda: bench.charges(service, _USUAL),
                "replay": lambda: replays(bench.seconds),
                "one account": lambda: bench.charges(service, _USUAL, accounts=1),
            },
        )
    bench.figures["replays and a hot account"] = {
        **{name: summary(each) for name, each in runs.items()},
        "replay / charge": ratio(runs["replay"], runs[CHARGE]),
        "one account / charge": ratio(runs["one account"], runs[CHARGE]),
    }
    await audit(bench.testbed)


async def ordering(bench: Bench) -> None:
    """(f): POST /orders from end to end against a chain of three services that do nothing, over the same transport."""
    async with (
        _chain(
            bench.testbed,
            "bench.baselines:chain",
            FACTORIES[NOTHING],
            "bench.baselines:silent_notification",
        ) as idle,
        _chain(
            bench.testbed,
            "order_service.app:create",
            FACTORIES[CHARGE],
            "notification_service.app:create",
        ) as real,
    ):

        def orders(service: Service, seconds: int) -> Awaitable[Load]:
            return load.run(service.url, "orders.lua", _USUAL, seconds, ACCOUNTS)

        for chain in (idle, real):
            await orders(chain["order"], _WARM_UP_S)
        runs = await bench.alternate(
            f"orders from end to end, {_USUAL} connections",
            {
                "three that do nothing": lambda: orders(idle["order"], bench.seconds),
                "orders": lambda: orders(real["order"], bench.seconds),
            },
        )
        bench.figures["memory after orders, MiB"] = {
            name: round(service.memory_mib()) for name, service in real.items()
        }
    bench.figures["orders from end to end"] = {
        **{name: summary(each) for name, each in runs.items()},
        "orders / three that do nothing": ratio(runs["orders"], runs["three that do nothing"]),
    }
    await audit(bench.testbed)
    await draining(bench)


async def history(bench: Bench) -> None:
    """(g): charges with none, one and five million processed keys in the table, each in a database of its own."""
    async with AsyncExitStack() as services:
        contenders: dict[str, Callable[[], Awaitable[Load]]] = {}
        for millions in (0, 1, 5):
            bench.say(f"filling a table with {millions} million processed keys")
            testbed = await bench.testbed.clone(f"history{millions}")
            await open_accounts(testbed)
            await _fill(testbed, millions * 1_000_000)
            service = await services.enter_async_context(testbed.serving(FACTORIES[CHARGE]))
            # Above every key that is there.
            bench.next_key = max(bench.next_key, 100_000_000)
            await bench.charges(service, _USUAL, seconds=_WARM_UP_S)
            contenders[f"{millions} million"] = partial(bench.charges, service, _USUAL)
        runs = await bench.alternate(f"history, {_USUAL} connections", contenders)
    names = list(contenders)
    bench.figures["processed keys in the table"] = {
        **{name: summary(each) for name, each in runs.items()},
        **{f"{name} / {names[0]}": ratio(runs[name], runs[names[0]]) for name in names[1:]},
    }


async def draining(bench: Bench) -> None:
    """(h): how fast orders settle that were pending when billing came back, and how many attempts that takes."""
    wanted = 5_000
    with ports.listen("", None) as listener:
        billing_url = ports.url_of(listener)
    port = int(billing_url.rpartition(":")[2])
    environ = {
        "ORDER_BILLING_URL": billing_url,
        "ORDER_WAIT_BUDGET_S": "0.001",
        "ORDER_WINDOW_MAX": str(wanted),
    }
    async with bench.testbed.serving("notification_service.app:create") as notification:
        environ["ORDER_NOTIFICATION_URL"] = notification.url
        async with bench.testbed.serving("order_service.app:create", environ) as orders:
            await _place(orders.url, wanted)
            async with bench.testbed.owner() as owner:
                pending = "SELECT count(*) FROM orders.orders WHERE status = 'pending'"
                if await owner.fetchval(pending) != wanted:
                    raise Unexplained("not all orders are pending although billing is gone")
                begun = "SELECT sum(attempts) FROM orders.orders"
                before = await owner.fetchval(begun)
                clock = asyncio.get_running_loop().time
                async with bench.testbed.serving(FACTORIES[CHARGE], port=port):
                    since_s = clock()
                    async with asyncio.timeout(600):
                        while left := await owner.fetchval(pending):
                            await asyncio.sleep(_LOOK_S)
                            bench.say(f"drain: {left} orders are left")
                    seconds = clock() - since_s
                attempts = await owner.fetchval(begun) - before
    per_second = wanted / seconds
    orders_per_second = bench.figures["orders from end to end"]["orders"]["per_second"]
    bench.figures["drain"] = {
        "orders": wanted,
        "seconds": round(seconds, 2),
        "per_second": round(per_second, 1),
        "attempts / orders": round(attempts / wanted, 3),
        "drain / orders from end to end": round(per_second / orders_per_second, 3),
    }
    await audit(bench.testbed)


async def lasting(bench: Bench, charges: int) -> None:
    """(i): the memory of billing over a million charges."""
    rows = []
    async with bench.testbed.serving(FACTORIES[CHARGE]) as service:
        done = 0
        while done < charges:
            run = await bench.charges(service, _USUAL, seconds=20)
            done += run.requests
            rows.append([done, round(service.memory_mib(), 1)])
            bench.say(f"memory after {done:,} charges: {rows[-1][1]} MiB")
    bench.figures["memory of billing over charges, MiB"] = rows
    await audit(bench.testbed)


@asynccontextmanager
async def _chain(
    testbed: Testbed, order: str, billing: str, notification: str
) -> AsyncIterator[dict[str, Service]]:
    async with testbed.serving(billing) as charges, testbed.serving(notification) as messages:
        environ = {"ORDER_BILLING_URL": charges.url, "ORDER_NOTIFICATION_URL": messages.url}
        async with testbed.serving(order, environ) as orders:
            yield {"order": orders, "billing": charges, "notification": messages}


async def _place(url: str, orders: int) -> None:
    """Places orders, a few at a time; each must be accepted."""
    under_way = asyncio.Semaphore(_USUAL)
    async with http_client(base_url=url, timeout=60) as client:

        async def place(number: int) -> int:
            body = {"customer": f"account{number % ACCOUNTS}", "amount_cents": 1, "item": "book"}
            async with under_way:
                return (await client.post("/orders", json=body)).status_code

        statuses = set(await asyncio.gather(*map(place, range(orders))))
    if statuses != {202}:
        raise Unexplained(f"orders without billing were answered {statuses}")


async def _fill(testbed: Testbed, keys: int) -> None:
    async with testbed.owner() as owner:
        await owner.execute(
            """
            INSERT INTO billing.processed_keys (client, sequence_key, fingerprint, status, body)
            SELECT 'order_service', number, sha256(number::text::bytea), 201,
                   format('{"charge_id":"%s","order_id":"%s","account":"account%s","amount_cents":1,"balance_cents":%s}',
                          gen_random_uuid(), gen_random_uuid(), number % 1000, number)
            FROM generate_series(1, $1::bigint) AS number
            """,
            keys,
            timeout=1200,
        )
        await owner.execute("VACUUM (ANALYZE, FREEZE) billing.processed_keys", timeout=1200)
        await owner.execute("CHECKPOINT", timeout=1200)


async def _pgbench(bench: Bench) -> dict[str, float]:
    """The unprotected statement without any service: what Postgres itself can do here, by its own tool."""
    script = bench.testbed.directory / "withdraw.sql"
    script.write_text(
        "\\set number random(0, 999)\n"
        "WITH withdrawn AS (UPDATE billing.accounts SET balance_cents = balance_cents - 1 "
        "WHERE account = 'account' || :number RETURNING account, balance_cents) "
        "INSERT INTO billing.ledger (client, sequence_key, order_id, account, amount_cents, balance_cents) "
        "SELECT 'unprotected', 0, gen_random_uuid(), account, 1, balance_cents FROM withdrawn;\n",
        encoding="utf-8",
    )
    argv = ["--no-vacuum", "--protocol=prepared", f"--client={_USUAL}", "--jobs=1"]
    ended = await run_to_end(
        [
            str(binaries() / "pgbench"),
            *argv,
            f"--time={bench.seconds}",
            f"--file={script}",
            bench.testbed.owner_url,
        ],
        of_child(),
    )
    for line in ended.output.splitlines():
        if line.startswith("tps = "):
            return {"pgbench, the unprotected statement at 32, per second": float(line.split()[2])}
    raise load.LoadFailed(f"pgbench said: {ended.output}")
