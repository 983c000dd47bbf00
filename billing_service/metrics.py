"""The metrics of billing_service: evidence of the requests that it received.

Guarantee: each final answer to a charge is counted once, by its retry flag and by whether its key was known. The pair shows what
happened to the request before; see the table in docs/protocol.md.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# Charges in one transaction; settings allow no more than the last.
_SIZE_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
# A wait for a connection that is longer than the last bucket has failed.
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
            "Collector rounds in which no client failed",
            registry=self.registry,
        )
        self.collector_failures = Counter(
            "billing_collector_failures",
            "Clients that failed in a collector round, and rounds that could not begin, by cause: lock, database or defect",
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
            "Charges committed together in one transaction",
            registry=self.registry,
            buckets=_SIZE_BUCKETS,
        )
        self.charges_held = Counter(
            "billing_charges_held",
            "Charges that left their batch because another transaction held a lock that they needed",
            ["lock"],
            registry=self.registry,
        )
        self.charges_shed = Counter(
            "billing_charges_shed",
            "Charges refused before they began because too many were waiting (503)",
            registry=self.registry,
        )
        self.pool_wait_seconds = Histogram(
            "billing_pool_wait_seconds",
            "Waits for a connection to Postgres",
            registry=self.registry,
            buckets=_WAIT_BUCKETS_S,
        )
        # Looked up once, because each look-up takes a lock.
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
        """Adds a gauge whose value is read at each scrape."""
        Gauge(name, explanation, registry=self.registry).set_function(read)
