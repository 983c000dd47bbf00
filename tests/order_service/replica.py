"""The deliveries of one process on a real database; billing, notification and time are played by the test."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID, uuid4

from billing_service.wire import Charge, Charged, Declined
from notification_service.wire import Notification
from order_service.backoff import Backoff
from order_service.context import DeliveryContext
from order_service.dispatcher import Dispatcher, deliver
from order_service.metrics import Metrics
from order_service.orders import PendingOrder, Recording
from order_service.outcomes import Acknowledged, Outcome, Refused, Unknown
from order_service.retry_budget import RetryBudget
from order_service.settings import Settings
from order_service.wire import Delivery, NewOrder, Order
from order_service.writing import GroupedWrites
from service_kit.bounded_pool import BoundedPool
from service_kit.group_commit import usual_bounds

LOST = Unknown("ServerDisconnectedError")
UNREACHABLE = Refused("ClientConnectorError")
NO_ACCOUNT = Refused("HTTP 404 account-unknown", {"type": "/problems/account-unknown"})
VOIDED = Refused("HTTP 200 voided", {"type": "key-voided"})
DECLINED = Acknowledged(
    "HTTP 402",
    Declined(
        type="/problems/insufficient-funds",
        title="t",
        status=402,
        detail="d",
        order_id=UUID(int=1),
        account="alice",
        amount_cents=5,
        balance_cents=0,
    ),
)


def refused(slug: str) -> Refused:
    """A refusal with the problem of this slug."""
    return Refused(f"HTTP 4xx {slug}", {"type": slug})


def charged(charge: Charge) -> Acknowledged:
    """What billing answers when it has charged."""
    body = Charged(charge_id=UUID(int=1), balance_cents=0, **charge.model_dump())
    return Acknowledged("HTTP 201", body)


@dataclass
class PlayedPeers:
    """Gives the outcomes in turn and writes down what was sent; without any left it charges, voids and shows."""

    charges: list[Outcome] = field(default_factory=list)
    voids: list[Outcome] = field(default_factory=list)
    marks: list[bool] = field(default_factory=list)
    sent: list[tuple[UUID, int, bool]] = field(default_factory=list)
    marks_sent: list[int] = field(default_factory=list)
    voided: list[int] = field(default_factory=list)
    declared: list[int] = field(default_factory=list)
    notified: list[UUID] = field(default_factory=list)
    # A charge or a notification waits here.
    charging: asyncio.Event = field(default_factory=asyncio.Event)
    notifying: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.charging.set()
        self.notifying.set()

    async def charge(
        self, charge: Charge, sequence_key: int, *, retry: bool, first_incomplete: int
    ) -> Outcome:
        self.sent.append((charge.order_id, sequence_key, retry))
        self.marks_sent.append(first_incomplete)
        await self.charging.wait()
        return self.charges.pop(0) if self.charges else charged(charge)

    async def void(self, charge: Charge, sequence_key: int) -> Outcome:
        self.voided.append(sequence_key)
        return self.voids.pop(0) if self.voids else VOIDED

    async def declare_settled(self, first_incomplete: int) -> bool:
        self.declared.append(first_incomplete)
        return self.marks.pop(0) if self.marks else True

    async def notify(self, notification: Notification) -> Outcome:
        self.notified.append(notification.order_id)
        await self.notifying.wait()
        return Acknowledged("HTTP 202")


class CountedBudget(RetryBudget):
    """Writes down how often a token was asked for, and how often some were given."""

    asked = 0
    given = 0

    async def take(self) -> None:
        self.asked += 1
        await super().take()

    def give(self) -> None:
        self.given += 1
        super().give()


@dataclass
class Replica:
    """One process: what all its deliveries share, and what became of the time."""

    context: DeliveryContext
    peers: PlayedPeers
    budget: CountedBudget
    # The seconds of each sleep, in turn; the test waits for none of them.
    slept_s: list[float]
    # What the budget wants to be called for, and after how many seconds.
    calls: list[tuple[float, Callable[[], None]]]
    dispatcher: Dispatcher

    async def recorded(self, delivery: Delivery = Delivery.EXACTLY_ONCE) -> PendingOrder:
        """A new order of this process."""
        order = NewOrder(customer="alice", amount_cents=5, item="book", delivery=delivery)
        return await self.context.writes.record(Recording(uuid4(), order, None))

    async def delivered(self, order: PendingOrder) -> Order | None:
        """The order when this process has nothing to do for it any more; None when another one has it."""
        settled: asyncio.Future[Order | None] = asyncio.get_running_loop().create_future()
        await deliver(order, self.context, settled)
        return settled.result() if settled.done() else None


@asynccontextmanager
async def running(database: Any, **changes: Any) -> AsyncIterator[Replica]:
    """A process whose settings are changed like this."""
    settings = Settings(
        **{
            "database_url": database.order,
            "billing_url": "http://billing",
            "billing_token": "token-of-order_service",
            "notification_url": "http://notification",
            "notification_token": "token-for-notification",
            "backoff_base_s": 0.1,
            "backoff_cap_s": 1.0,
            "retry_after_max_s": 5.0,
            "retry_budget": 100,
            "lease_s": 10.0,
            **changes,
        }
    )
    pool = BoundedPool(
        database.order,
        application="order_service",
        size_max=8,
        deadline_s=10.0,
        lock_timeout_s=10.0,
        idle_in_transaction_timeout_s=10.0,
    )
    await pool.open()
    slept_s: list[float] = []
    calls: list[tuple[float, Callable[[], None]]] = []

    async def sleep(seconds: float) -> None:
        slept_s.append(seconds)

    owner = uuid4()
    peers = PlayedPeers()
    budget = CountedBudget(
        settings.retry_budget,
        settings.retry_refill_per_s,
        lambda: 0.0,
        lambda delay_s, call: calls.append((delay_s, call)),
    )
    writes = GroupedWrites(
        pool,
        owner,
        lease_s=settings.lease_s,
        window_max=settings.window_max,
        bounds=usual_bounds(2, 10.0),
    )
    context = DeliveryContext(
        pool=pool,
        writes=writes,
        peers=cast(Any, peers),
        settings=settings,
        # Without chance: always the longest pause.
        backoff=Backoff(
            settings.backoff_base_s,
            settings.backoff_cap_s,
            settings.retry_after_max_s,
            lambda low, high: high,
        ),
        budget=budget,
        metrics=Metrics(),
        sleep=sleep,
        clock=lambda: 0.0,
        slots=asyncio.Semaphore(settings.attempts_in_flight_max),
        stopping=asyncio.Event(),
        owner=owner,
    )
    replica = Replica(context, peers, budget, slept_s, calls, Dispatcher(context))
    yield replica
    peers.charging.set()
    peers.notifying.set()
    await replica.dispatcher.stop()
    await writes.drain()
    await pool.close()


async def until(seen: Callable[[], bool], meanwhile: Callable[[], Awaitable[object]]) -> None:
    """Asks until it is seen; each question to the database lets everything else go on."""
    async with asyncio.timeout(60):
        while not seen():
            await meanwhile()
