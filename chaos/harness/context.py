"""What the steps of one scenario work with: its orders, its armed faults, its witnesses.

Guarantee: an order belongs to one scenario alone, with an account of its own; a fault counts only if the toxic was
read back both when it was armed and when it was removed.

Long because steps reach everything through one object; what it holds is divided by part: network, journal, services,
database.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
import httpx

from chaos.evidence import readings
from chaos.evidence.journal import Event, Journal
from chaos.evidence.readings import Check, Evidence, Observed, Probe, Snapshot, Witness
from chaos.faults.account_lock import AccountLock
from chaos.faults.control import Control, Rule
from chaos.harness.database import Database
from chaos.harness.failover import Failover
from chaos.harness.harness import AMOUNT_CENTS, Harness
from chaos.harness.target import Target
from order_service.wire import Delivery, Fate, Order, Status
from stack.embedded import Stack
from stack.toxics import Toxic, Toxiproxy, ToxiproxyError
from stack.waiting import NotSeen, until

ONLY = "the order"
# A notification has one attempt, which has a deadline; then its fate is known, or never will be.
FATE_BOUND_S = 5.0


@dataclass
class Placed:
    """One order of the scenario, from the customer's side."""

    label: str
    account: str
    delivery: Delivery
    placing: "asyncio.Task[None] | None" = None
    retry: "Barrier | None" = None
    snapshots: list[Snapshot] = field(default_factory=list)
    # Whether and when the customer was told.
    accepted: bool = False
    acknowledged_ns: int | None = None
    # The idempotency key that the customer gave the order, if any.
    customer_key: str = ""
    # Whether an earlier wait for it already used up the whole bound.
    overdue: bool = False
    # Once it is recorded.
    order_id: UUID | None = None
    # The status that the customer got, None while it waits; and how the order has to end.
    status_code: int | None = None
    ending: Status = Status.BILLED


@dataclass
class Barrier:
    """A point at which the caller is held: a rule of the control server, or a lock in Postgres."""

    reached: Callable[[], Awaitable[bool]]
    release: Callable[[], Awaitable[None]]


class Context:
    """One scenario in progress."""

    def __init__(self, harness: Harness, delivery: Delivery) -> None:
        self.harness = harness
        self.database = Database(harness.target.owner)
        self.delivery = delivery
        self.orders: dict[str, Placed] = {}
        self.rules: dict[str, Rule] = {}
        self.witnesses: list[Witness] = []
        self.probes: list[Probe] = []
        self.checks: list[Check] = []
        self.armed: list[tuple[str, Toxic]] = []
        self.closed: list[str] = []
        self.cleanups: list[Callable[[], Awaitable[None]]] = []
        self.events: list[Event] = []
        self.since_ns = time.monotonic_ns()
        # The process that a signal has stopped and that must be resumed; 0 when there is none.
        self.stopped = 0
        # Failed takeover rounds by process, before the fault.
        self.failed_takeover_rounds: dict[str, float] = {}
        self.pausing: asyncpg.Connection[asyncpg.Record]
        # What the steps of a failover share.
        self.failover: Failover
        # The other transaction that holds the account of the order.
        self.account_lock: AccountLock

    @property
    def target(self) -> Target:
        """Where the stack is."""
        return self.harness.target

    @property
    def network(self) -> Toxiproxy:
        """Every hop, through the admin API of its Toxiproxy."""
        return self.harness.toxiproxy

    @property
    def journal(self) -> Journal:
        """What the wrapped services and the harness itself have recorded of the run."""
        return self.harness.journal

    @property
    def services(self) -> Stack:
        """The processes. Raises `Unplayable` where the stack was not started here."""
        return self.harness.stack

    @property
    def control(self) -> Control:
        """The line to the wrapped services. Raises `Unplayable` where there are none."""
        return self.harness.control

    def witness(self, claim: str, *, seen: bool, instead: str = "") -> None:
        """Records what was seen, or that it was not, and what was seen instead."""
        differs = f" (it was: {instead})" if instead and not seen else ""
        self.witnesses.append(Witness(claim + differs, seen))

    async def order(self, label: str = ONLY) -> Placed:
        """The order of this label, with a new account when it is named for the first time."""
        if label not in self.orders:
            account = await self.harness.open_account("cell")
            self.orders[label] = Placed(label, account, self.delivery)
        return self.orders[label]

    async def place(self, label: str = ONLY) -> None:
        """Sends the order, in the background: its answer may take as long as the fault."""
        placed = await self.order(label)
        placed.placing = asyncio.create_task(self._place(placed))

    async def _place(self, placed: Placed) -> None:
        try:
            response = await self.harness.place(
                placed.account, placed.delivery, placed.customer_key
            )
        except httpx.TransportError:
            # The order service was killed: the customer does not know whether the order was accepted.
            return
        self.journal.note("customer was answered", placed.account, status=response.status_code)
        placed.status_code = response.status_code
        if response.status_code in (201, 202):
            placed.accepted = True
        if response.status_code == 201:
            placed.acknowledged_ns = time.monotonic_ns()

    async def snapshot(self, placed: Placed) -> Snapshot:
        """Reads Postgres and keeps the reading: every one of them is judged."""
        connection = await self.database.connect()
        try:
            shot = await readings.read_snapshot(
                connection, placed.account, AMOUNT_CENTS, time.monotonic_ns()
            )
        finally:
            await connection.close()
        placed.snapshots.append(shot)
        self.journal.note(
            "observed", placed.account, effects=shot.effects, keys=shot.keys, commits=shot.commits
        )
        return shot

    async def arm(self, proxy: str, toxic: Toxic) -> None:
        """Arms a toxic and reads it back."""
        await self.order()
        await self.network.arm(proxy, toxic)
        self.armed.append((proxy, toxic))
        self.journal.note("armed", self.first_account(), proxy=proxy, toxic=str(toxic))
        self.witness(f"{toxic} read back from proxy {proxy}", seen=True)

    async def heal(self) -> None:
        """Removes every toxic; each must still be armed, or something else has healed the fault before."""
        for proxy, toxic in self.armed:
            await self._witness_still_armed(proxy, toxic)
        for proxy in {proxy: None for proxy, _ in self.armed}:
            await self.network.recreate(proxy)
            self.journal.note("healed", self.first_account(), proxy=proxy)
        self.armed.clear()
        await self._reopen()

    async def _reopen(self) -> None:
        for proxy in self.closed:
            await self.network.enable(proxy)
            self.journal.note("healed", self.first_account(), proxy=proxy)
        self.closed.clear()

    async def remove_toxics(self, proxy: str, kind: type[Toxic] = Toxic) -> None:
        """Removes toxics of one proxy and keeps its connections: what they held back arrives now."""
        for entry in [e for e in self.armed if e[0] == proxy and isinstance(e[1], kind)]:
            await self._witness_still_armed(*entry)
            await self.network.remove(proxy, entry[1].name)
            self.armed.remove(entry)
        self.journal.note("healed", self.first_account(), proxy=proxy)

    async def _witness_still_armed(self, proxy: str, toxic: Toxic) -> None:
        try:
            await self.network.still_armed(proxy, toxic)
            seen = True
        except ToxiproxyError:
            seen = False
        self.witness(f"{toxic} was still armed on {proxy}", seen=seen)

    def events_of(self, placed: Placed) -> list[Event]:
        """Everything of an order that was recorded so far."""
        return self.journal.of_account(placed.account)

    async def settled(self, placed: Placed) -> Order | None:
        """The order when it is settled and the fate of its notification is known; as it is when the bound passes."""
        bound_s = 0.0 if placed.overdue else self.harness.bound_s
        if placed.placing is not None:
            await asyncio.wait((placed.placing,), timeout=bound_s)
            if placed.placing.done() and await self.read(placed) is None:
                # An order that is not recorded when its customer was answered, or lost the connection, never will be.
                return None
        order = await self._wait_for(
            placed, lambda order: order.status is not Status.PENDING, bound_s
        )
        if order is None or order.notification is not Fate.ATTEMPTED:
            return order
        # It stays attempted for ever when its process was killed, or could not know that its own commit settled the order.
        return await self._wait_for(
            placed,
            lambda order: (
                order.notification is not Fate.ATTEMPTED or not self._caller_lives(placed)
            ),
            FATE_BOUND_S,
        )

    async def _wait_for(
        self, placed: Placed, reached: Callable[[Order], bool], bound_s: float
    ) -> Order | None:
        """The order once `reached` is true of it; as it is when the bound passes."""

        async def there() -> Order | None:
            order = await self.read(placed)
            return order if order is not None and reached(order) else None

        try:
            return await until(there, bound_s, "the order gets that far")
        except NotSeen:
            return await self.read(placed)

    def _caller_lives(self, placed: Placed) -> bool:
        pids = [event.pid for event in self.events_of(placed) if event.service == "order_service"]
        return not pids or self.harness.is_alive("order_service", pids[-1])

    async def read(self, placed: Placed) -> Order | None:
        """The order as the order service shows it; None when there is none."""
        if placed.order_id is None:
            connection = await self.database.connect()
            try:
                placed.order_id = await readings.read_order_id(connection, placed.account)
            finally:
                await connection.close()
        return None if placed.order_id is None else await self.harness.read_order(placed.order_id)

    async def until(self, question: Callable[[], Awaitable[Any]], waited_for: str) -> bool:
        """Waits for evidence; returns false, and raises nothing, when it does not come within the harness's bound."""
        try:
            await until(question, self.harness.bound_s, waited_for)
        except NotSeen:
            return False
        return True

    async def collect(self) -> Evidence:
        """The evidence of all orders, when nothing is in flight any more."""
        # The order that the fault strikes comes first, also where another one had to be placed before it.
        struck_first = sorted(self.orders.values(), key=lambda placed: placed.label != ONLY)
        # Together: a commit whose answer was lost may leave the fates of many orders unknown, and each is waited for.
        settled = await asyncio.gather(*(self.settled(placed) for placed in struck_first))
        observed = [
            await self._observe(placed, order)
            for placed, order in zip(struck_first, settled, strict=True)
        ]
        accounts = {placed.account for placed in self.orders.values()}
        self.events = self.journal.since(self.since_ns, accounts)
        return Evidence(observed, self.witnesses, self.probes, self.checks)

    async def _observe(self, placed: Placed, order: Order | None) -> Observed:
        if order is not None and placed.placing is None:
            placed.accepted = True
        await self.snapshot(placed)
        connection = await self.database.connect()
        try:
            withdrawn = await readings.read_withdrawals(connection, placed.account)
            shown = await readings.read_notifications(connection, placed.account)
        finally:
            await connection.close()
        return Observed(
            placed.label,
            placed.account,
            placed.delivery,
            AMOUNT_CENTS,
            placed.accepted or order is not None,
            order,
            placed.acknowledged_ns,
            self.events_of(placed),
            placed.snapshots,
            withdrawn,
            shown,
            self.harness.wrapped,
            self.harness.attempt_deadline_s,
            placed.ending,
        )

    async def end_faults(self) -> None:
        """Ends whatever the steps have left armed or held: the final reading comes after healing."""
        for rule in self.rules.values():
            rule.release()
        for placed in self.orders.values():
            if placed.retry is not None:
                await placed.retry.release()
        await self.heal()

    async def clean_up(self) -> None:
        """Undoes what the steps did, however the scenario ended."""
        for rule in self.rules.values():
            rule.release()
        for undo in reversed(self.cleanups):
            await undo()
        for proxy in {proxy: None for proxy, _ in self.armed}:
            await self.network.recreate(proxy)
        await self._reopen()
        for placed in self.orders.values():
            if placed.placing is not None:
                placed.placing.cancel()

    async def refuse(self, proxy: str) -> None:
        """Closes a proxy's listener until the network is healed or the scenario ends."""
        await self.order()
        await self.network.disable(proxy)
        self.journal.note("armed", self.first_account(), proxy=proxy, toxic="closed")
        self.closed.append(proxy)
        state = (await self.network.proxies())[proxy]
        self.witness(f"{proxy} read back as closed", seen=not state.enabled)

    def first_account(self) -> str:
        """The account of the first order: what strikes the network is recorded among its events."""
        return next((placed.account for placed in self.orders.values()), "")
