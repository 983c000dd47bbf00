"""Steps of a cloned order_service: a restored virtual machine that runs beside its original, with the same token.

Guarantee: the clone has a copy of its original's tables of that moment, timers of its own, and its own idea of what is
settled; what it withdraws is in the ledger under its orders' ids, which only its own database knows.

Long because both scenarios of a clone, and what is judged of them, are in one file.
"""

import asyncio
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import asyncpg
import httpx

from chaos.evidence.readings import Check
from chaos.faults.control import Rule
from chaos.harness.context import Context
from chaos.harness.harness import BOUND_S
from chaos.steps.observations import is_collected
from chaos.steps.step import PROCESSES, Needs
from stack import environ
from stack.beside import beside
from stack.http_client import http_client
from stack.postgres import binaries
from stack.processes import StackError
from stack.programs import run_to_end
from stack.waiting import until

_ORDERS = 6
_CENTS = 11
_FINAL = ("billed", "declined", "failed", "cancelled", "unknown")


@dataclass
class Clone:
    """The clone that runs: its address, and its database as its owner sees it."""

    url: str
    owner: str


@asynccontextmanager
async def clone_of(context: Context) -> AsyncIterator[Clone]:
    """Copies the original's tables as they are now, and starts a second order_service on the copy."""
    stack = context.services
    name = f"clone_{uuid.uuid4().hex[:12]}"
    original = stack.databases["owner"]
    copy = stack.postgres.url(name)
    await stack.postgres.create_database(name)
    try:
        await _copy(original, copy)
        async with AsyncExitStack() as opened:
            directory = opened.enter_context(tempfile.TemporaryDirectory())
            password = stack.databases["orders"].partition("@")[0]
            where = copy.rpartition("@")[2]
            url = await opened.enter_async_context(
                beside(
                    stack,
                    "order_service",
                    Path(directory) / "clone.log",
                    environ={"ORDER_DATABASE_URL": f"{password}@{where}"},
                )
            )
            clone = Clone(url, copy)
            yield clone
            await _excuse(context, clone)
    finally:
        await stack.postgres.drop_database(name)


async def _copy(original: str, copy: str) -> None:
    """By pg_dump and psql, as a person would copy it."""
    found = environ.of_child()
    with tempfile.NamedTemporaryFile(suffix=".sql") as file:
        for argv in (
            [
                binaries() / "pg_dump",
                f"--dbname={original}",
                "--schema=orders",
                f"--file={file.name}",
            ],
            [
                binaries() / "psql",
                f"--dbname={copy}",
                "--quiet",
                "--set=ON_ERROR_STOP=1",
                f"--file={file.name}",
            ],
        ):
            ended = await run_to_end([str(each) for each in argv], found)
            if ended.return_code != 0:
                raise StackError(f"the database could not be copied: {ended.end(3)}")


async def _excuse(context: Context, clone: Clone) -> None:
    """The clone's orders are in no database that the audit of the run reads: their charges are not held against the run."""
    ids = [
        row["order_id"] for row in await _rows(clone.owner, "SELECT order_id FROM orders.orders")
    ]
    rows = await _rows(
        context.target.owner, "SELECT charge_id FROM billing.ledger WHERE order_id = ANY ($1)", ids
    )
    context.harness.found_before |= {("unexplained", str(row["charge_id"])) for row in rows}


@dataclass(frozen=True)
class OrdersBesideAClone:
    """Original and clone take orders at the same time; then every order of both is final."""

    needs: ClassVar[Needs] = PROCESSES

    async def perform(self, context: Context) -> None:
        account = await context.harness.open_account("clone")
        original = context.target.urls["order_service"]
        async with (
            clone_of(context) as clone,
            http_client(timeout=BOUND_S) as client,
        ):
            answers = await asyncio.gather(
                *(
                    _place(client, url, account, _CENTS + place)
                    for place in range(_ORDERS)
                    for url in (original, clone.url)
                )
            )
            context.witness("both answered every order", seen=all(answers))
            databases = (context.target.owner, clone.owner)
            settled = await context.until(
                lambda: _all_final(databases, account), "every order of both is final"
            )
            orders = [order for url in databases for order in await _orders(url, account)]
            ledger = await _rows(
                context.target.owner,
                "SELECT charge_id::text AS charge_id, order_id, amount_cents FROM billing.ledger WHERE account = $1",
                account,
            )
            alarms = await _alarms(client, original) + await _alarms(client, clone.url)
        keys = [order["sequence_key"] for order in orders]
        context.witness("both handed out the same keys", seen=len(set(keys)) < len(keys))
        _judge(context, orders, ledger, alarms)
        context.checks.append(
            Check(
                "L1",
                "every order of a caller and of its clone has an answer",
                settled,
                "one is pending",
                liveness=True,
            )
        )


@dataclass(frozen=True)
class CloneSettlesPastTheOriginal:
    """While the original's charge was executed and its answer does not arrive, its clone settles later keys and declares them.

    Billing then forgets the key of the order in flight: the caller's retry is refused, and the order ends unknown, with an
    alarm. The money has moved once.
    """

    needs: ClassVar[Needs] = PROCESSES

    async def perform(self, context: Context) -> None:
        account = await context.harness.open_account("clone")
        other = await context.harness.open_account("clone")
        original = context.target.urls["order_service"]
        # The first attempt gets no answer, and the second is sent only when the key is forgotten.
        answer = context.control.hold("order_service", "answer", account, 1)
        retry = context.control.hold("order_service", "attempt", account, 2)
        context.rules |= {"answer": answer, "retry": retry}
        async with (
            clone_of(context) as clone,
            http_client(timeout=BOUND_S) as client,
        ):
            # After the copy: the clone knows nothing of this order.
            placing = asyncio.create_task(_place(client, original, account, _CENTS))
            seen = await context.until(
                lambda: _charged(context, account, retry), "the retry is held"
            )
            context.witness("the charge was executed, and its caller had no answer", seen=seen)
            number = await context.database.value(
                "SELECT sequence_key FROM billing.ledger WHERE account = $1", account
            )
            alarms = await _alarms(client, original)
            for _ in range(3):
                await _place(client, clone.url, other, _CENTS)
            gone = await context.until(
                lambda: is_collected(context, number), "the key in flight is collected"
            )
            context.witness("billing forgot the key while its order was in flight", seen=gone)
            for rule in (answer, retry):
                rule.release()
            final = await context.until(
                lambda: _all_final((context.target.owner,), account), "the order is final"
            )
            await placing
            (order,) = await _orders(context.target.owner, account)
            # The keys that the clone has spent are the original's next ones.
            await _spend(client, original, other, 3)
            counted = await _alarms(client, original) - alarms
        told = f"the order is {order['status']} ({order['reason']})"
        ended = order["status"] == "unknown" and str(order["reason"]).endswith("key-forgotten")
        withdrawn = await context.database.value(
            "SELECT count(*) FROM billing.ledger WHERE account = $1", account
        )
        context.checks += [
            Check(
                "K1",
                "an order whose key a clone declared settled ends unknown, and says why",
                ended,
                told,
            ),
            Check(
                "K1",
                "an order whose key a clone declared settled is counted as an alarm",
                counted > 0,
                "no alarm",
            ),
            Check(
                "X1",
                "an order whose key a clone declared settled is charged once",
                withdrawn == 1,
                f"{withdrawn} charges",
            ),
            Check("L1", "the order has an answer", final, told, liveness=True),
        ]


async def _charged(context: Context, account: str, retry: Rule) -> bool:
    if not retry.reached.is_set():
        return False
    found: bool = await context.database.value(
        "SELECT EXISTS (SELECT FROM billing.ledger WHERE account = $1)", account
    )
    return found


async def _spend(client: httpx.AsyncClient, url: str, account: str, orders: int) -> None:
    for _ in range(orders):
        await _place(client, url, account, _CENTS + 1)


def _judge(
    context: Context, orders: list[asyncpg.Record], ledger: list[asyncpg.Record], alarms: float
) -> None:
    charges = {row["charge_id"]: row for row in ledger}
    foreign = [
        str(order["order_id"])
        for order in orders
        if order["status"] == "billed"
        and (
            (charge := charges.get(str(order["charge_id"]))) is None
            or (charge["order_id"], charge["amount_cents"])
            != (order["order_id"], order["amount_cents"])
        )
    ]
    charged = [row["order_id"] for row in ledger]
    twice = sorted({str(order_id) for order_id in charged if charged.count(order_id) > 1})
    refused = [order for order in orders if order["status"] not in ("billed", "pending")]
    unmoved = {order["order_id"] for order in refused if order["status"] == "failed"}
    silent = [str(order["order_id"]) for order in refused if not order["reason"]]
    charged_all_the_same = sorted(str(each) for each in unmoved.intersection(charged))
    for promise, claim, wrong in (
        ("X4", "no order gets the answer of a clone's order", foreign),
        ("X1", "beside a clone no order is charged twice", twice),
        ("C2", "an order that failed beside a clone was not charged", charged_all_the_same),
        ("K1", "an order that is refused beside a clone says why", silent),
    ):
        context.checks.append(Check(promise, claim, not wrong, ", ".join(wrong)))
    counted = f"{len(refused)} orders were refused, and the alarms count {alarms:g}"
    context.checks.append(
        Check(
            "K1",
            "each order that is refused beside a clone is counted as an alarm",
            alarms >= len(refused),
            counted,
        )
    )
    context.witness("an order was refused", seen=bool(refused))


async def _place(client: httpx.AsyncClient, url: str, account: str, cents: int) -> bool:
    async def answered() -> bool:
        try:
            response = await client.post(
                f"{url}/orders", json={"customer": account, "amount_cents": cents, "item": "book"}
            )
        except httpx.TransportError:
            return False
        return response.status_code != httpx.codes.SERVICE_UNAVAILABLE

    return await until(answered, BOUND_S, "the order is answered")


async def _all_final(databases: tuple[str, ...], account: str) -> bool:
    orders = [order for url in databases for order in await _orders(url, account)]
    return all(order["status"] in _FINAL for order in orders)


async def _orders(owner: str, account: str) -> list[asyncpg.Record]:
    return await _rows(
        owner,
        """
        SELECT order_id, sequence_key, status, amount_cents, answer ->> 'charge_id' AS charge_id,
               coalesce(answer ->> 'type', answer ->> 'detail') AS reason
        FROM orders.orders
        WHERE customer = $1
        """,
        account,
    )


async def _alarms(client: httpx.AsyncClient, url: str) -> float:
    text = (await client.get(f"{url}/metrics")).text
    lines = [line for line in text.splitlines() if line.startswith("order_alarms_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def _rows(owner: str, sql: str, *parameters: Any) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(owner)
    try:
        return await connection.fetch(sql, *parameters)
    finally:
        await connection.close()
