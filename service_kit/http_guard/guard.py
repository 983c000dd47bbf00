"""What all connections of a process share: bounds, waiting connections, deadlines, counts.

Guarantee: connections above the bound exist only while they are being refused or probed; the connection that has waited
longest for its peer is evicted first, and one that is being served is never evicted.
"""

import asyncio
import resource
from typing import Any, Protocol

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from service_kit.http_guard.settings import Settings

log = structlog.get_logger()

# The key under which the state of a lifespan holds the guard.
STATE = "http_guard"
# How often deadlines are checked. Sensible ones are at least a second, and a check takes a fraction of a millisecond.
_SWEEP_S = 0.25
# A reason is logged at once, and then at most once per pause, with a count.
_LOG_PAUSE_S = 10.0
# Allowed above the bound, because the head shows whether a connection is a probe.
EXTRA_CONNECTIONS = 16

# Further reasons, besides the slugs of refusals.
EVICTED = "evicted"
ANSWER_UNREAD = "answer-unread"


class Connection(Protocol):
    """A connection, as the guard sees it."""

    held_bytes: int

    def check(self, now_s: float) -> None:
        """Ends the connection, or refuses its request, if its deadline has passed."""

    def evict(self) -> None:
        """Ends the connection at once, to make room for another one."""


class Guard:
    """One for each process. It runs in the event loop of its connections."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        public_url: str = "",
        registry: CollectorRegistry | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.public_url = public_url.rstrip("/")
        self.connections_max = min(self.settings.connections_max, _descriptors() // 2)
        # Ordered by when they began to wait for their peer.
        self.waiting: dict[Connection, None] = {}
        # Whether there are more connections than the bound. Then only probes are served.
        self.crowded = False
        self._all: set[Connection] = set()
        self._held_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._ended: dict[str, int] = {}
        self._logged_s: dict[str, float] = {}
        registry = registry or CollectorRegistry()
        self._counter = Counter(
            "http_guard_ended",
            "Connections ended by the guard, by reason",
            ["reason"],
            registry=registry,
        )
        gauge = Gauge("http_guard_connections", "Open connections", registry=registry)
        gauge.set_function(lambda: len(self._all))

    @classmethod
    def of(cls, app_state: dict[str, Any]) -> "Guard":
        """The application's guard; an application without one gets one configured from the environment."""
        guard = app_state.get(STATE)
        if not isinstance(guard, Guard):
            guard = app_state[STATE] = cls()
        return guard

    def admit(self, connection: Connection) -> bool:
        """Whether there is room for a new connection. Evicts the one that has waited longest for its peer if need be."""
        self._all.add(connection)
        self.crowded = len(self._all) > self.connections_max
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep)
        while self.crowded and self._evict(next(iter(self.waiting), None)):
            pass
        return len(self._all) <= self.connections_max + EXTRA_CONNECTIONS

    def forget(self, connection: Connection) -> None:
        """Removes a connection that has ended."""
        self._held_bytes -= connection.held_bytes
        connection.held_bytes = 0
        self.waiting.pop(connection, None)
        self._all.discard(connection)
        self.crowded = len(self._all) > self.connections_max

    def hold(self, connection: Connection, held_bytes: int) -> bool:
        """Records the bytes that the connection holds for its peer or its turn. Returns whether there is room for them.

        Makes room by evicting the connections that have waited longest for their peer, which may include this one.
        """
        self._held_bytes += held_bytes - connection.held_bytes
        connection.held_bytes = held_bytes
        while self._held_bytes > self.settings.held_bytes_max:
            if not self._evict(next((each for each in self.waiting if each.held_bytes), None)):
                return False
        return True

    def count(self, reason: str) -> None:
        """Counts a connection that the guard ends, and logs it at once or with later ones."""
        self._counter.labels(reason=reason).inc()
        self._ended[reason] = self._ended.get(reason, 0) + 1
        self._log(reason, asyncio.get_running_loop().time())

    def _evict(self, connection: Connection | None) -> bool:
        if connection is None:
            return False
        self.forget(connection)
        connection.evict()
        self.count(EVICTED)
        return True

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        for connection in tuple(self._all):
            connection.check(now_s)
        for reason in tuple(self._ended):
            self._log(reason, now_s)
        busy = self._all or self._ended
        self._timer = loop.call_later(_SWEEP_S, self._sweep) if busy else None

    def _log(self, reason: str, now_s: float) -> None:
        if now_s - self._logged_s.get(reason, -_LOG_PAUSE_S) >= _LOG_PAUSE_S:
            self._logged_s[reason] = now_s
            log.warning(
                "connections ended by the HTTP guard",
                reason=reason,
                count=self._ended.pop(reason),
                open=len(self._all),
            )


def _descriptors() -> int:
    """How many files the process may have open. The caller leaves half for Postgres, peers, listeners and logs."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**31 if soft == resource.RLIM_INFINITY else soft
