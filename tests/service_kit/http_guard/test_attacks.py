"""What one peer, or many, can do to a process: it holds little more than before, and goes on answering.

Each attack meets a process of its own, which holds nothing of the attack before. It runs a plain `uvicorn`, forked from a process
that has imported it; test_services.py starts the same in full, and shows that no flag is needed.
"""

import asyncio
import os
import signal
import socket
from asyncio.constants import ACCEPT_RETRY_DELAY
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from stack.nursery import Nursery
from tests.databases import Database
from tests.service_kit.http_guard.conftest import environ
from tests.service_kit.http_guard.server import GUARDED, Server, running

GROWTH_MAX_KIB = 40 * 1024
HEALTH_MAX_S = 1.0
# What stops the service for a second is met by the next probe, with all but a fiftieth of it.
BETWEEN_PROBES_S = 0.02
HEAD = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
METRICS = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
POST = b"POST /charges HTTP/1.1\r\nHost: 127.0.0.1\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
MANY = 2000

Attack = Callable[[Server, list[socket.socket]], Coroutine[Any, Any, None]]


@pytest.fixture
async def attacked(
    service: str, database_of_module: Database, tmp_path: Path, spared: Nursery
) -> AsyncIterator[Server]:
    """A new process of a service."""
    factory, settings = f"{service}.app:create", environ(database_of_module)
    async with running(factory, tmp_path, settings, options=(), start=spared.fork) as server:
        yield server


@pytest.fixture
def peers() -> Iterator[list[socket.socket]]:
    """Sockets that are closed after the test."""
    opened: list[socket.socket] = []
    yield opened
    for peer in opened:
        peer.close()


def one(head: bytes, unit: bytes, times: int, end: bytes = b"") -> Attack:
    """One connection sends it all, and reads nothing. It is made when it is sent: some of it is large."""

    async def attack(server: Server, peers: list[socket.socket]) -> None:
        peers.append(await server.connect())
        await server.send(peers[-1], head + unit * times + end)

    return attack


def many(data: bytes, connections: int = MANY) -> Attack:
    """So many connections send it, and read nothing."""

    async def attack(server: Server, peers: list[socket.socket]) -> None:
        for _ in range(connections):
            peers.append(await server.connect())
            await server.send(peers[-1], data)

    return attack


ATTACKS: dict[str, Attack] = {
    "endless fields": one(HEAD, b"a:b\r\n", 2_000_000),
    "endless fields in a trailer": one(CHUNKED + b"0\r\n", b"a:b\r\n", 2_000_000),
    "a value of 60 MB": one(HEAD + b"A: ", b"x", 60_000_000),
    "a key of 2 MB": one(POST + b"Idempotency-Key: 1", b";a", 1_000_000, b"\r\n\r\n"),
    "a target of 10 MB": one(b"GET /", b"x", 10_000_000),
    "an extension of 10 MB": one(CHUNKED + b"1;", b"x", 10_000_000),
    "empty lines": one(b"", b"\r\n", 5_000_000),
    "an unread pipeline": one(b"", GET, 400_000),
    "an unread pipeline of large answers": one(b"", METRICS, 100_000),
    "a pipeline of chunked bodies": one(b"", CHUNKED + b"0\r\n\r\n", 100_000),
    "an endless body": one(POST + b"Content-Length: 60000000\r\n\r\n", b"x", 60_000_000),
    "half-sent heads": many(HEAD),
    "half-sent heads, each of them full": many(HEAD + (b"a: " + b"x" * 150 + b"\r\n") * 98),
    "answered requests of full size": many(
        POST
        + (b"a: " + b"x" * 150 + b"\r\n") * 90
        + b"Content-Length: 60000\r\n\r\n"
        + b"x" * 60_000,
        700,
    ),
    "half-sent bodies": many(POST + b"Content-Length: 65536\r\n\r\n" + b"x" * 60_000),
    "unread pipelines": many(GET * 5000, 50),
    "unread pipelines of large answers": many(METRICS * 500, 5),
    "connections without a byte": many(b""),
}


# The guard is the same code in each service. One has to bear everything; of the others it is shown that they have the guard, by an attack
# on each of its bounds: head, body, answers, connections.
ON_EACH = (
    "endless fields",
    "an endless body",
    "an unread pipeline of large answers",
    "half-sent heads",
    "connections without a byte",
)
ATTACKED = [("billing_service", name) for name in ATTACKS] + [
    (service, name) for service in ("order_service", "notification_service") for name in ON_EACH
]


@pytest.mark.parametrize(
    ("service", "attack"),
    [pytest.param(service, ATTACKS[name], id=f"{service}-{name}") for service, name in ATTACKED],
)
async def test_a_service_under_attack(
    attacked: Server, attack: Attack, peers: list[socket.socket]
) -> None:
    """It holds less than 40 MiB more than before, and a probe is answered within a second all the time."""
    await withstands(attacked, attack, peers)


async def test_large_answers_that_are_not_read(tmp_path: Path, peers: list[socket.socket]) -> None:
    """Hundreds of connections may not have a large answer each."""
    large = b"GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    async with running("tests.service_kit.http_guard.echo:create", tmp_path) as server:
        await withstands(server, many(large, 400), peers)


@pytest.mark.parametrize("fault", ["computes", "waits"])
async def test_a_slow_answer_is_noticed(
    tmp_path: Path, peers: list[socket.socket], fault: str
) -> None:
    """The negative control of what a probe takes."""
    factory = f"tests.service_kit.http_guard.echo:create_that_{fault}"
    async with running(factory, tmp_path) as server:
        with pytest.raises(AssertionError, match="< 1.0"):
            await withstands(server, one(b"", GET, 1), peers)


async def withstands(service: Server, attack: Attack, peers: list[socket.socket]) -> None:
    await service.health_s()
    before_kib = service.memory_kib()
    attacking = asyncio.create_task(attack(service, peers))
    slowest_s, most_kib = 0.0, 0
    try:
        while not attacking.done():
            slowest_s = max(slowest_s, await service.health_s())
            most_kib = max(most_kib, service.memory_kib())
            # Probes without a pause would take the core that the service needs.
            await asyncio.wait([attacking], timeout=BETWEEN_PROBES_S)
        await attacking
        slowest_s = max(slowest_s, await service.health_s())
        most_kib = max(most_kib, service.memory_kib())
    finally:
        attacking.cancel()
    assert most_kib - before_kib < GROWTH_MAX_KIB
    assert slowest_s < HEALTH_MAX_S


# asyncio's own loop accepts as many connections at once as the backlog has. When that takes the last descriptor, it accepts
# none for a second; uvloop finds its way out.
LOOPS = {
    "uvloop": (0.0, "--loop", "uvloop"),
    "asyncio": (ACCEPT_RETRY_DELAY, "--loop", "asyncio", "--backlog", "64"),
}


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS.keys())
@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "all at once"])
async def test_few_descriptors(
    tmp_path: Path, peers: list[socket.socket], loop: tuple[Any, ...], at_once: bool
) -> None:
    """With `ulimit -n 256` and more half-sent heads than that, a probe is answered within a second after the loop accepts again."""
    pause_s, *options = loop
    factory = "tests.service_kit.http_guard.echo:create"
    async with running(factory, tmp_path, options=(*GUARDED, *options), descriptors=256) as server:
        pid = server.child.pid
        if at_once:
            os.kill(pid, signal.SIGSTOP)
        for _ in range(50 if at_once and pause_s else 600):
            peers.append(await server.connect())
            await server.send(peers[-1], b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        os.kill(pid, signal.SIGCONT)
        assert await server.health_s() < HEALTH_MAX_S + pause_s
        assert len(os.listdir(f"/proc/{pid}/fd")) < 200
