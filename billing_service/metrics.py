"""What billing_service counts: the evidence of what was sent to it.

Guarantee: a charge with a final answer is counted once, with its retry flag and with whether its key was known: the two
together tell what happened to the request before.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# Charges in one transaction; settings allow no more than the last.
_SIZE_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
# Seconds; a wait for a connection that is longer than the last one has failed.
_WAIT_BUCKETS_S = (0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5)


class Metrics:
    """The metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.charges = Counter(
            "billing_charges",
            "Charges with a final answer by retry flag and by whether the key was new or known",
            ["flag", "key"],
            registry=self.registry,
        )
        self.keys_forgotten = Counter(
            "billing_keys_forgotten",
            "Keys deleted because their client declared them settled",
            registry=self.registry,
        )
        self.collector_rounds = Counter(
            "billing_collector_rounds",
            "Rounds in which the collector served every client",
            registry=self.registry,
        )
        self.collector_failures = Counter(
            "billing_collector_failures",
            "Clients that the collector did not serve in a round, and rounds that could not begin: a lock, the database, a defect",
            ["cause"],
            registry=self.registry,
        )
        self.lock_waits = Counter(
            "billing_lock_waits_too_long",
            "Waits for a lock that ended at the lock timeout: for a key (409), for an account or for a client's mark (503)",
            ["lock"],
            registry=self.registry,
        )
        self.batch_size = Histogram(
            "billing_batch_size",
            "Charges that were committed in one transaction together",
            registry=self.registry,
            buckets=_SIZE_BUCKETS,
        )
        self.charges_held = Counter(
            "billing_charges_held",
            "Charges that left their batch because another transaction held a lock that they need",
            ["lock"],
            registry=self.registry,
        )
        self.charges_shed = Counter(
            "billing_charges_shed",
            "Charges refused before they were begun because too many wait (503)",
            registry=self.registry,
        )
        self.pool_wait_seconds = Histogram(
            "billing_pool_wait_seconds",
            "Waits for a connection to Postgres",
            registry=self.registry,
            buckets=_WAIT_BUCKETS_S,
        )
        # By retry flag and by whether the key was known; looked up once, because each look-up takes a lock.
        self.charges_by = {
            (retry, known): self.charges.labels(
                flag="yes" if retry else "no", key="known" if known else "new"
            )
            for retry in (False, True)
            for known in (False, True)
        }
        for lock in ("client", "key", "account"):
            self.lock_waits.labels(lock=lock)
            self.charges_held.labels(lock=lock)
        for cause in ("lock", "database", "defect"):
            self.collector_failures.labels(cause=cause)

    def watch(self, name: str, explanation: str, read: Callable[[], float]) -> None:
        """A gauge that is read when somebody asks."""
        Gauge(name, explanation, registry=self.registry).set_function(read)
