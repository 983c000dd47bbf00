"""What one process of billing_service holds.

Guarantee: it is made without touching anything outside; pool and queue work from the pool's opening on.
"""

import asyncio
import time

from bearer_tokens import BearerTokens
from billing_service import ledger, problems
from billing_service.collector import Collector
from billing_service.group_commit import Bounds, GroupCommit
from billing_service.metrics import Metrics
from billing_service.settings import Settings
from billing_service.wire import Charge
from bounded_pool import BoundedPool, DatabaseTrouble, LockWaitTooLong
from problem_details import Problem, ProblemCatalogue

# For fewer charges than this a second transaction costs more than the waiting that it saves.
_HALVED_FROM = 16


class Billing:
    """Settings, pool, queue, collector, problems, metrics."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tokens = BearerTokens(settings.tokens)
        self.catalogue = ProblemCatalogue.of(
            problems.ALL, public_url=settings.public_url, retention=problems.RETENTION
        )
        self.metrics = Metrics()
        self.pool = BoundedPool(
            settings.database_url.get_secret_value(),
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
        # Half of the connections may wait for locks, so that the other half is there for who needs not wait.
        aside_max = max(1, settings.pool_size_max // 2)
        self.group_commit = GroupCommit(
            self.pool,
            self.decline_body,
            Bounds(
                size_min=settings.batch_size_min,
                size_max=settings.batch_size_max,
                halved_from=_HALVED_FROM,
                queue_max=settings.queue_max,
                patience_s=settings.batch_patience_s,
                batches_max=max(1, settings.pool_size_max - aside_max),
                aside_max=aside_max,
            ),
            self.metrics,
        )
        self.metrics.watch(
            "billing_queue_length",
            "Charges that wait for a transaction",
            lambda: self.group_commit.queue_length,
        )
        self.metrics.watch(
            "billing_pool_connections_in_use", "Connections in use", lambda: self.pool.in_use
        )

    def decline_body(self, charge: Charge, balance_cents: int) -> str:
        """The body of a 402, which is stored and replayed byte for byte."""
        return self.catalogue.render(
            Problem(
                problems.INSUFFICIENT_FUNDS,
                f"The account {charge.account} has {balance_cents} cents, the charge needs {charge.amount_cents}.",
                account=charge.account,
                amount_cents=charge.amount_cents,
                balance_cents=balance_cents,
            )
        )

    async def missing(self) -> str | None:
        """What keeps the service from doing its job."""
        try:
            await ledger.balance(self.pool, "readiness")
        except (DatabaseTrouble, LockWaitTooLong) as exc:
            return f"the database: {exc}"
        return None
