"""The objects that one process of billing_service holds, created once.

Guarantee: creating them opens no connection and starts no task. Pool and queue work once the pool is open.
"""

import asyncio
import time

import structlog

import billing_service.charge
from billing_service import problems, readiness
from billing_service.admission import Admission
from billing_service.batching.group_commit import GroupCommit
from billing_service.charge import Awaited
from billing_service.forgetting import Collector
from billing_service.metrics import Metrics
from billing_service.outcomes import ChargeOutcome
from billing_service.settings import Settings
from billing_service.wire import Charge
from service_kit.bearer_tokens import BearerTokens
from service_kit.bounded_pool import BoundedPool
from service_kit.group_commit import Bounds
from service_kit.problem_details import Problem, ProblemCatalogue

# Below this number of charges, a second transaction costs more than the waiting time that it saves.
_HALVED_FROM = 16
# Postgres executes one batch while this process reads and answers the other.
_SIDE_BY_SIDE = 2
# The parts of the queue that one account and one client may fill: three locked accounts leave a quarter to all others, and
# one client leaves half to the other clients.
_ACCOUNT_SHARE, _CLIENT_SHARE = 4, 2


class Billing:
    """Settings, pool, batches, collector, problems and metrics of one process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        # Bound once: the module's own logger would be bound again for each line.
        self.log = structlog.get_logger().bind()
        self.tokens = BearerTokens(settings.tokens)
        self.catalogue = ProblemCatalogue.of(
            problems.ALL, public_url=settings.public_url, retention=problems.RETENTION
        )
        self.metrics = Metrics()
        self.pool = BoundedPool(
            settings.database_url.get_secret_value(),
            password=settings.database_password.get_secret_value(),
            application="billing_service",
            size_max=settings.pool_size_max,
            deadline_s=settings.transaction_timeout_s,
            lock_timeout_s=settings.lock_timeout_s,
            idle_in_transaction_timeout_s=settings.idle_in_transaction_timeout_s,
            observe_wait=self.metrics.pool_wait_seconds.observe,
        )
        self.collector = Collector(
            self.pool,
            pause_s=settings.forget_pause_s,
            leap_max=settings.mark_leap_max,
            sleep=asyncio.sleep,
            clock=time.monotonic,
            metrics=self.metrics,
        )
        self.admission = Admission(
            settings.queue_max,
            of_account_max=_share(settings.queue_max, _ACCOUNT_SHARE),
            of_client_max=_share(settings.queue_max, _CLIENT_SHARE),
        )
        # Half the pool is reserved for charges that need no lock of another transaction.
        slow_max = max(1, settings.pool_size_max // 2)
        self._group_commit = GroupCommit(
            self.pool,
            self.decline_body,
            Bounds(
                size_max=settings.batch_size_max,
                under_way_max=max(1, settings.pool_size_max - slow_max),
                slow_max=slow_max,
                queue_max=settings.queue_max,
                wait_s=settings.lock_timeout_s,
                patience_s=settings.batch_patience_s,
                side_by_side=_SIDE_BY_SIDE,
                parted_from=_HALVED_FROM,
            ),
            self.metrics,
        )
        # As `charge.charge`, with its errors, and `QueueFull`. By default a charge shares a batch with others.
        self.charge = self._group_commit.charge if settings.group_commit else self._charge_alone
        self.metrics.watch(
            "billing_queue_length",
            "Charges that wait for a transaction",
            lambda: self._group_commit.queue_length,
        )
        self.metrics.watch(
            "billing_pool_connections_in_use", "Connections in use", lambda: self.pool.in_use
        )

    async def _charge_alone(
        self, client: str, sequence_key: int, charge: Charge, awaited: Awaited
    ) -> ChargeOutcome:
        return await billing_service.charge.charge(
            self.pool, client, sequence_key, charge, self.decline_body, awaited
        )

    async def drain(self) -> None:
        """Accepts no more charges into batches, and returns when every accepted charge has its outcome."""
        await self._group_commit.drain()

    def decline_body(self, charge: Charge, balance_cents: int) -> str:
        """The body of a 402, which is stored and replayed byte for byte."""
        return self.catalogue.render(
            Problem(
                problems.INSUFFICIENT_FUNDS,
                f"The account {charge.account} has {balance_cents} cents, the charge needs {charge.amount_cents}.",
                order_id=str(charge.order_id),
                account=charge.account,
                amount_cents=charge.amount_cents,
                balance_cents=balance_cents,
            )
        )

    async def missing(self) -> str | None:
        """The reason why this process cannot charge; None when it can."""
        missing = await self.pool.missing(readiness.prove_writable, billing_service.charge.seal)
        return None if missing is None else f"the database: {missing}"


def _share(whole: int, parts: int) -> int:
    return -(-whole // parts)
