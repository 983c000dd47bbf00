"""What notification_service counts.

Guarantee: each notification that is answered 202 is counted once, duplicates included.
"""

from prometheus_client import CollectorRegistry, Counter


class Metrics:
    """The metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.shown = Counter(
            "notification_arrivals",
            "Notifications that arrived, duplicates included",
            registry=self.registry,
        )
