"""The soak: rounds of concurrent orders under random faults, each one healed, settled and judged.

Guarantee: a round passes only when each of its strikes was witnessed, when every order that was accepted is billed
once, and when the audit of the whole database finds nothing.
"""

import asyncio
import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from chaos.evidence.readings import Evidence, Witness, connect
from chaos.harness.context import Context, Placed
from chaos.harness.harness import BOUND_S, Harness
from chaos.promises.audit import audit
from chaos.promises.catalogue import Finding
from chaos.promises.verdict import Verdict, findings, judge
from chaos.runner.run import WRAPPED, open_harness
from chaos.runner.whole import findings_of_audit
from chaos.soak.plan import REPLICAS, TOXICS, Plan, Strike
from chaos.steps.processes import stopped
from order_service.wire import Delivery, Status
from stack.servers import LentServers
from stack.toxics import ToxiproxyError
from stack.waiting import NotSeen, until

# Of the services, so that a round takes seconds and the faults still outlast attempts. The retry budget stays the usual one:
# without it, retries on a busy machine cost more than it can do within an attempt's deadline, so that no order is settled
# after the end of a fault either (a metastable failure: Bronson et al., HotOS 2021).
ENVIRONMENT: Mapping[str, str] = {
    "ORDER_WAIT_BUDGET_S": "1",
    "ORDER_ATTEMPT_TIMEOUT_S": "1",
    "ORDER_TRANSACTION_TIMEOUT_S": "1",
    "ORDER_BACKOFF_BASE_S": "0.02",
    "ORDER_BACKOFF_CAP_S": "0.2",
    "ORDER_LEASE_S": "2.5",
    "ORDER_TAKEOVER_POLL_S": "0.2",
    "BILLING_TRANSACTION_TIMEOUT_S": "1",
    "BILLING_LOCK_TIMEOUT_S": "0.3",
    "BILLING_IDLE_IN_TRANSACTION_TIMEOUT_S": "1",
    "BILLING_FORGET_PAUSE_S": "0.1",
}
CUSTOMERS = 8
# Every fourth order is of the same customer: these orders queue for one account.
HOT_EVERY = 4


@dataclass(frozen=True)
class Round:
    """What came out of a plan."""

    plan: Plan
    verdict: Verdict
    witnesses: Sequence[Witness]
    findings: Sequence[Finding]
    accepted: int
    attempts: int
    seconds: float

    @property
    def broken(self) -> Sequence[Finding]:
        """The promises that were not kept."""
        return [finding for finding in self.findings if not finding.kept]


def open_soak(
    run_dir: Path, servers: LentServers, factories: Mapping[str, str] | None = None
) -> AbstractAsyncContextManager[Harness]:
    """A stack for rounds: two processes of each service, short deadlines."""
    return open_harness(
        run_dir,
        lambda _: None,
        usual_ports=False,
        factories={**WRAPPED, **(factories or {})},
        replicas=REPLICAS,
        environ=ENVIRONMENT,
        servers=servers,
    )


async def play_round(harness: Harness, plan: Plan) -> Round:
    """One round from a quiet stack to its verdict."""
    started_s = time.monotonic()
    await harness.all_ready()
    context = Context(harness, Delivery.EXACTLY_ONCE)
    accounts = await asyncio.gather(
        *(harness.open_account("soak") for _ in range(plan.orders - plan.orders // HOT_EVERY)),
        harness.open_account("hot"),
    )
    running = _Running(context, plan, accounts[:-1], accounts[-1])
    try:
        await running.place_orders()
    finally:
        await running.heal()
    # Before anything is asked of a process: one that is not ready any more would not answer.
    work = await harness.background.judge("a round", await harness.background.rounds())
    evidence = await running.collect()
    found = [*findings(evidence, None), *await _audited(harness), *([work] if work else [])]
    return Round(
        plan,
        judge(evidence.witnesses, found),
        evidence.witnesses,
        found,
        sum(order.accepted for order in evidence.orders),
        sum(len(order.order.attempts) for order in evidence.orders if order.order),
        round(time.monotonic() - started_s, 3),
    )


async def _audited(harness: Harness) -> list[Finding]:
    with suppress(NotSeen):
        # Also orders whose customer got no answer may have been recorded; what is pending after the bound is stuck.
        await until(partial(_all_settled, harness), BOUND_S, "every order is settled")
    found = await audit(harness.target.owner, stuck_after_s=0)
    return findings_of_audit(found.findings)


async def _all_settled(harness: Harness) -> bool:
    connection = await connect(harness.target.owner)
    try:
        return not await connection.fetchval(
            "SELECT EXISTS (SELECT FROM orders.orders WHERE status = 'pending')"
        )
    finally:
        await connection.close()


class _Running:
    """A round under way: each customer takes the next order, and first begins the strikes that are due."""

    def __init__(self, context: Context, plan: Plan, accounts: Sequence[str], hot: str) -> None:
        self._context = context
        self._plan = plan
        self._accounts = list(accounts)
        self._hot = hot
        self._faults = Faults(context)
        self._next = 0
        self._striking = asyncio.Lock()
        self._hot_accepted: list[str] = []

    async def place_orders(self) -> None:
        """Places all orders, `CUSTOMERS` at a time."""
        await asyncio.gather(*(self._customer() for _ in range(CUSTOMERS)))

    async def heal(self) -> None:
        """The end of all faults."""
        await self._faults.end(self._plan.orders)

    async def collect(self) -> Evidence:
        """When everything is settled, or the bound has passed."""
        collected = await self._context.collect()
        for order_id in self._hot_accepted:
            self._context.witness(
                "an accepted order of the customer with many orders is billed",
                seen=await self._context.until(partial(self._is_billed, order_id), "it is billed"),
            )
        return Evidence(collected.orders, self._context.witnesses, ())

    async def _customer(self) -> None:
        while self._next < self._plan.orders:
            number = self._next
            self._next += 1
            async with self._striking:
                await self._faults.end(number)
                for strike in self._plan.strikes:
                    if strike.begins == number:
                        await self._faults.begin(strike)
            if number % HOT_EVERY == HOT_EVERY - 1:
                await self._place_hot()
            else:
                await self._place(str(number))

    async def _place(self, label: str) -> None:
        placed = Placed(label, self._accounts.pop(), Delivery.EXACTLY_ONCE)
        self._context.orders[label] = placed
        await self._context.place(label)
        if placed.placing is not None:
            await asyncio.wait((placed.placing,))

    async def _place_hot(self) -> None:
        try:
            response = await self._context.harness.place(self._hot, Delivery.EXACTLY_ONCE)
        except httpx.TransportError:
            # Whether it was accepted is unknown; the audit judges what became of it.
            return
        if response.status_code in (httpx.codes.CREATED, httpx.codes.ACCEPTED):
            self._hot_accepted.append(response.json()["order_id"])

    async def _is_billed(self, order_id: str) -> bool:
        order = await self._context.harness.read_order(order_id)
        return order is not None and order.status is Status.BILLED


class Faults:
    """The strikes of a plan, each from its beginning to its end, and what witnessed them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._harness = context.harness
        self._under_way: list[Strike] = []
        self._stopped: dict[Strike, int] = {}

    async def begin(self, strike: Strike) -> None:
        """Begins a strike, and witnesses that it took effect."""
        match strike.what:
            case "toxic":
                seen = await self._arm(strike)
            case "kill":
                child = self._harness.stack.children(strike.where)[strike.replica]
                seen = (await child.crash()).return_code == -signal.SIGKILL
            case "stop":
                seen = await self._stop(strike)
            case "postgres":
                postgres = self._harness.stack.postgres
                deaths = len(postgres.child.deaths)
                await postgres.crash()
                seen = len(postgres.child.deaths) > deaths
        self._harness.journal.note("struck", what=str(strike))
        self._context.witness(f"it struck: {strike}", seen=seen)
        self._under_way.append(strike)

    async def end(self, number: int) -> None:
        """Heals what ends when this order is placed."""
        for strike in [strike for strike in self._under_way if strike.ends <= number]:
            self._under_way.remove(strike)
            match strike.what:
                case "toxic":
                    await self._disarm(strike)
                case "stop":
                    self._resume(strike)
                case _:
                    pass

    async def _arm(self, strike: Strike) -> bool:
        toxic = TOXICS[strike.how]
        try:
            if toxic.name not in await self._harness.toxiproxy.toxics(strike.where):
                await self._harness.toxiproxy.arm(strike.where, toxic)
        except ToxiproxyError:
            return False
        return True

    async def _disarm(self, strike: Strike) -> None:
        """A new proxy, and on it again what has not ended."""
        await self._harness.toxiproxy.recreate(strike.where)
        for other in self._under_way:
            if other.what == "toxic" and other.where == strike.where:
                await self._arm(other)

    async def _stop(self, strike: Strike) -> bool:
        child = self._harness.stack.children(strike.where)[strike.replica]
        # Another strike may have killed it a moment ago.
        await child.running_after(0)
        self._stopped[strike] = child.pid
        return await stopped(child.pid)

    def _resume(self, strike: Strike) -> None:
        pid = self._stopped.pop(strike)
        child = self._harness.stack.children(strike.where)[strike.replica]
        if child.running and child.pid == pid:
            os.kill(pid, signal.SIGCONT)
