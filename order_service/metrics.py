"""What order_service counts, for Prometheus.

Guarantee: an outcome, a settlement or the fate of a notification is counted once, by the process that caused it.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from order_service.wire import Fate, Status

# Seconds; from an undisturbed order to one that outlived a long outage.
_SETTLE_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
# Seconds; a wait for a connection that is longer than the last bucket has failed.
_WAIT_BUCKETS_S = (0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5)


class Metrics:
    """The metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.attempts = Counter(
            "order_attempts",
            "Attempts by outcome and by retry flag",
            ["outcome", "retry"],
            registry=self.registry,
        )
        self.settled = Counter(
            "order_settled", "Orders settled by status", ["status"], registry=self.registry
        )
        self.settle_seconds = Histogram(
            "order_settle_seconds",
            "From recording an order to settling it",
            registry=self.registry,
            buckets=_SETTLE_BUCKETS_S,
        )
        self.notifications = Counter(
            "order_notifications", "Notifications by fate", ["fate"], registry=self.registry
        )
        self.unsettled = Gauge(
            "order_unsettled",
            "Orders without a final state, of all replicas",
            registry=self.registry,
        )
        self.oldest_unsettled_seconds = Gauge(
            "order_oldest_unsettled_seconds",
            "Age of the oldest order without a final state, of all replicas",
            registry=self.registry,
        )
        self.takeover_rounds = Counter(
            "order_takeover_rounds",
            "Looks for orders of dead processes by how they ended: the loop lives as long as they grow",
            ["end"],
            registry=self.registry,
        )
        self.alarms = Counter(
            "order_alarms",
            "Answers that only a restored or cloned caller can get: key_reused, key_forgotten; and answer_misdirected, "
            "a whole answer of billing to another charge",
            ["alarm"],
            registry=self.registry,
        )
        self.pool_wait_seconds = Histogram(
            "order_pool_wait_seconds",
            "Waits for a connection to Postgres",
            registry=self.registry,
            buckets=_WAIT_BUCKETS_S,
        )
        for status in Status:
            if status is not Status.PENDING:
                self.settled.labels(status=status)
        for fate in (Fate.ACKNOWLEDGED, Fate.REFUSED, Fate.UNKNOWN):
            self.notifications.labels(fate=fate)
        for end in ("done", "failed"):
            self.takeover_rounds.labels(end=end)
        for alarm in ("key_reused", "key_forgotten", "answer_misdirected"):
            self.alarms.labels(alarm=alarm)

    def watch(self, name: str, explanation: str, read: Callable[[], float]) -> None:
        """A gauge that is read at each scrape."""
        Gauge(name, explanation, registry=self.registry).set_function(read)
