"""What one process of order_service holds, created once.

Guarantee: creating it opens no connection; pool, peers and dispatcher work exactly while `running` is entered.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

from order_service import problems
from order_service.backoff import Backoff
from order_service.context import DeliveryContext
from order_service.dispatcher import Dispatcher
from order_service.metrics import Metrics
from order_service.peers import Peers, Transport, open_transport
from order_service.retry_budget import RetryBudget
from order_service.settings import Settings
from order_service.statements.recording import prove_writable, seal
from order_service.writing import GroupedWrites
from service_kit.bearer_tokens import BearerTokens
from service_kit.bounded_pool import BoundedPool
from service_kit.group_commit import usual_bounds
from service_kit.problem_details import ProblemCatalogue


class OrderProcess:
    """Settings, pool, peers, dispatcher, problems and metrics of one process."""

    def __init__(self, settings: Settings, transport: Callable[[], Transport] | None) -> None:
        self.settings = settings
        # None: no caller needs a token, and all orders belong to the anonymous client.
        self.tokens = BearerTokens(settings.tokens) if settings.tokens else None
        self.metrics = Metrics()
        self.open_transport = transport or self._open_transport
        self.catalogue = ProblemCatalogue.of(
            problems.ALL, public_url=settings.public_url, retention=problems.RETENTION
        )
        self.pool = BoundedPool(
            settings.database_url.get_secret_value(),
            password=settings.database_password.get_secret_value(),
            application="order_service",
            size_max=settings.pool_size_max,
            deadline_s=settings.transaction_timeout_s,
            lock_timeout_s=settings.transaction_timeout_s,
            idle_in_transaction_timeout_s=settings.transaction_timeout_s,
            observe_wait=self.metrics.pool_wait_seconds.observe,
        )
        self.owner = uuid4()
        self.writes = GroupedWrites(
            self.pool,
            self.owner,
            lease_s=settings.lease_s,
            window_max=settings.window_max,
            # Four kinds of writes: when one is stuck, the others still have connections.
            bounds=usual_bounds(
                under_way_max=max(1, settings.pool_size_max // 4),
                deadline_s=settings.transaction_timeout_s,
            ),
        )
        self.dispatcher: Dispatcher
        self.metrics.watch(
            "order_deliveries_in_hand", "Orders being delivered", lambda: self.dispatcher.in_hand
        )
        self.metrics.watch(
            "order_pool_connections_in_use", "Connections in use", lambda: self.pool.in_use
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Pool, peers and dispatcher, for as long as the process serves."""
        await self.pool.open()
        peers = Peers(
            self.open_transport(),
            billing_url=self.settings.billing_url,
            billing_token=self.settings.billing_token.get_secret_value(),
            notification_url=self.settings.notification_url,
            notification_token=self.settings.notification_token.get_secret_value(),
            attempt_timeout_s=self.settings.attempt_timeout_s,
        )
        self.dispatcher = Dispatcher(
            DeliveryContext(
                pool=self.pool,
                writes=self.writes,
                peers=peers,
                settings=self.settings,
                backoff=Backoff(
                    self.settings.backoff_base_s,
                    self.settings.backoff_cap_s,
                    self.settings.retry_after_max_s,
                    random.uniform,
                ),
                budget=RetryBudget(
                    self.settings.retry_budget,
                    self.settings.retry_refill_per_s,
                    time.monotonic,
                    asyncio.get_running_loop().call_later,
                ),
                metrics=self.metrics,
                sleep=asyncio.sleep,
                clock=time.monotonic,
                slots=asyncio.Semaphore(self.settings.attempts_in_flight_max),
                stopping=asyncio.Event(),
                owner=self.owner,
            )
        )
        takeover = asyncio.create_task(self.dispatcher.run(), name="take over")
        yield
        takeover.cancel()
        with suppress(asyncio.CancelledError):
            await takeover
        await self.dispatcher.stop()
        await self.writes.drain()
        await peers.close()
        await self.pool.close()

    async def missing(self) -> str | None:
        """Why the service cannot record orders; None when it can. Billing may be away: orders are recorded without it."""
        missing = await self.pool.missing(prove_writable, seal)
        return None if missing is None else f"the database: {missing}"

    def _open_transport(self) -> Transport:
        return open_transport(self.settings.attempts_in_flight_max * 2)
