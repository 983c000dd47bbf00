"""What one process of notification_service holds.

Guarantee: making it connects to nothing; notifications can be stored once the pool is open.
"""

from collections.abc import Sequence

from notification_service import arrivals, problems
from notification_service.arrivals import Arriving
from notification_service.metrics import Metrics
from notification_service.settings import Settings
from service_kit.bearer_tokens import BearerTokens
from service_kit.bounded_pool import BoundedPool
from service_kit.group_commit import Group, usual_bounds
from service_kit.problem_details import ProblemCatalogue


class Notifications:
    """Settings, pool, group commit, problems, metrics."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tokens = BearerTokens(settings.tokens)
        self.catalogue = ProblemCatalogue.of(problems.ALL, public_url=settings.public_url)
        self.metrics = Metrics()
        self.pool = BoundedPool(
            settings.database_url.get_secret_value(),
            password=settings.database_password.get_secret_value(),
            application="notification_service",
            size_max=settings.pool_size_max,
            deadline_s=settings.transaction_timeout_s,
            lock_timeout_s=settings.transaction_timeout_s,
            idle_in_transaction_timeout_s=settings.transaction_timeout_s,
        )
        self._arriving = Group(
            self._store_all, usual_bounds(settings.pool_size_max, settings.transaction_timeout_s)
        )

    async def show(self, arriving: Arriving) -> None:
        """Returns when the arrival is committed.

        Raises `DatabaseTrouble` when the outcome is unknown: the arrival may or may not be stored.
        """
        await self._arriving.put(arriving)
        self.metrics.shown.inc()

    async def drain(self) -> None:
        """Returns when every arrival that was taken has its outcome."""
        await self._arriving.drain()

    async def missing(self) -> str | None:
        """What keeps the service from doing its job; None when nothing does."""
        missing = await self.pool.missing(arrivals.prove_writable, arrivals.seal)
        return None if missing is None else f"the database: {missing}"

    async def _store_all(self, arriving: Sequence[Arriving]) -> list[None]:
        async with self.pool.connection() as connection:
            await arrivals.insert_all(connection, arriving)
        return [None] * len(arriving)
