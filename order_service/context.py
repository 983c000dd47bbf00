"""What all deliveries of one process share.

Guarantee: time and chance come from here alone, so a test that gives its own decides every pause.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from order_service.backoff import Backoff
from order_service.metrics import Metrics
from order_service.peers import Peers
from order_service.retry_budget import RetryBudget
from order_service.settings import Settings
from order_service.writing import GroupedWrites, UntilWritten
from service_kit.bounded_pool import BoundedPool


@dataclass
class DeliveryContext:
    """`sleep` takes seconds, `clock` gives seconds; `slots` bounds the attempts at one time.

    `first_incomplete` is what was read last; an old value is safe, it only keeps keys for longer.
    """

    pool: BoundedPool
    writes: GroupedWrites
    peers: Peers
    settings: Settings
    backoff: Backoff
    budget: RetryBudget
    metrics: Metrics
    sleep: Callable[[float], Awaitable[None]]
    clock: Callable[[], float]
    slots: asyncio.Semaphore
    stopping: asyncio.Event
    owner: UUID
    first_incomplete: int = 1

    def until_written(self, order_id: UUID) -> UntilWritten:
        """The writes of one order that are repeated until they are committed."""
        return UntilWritten(order_id, self.pool, self.backoff, self.sleep, self.stopping)
