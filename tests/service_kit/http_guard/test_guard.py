"""What all connections of a process share: how many there are, which is ended first, what is counted and logged."""

import asyncio
import resource
from collections.abc import Callable

import pytest
import structlog
from prometheus_client import CollectorRegistry

from service_kit.http_guard import Guard, Settings, guard
from service_kit.http_guard.guard import EXTRA_CONNECTIONS
from tests.service_kit.http_guard.connection import Connection, next_turn

GET = b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"
WAIT = b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n"
LARGE = b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n"
PROBE = b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n"
HALF_A_HEAD = b"GET /echo HTTP/1.1\r\nHost: a\r\n"


class Sample:
    """A guard with a registry of its own, and what it shows there."""

    def __init__(self, **settings: int | float) -> None:
        self.registry = CollectorRegistry()
        self.guard = Guard(Settings.model_validate(settings), registry=self.registry)

    def connection(self) -> Connection:
        return Connection(self.guard)

    def ended(self, reason: str) -> float | None:
        """How many connections were ended for this reason; None for none."""
        return self.registry.get_sample_value("http_guard_ended_total", {"reason": reason})

    @property
    def open(self) -> float | None:
        return self.registry.get_sample_value("http_guard_connections")


async def test_more_connections_than_can_be_refused() -> None:
    """Some above the bound are let in, since they may be probes. When all of those are served too, the next gets 503 unasked."""
    sample = Sample(connections_max=2)
    busy = [sample.connection() for _ in range(2)]
    for connection in busy:
        await connection.receive(WAIT)
    for _ in range(EXTRA_CONNECTIONS):
        busy.append(sample.connection())
        await busy[-1].receive(PROBE)
        assert await busy[-1].answers() == []
    assert sample.open == 2 + EXTRA_CONNECTIONS
    late = sample.connection()
    (answer,) = await late.answers()
    assert (answer.status, answer.fields["retry-after"]) == (503, "1")
    assert late.transport.ended
    assert sample.ended("too-many-connections") == 1
    assert not any(connection.transport.aborted for connection in busy)


async def test_what_is_ended_is_counted() -> None:
    """Each reason by its name: evicted, unread, and the slugs of refusals."""
    sample = Sample(connections_max=1, send_timeout_s=3)
    first = sample.connection()
    second = sample.connection()
    assert first.transport.aborted
    assert sample.ended("evicted") == 1
    second.protocol.pause_writing()
    await second.receive(LARGE)
    second.protocol.check(asyncio.get_running_loop().time() + 4)
    assert second.transport.aborted
    assert sample.ended("answer-unread") == 1
    await second.close()
    third = sample.connection()
    await third.receive(b"GET / HTTP/1.1\r\n\r\n")
    assert sample.ended("request-malformed") == 1


async def test_open_connections_are_shown() -> None:
    """From the first byte to the end, refused and evicted ones not."""
    sample = Sample(connections_max=2)
    assert sample.open == 0
    first, second = sample.connection(), sample.connection()
    assert sample.open == 2
    third = sample.connection()
    assert (first.transport.aborted, sample.open) == (True, 2)
    second.protocol.connection_lost(None)
    third.protocol.connection_lost(None)
    assert sample.open == 0


async def test_a_peer_that_goes_on_waits_anew() -> None:
    """The one that has sent nothing since it connected goes before the one that has just begun a head."""
    sample = Sample(connections_max=2)
    begun, silent = sample.connection(), sample.connection()
    await begun.receive(HALF_A_HEAD)
    sample.connection()
    assert (begun.transport.aborted, silent.transport.aborted) == (False, True)


async def swept(until: Callable[[], bool]) -> None:
    """The guard looks at its deadlines by itself, in its own time."""
    async with asyncio.timeout(60):
        while not until():
            await next_turn()


async def test_deadlines_are_looked_at_as_long_as_there_are_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of each connection, also of those that came after the first look, and again after a time without any."""
    monkeypatch.setattr(guard, "_SWEEP_S", 0.001)
    monkeypatch.setattr(guard, "_LOG_PAUSE_S", 0.0)
    sample = Sample(head_timeout_s=0.02, keep_alive_s=0.02)
    for _ in range(2):
        first, second = sample.connection(), sample.connection()
        await first.receive(HALF_A_HEAD)
        await second.receive(HALF_A_HEAD)
        await swept(lambda: first.transport.ended and second.transport.ended)  # noqa: B023
        late = sample.connection()
        await swept(lambda: late.transport.ended)  # noqa: B023
        for connection in (first, second, late):
            connection.protocol.connection_lost(None)
        assert sample.open == 0
        await swept(lambda: sample.guard._timer is None)
    assert sample.ended("request-incomplete") == 4


async def test_a_reason_is_logged_at_once_and_then_with_a_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line now, no line for each of the next ones, and one more with their number when the pause is over."""
    monkeypatch.setattr(guard, "_SWEEP_S", 0.001)
    monkeypatch.setattr(guard, "_LOG_PAUSE_S", 3600.0)
    sample = Sample()
    with structlog.testing.capture_logs() as lines:
        sample.guard.count("a")
        assert [(line["reason"], line["count"]) for line in lines] == [("a", 1)]
        for _ in range(3):
            sample.guard.count("a")
        sample.guard.count("b")
        assert [(line["reason"], line["count"]) for line in lines] == [("a", 1), ("b", 1)]
        # The pause passes, and nothing more is ended: the lines that are due come with the next look.
        idle = sample.connection()
        monkeypatch.setattr(guard, "_LOG_PAUSE_S", 0.0)
        await swept(lambda: len(lines) == 3)
        assert (lines[2]["reason"], lines[2]["count"], lines[2]["open"]) == ("a", 3, 1)
        idle.protocol.connection_lost(None)


async def test_lines_that_are_due_come_when_no_connection_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The looks go on until everything that was counted is in the log."""
    monkeypatch.setattr(guard, "_SWEEP_S", 0.001)
    monkeypatch.setattr(guard, "_LOG_PAUSE_S", 3600.0)
    sample = Sample()
    connection = sample.connection()
    with structlog.testing.capture_logs() as lines:
        sample.guard.count("a")
        sample.guard.count("a")
        connection.protocol.connection_lost(None)
        # At least one look has passed without any connection.
        looked = sample.guard._timer
        await swept(lambda: sample.guard._timer is not looked)
        monkeypatch.setattr(guard, "_LOG_PAUSE_S", 0.0)
        await swept(lambda: len(lines) == 2)
    assert [line["count"] for line in lines] == [1, 1]


@pytest.mark.parametrize(
    ("soft", "connections_max"), [(256, 128), (100_000, 1000), (resource.RLIM_INFINITY, 1000)]
)
def test_half_of_the_descriptors_are_left(
    soft: int, connections_max: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other half is for Postgres, peers, listeners and logs; no limit of the system raises the bound."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))
    assert Guard(Settings()).connections_max == connections_max
