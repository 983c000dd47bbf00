"""The compose gateway is a Toxiproxy, which bounds nothing itself: what bounds it are the services behind it.

With the real Toxiproxy, in the environment that docker-compose.yml gives it, in front of a guarded process.
"""

import asyncio
import os
import resource
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stack import ports, toxiproxy
from stack.processes import Child, Command
from stack.servers import CACHE
from stack.toxics import Toxiproxy, ToxiproxyError
from stack.waiting import NotSeen, until
from tests.architecture import compose_file
from tests.service_kit.http_guard.server import Server, running

HALF_A_HEAD = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
GATEWAY = compose_file.definition()["services"]["gateway"]


@pytest.fixture
def peers() -> Iterator[list[socket.socket]]:
    """Sockets that are closed after the test."""
    opened: list[socket.socket] = []
    yield opened
    for peer in opened:
        peer.close()


@asynccontextmanager
async def gateway(
    directory: Path, upstream: int, descriptors: int, environ: Mapping[str, str]
) -> AsyncIterator[Server]:
    """A Toxiproxy with one proxy to this port."""
    binary = await toxiproxy.find_or_build(CACHE, lambda _: None)
    port = ports.choose("", None)
    argv = ["/bin/bash", "-c", f'ulimit -n {descriptors}; exec "$@"', "bash", str(binary)]
    argv += ["-host", ports.LOOPBACK, "-port", str(port)]
    child = Child("gateway", Command(argv, environ, directory), directory / f"gateway-{port}.log")
    await child.start()
    admin = Toxiproxy(f"http://{ports.LOOPBACK}:{port}")

    async def made() -> int:
        try:
            state = await admin.create("service", f"{ports.LOOPBACK}:{upstream}")
        except ToxiproxyError:
            return 0
        return int(state.listen.rpartition(":")[2])

    try:
        yield Server(await until(made, 20, "Toxiproxy answers"), child)
    finally:
        await child.stop(5)


async def test_the_gateway_under_attack(tmp_path: Path, peers: list[socket.socket]) -> None:
    """4,000 half-sent heads: it stays below its memory, and a probe through it is answered."""
    descriptors = min(int(GATEWAY["ulimits"]["nofile"]["hard"]), _descriptors_max())
    limit_mib = int(GATEWAY["mem_limit"].removesuffix("m"))
    async with (
        running("tests.service_kit.http_guard.echo:create", tmp_path) as server,
        gateway(tmp_path, server.port, descriptors, GATEWAY["environment"]) as proxied,
    ):
        for _ in range(4000):
            peers.append(await proxied.connect())
            await proxied.send(peers[-1], HALF_A_HEAD)
        # Each connection that the service has ended is ended on both sides of the gateway.
        bound = 2 * 1000 + 100
        folder = f"/proc/{proxied.child.pid}/fd"

        async def bounded() -> bool:
            return len(os.listdir(folder)) < bound

        await until(bounded, 20, "the gateway has ended what the service has ended")
        assert proxied.memory_most_kib() < limit_mib * 1024
        await proxied.health_s()


async def test_without_descriptors_a_proxy_ends(tmp_path: Path, peers: list[socket.socket]) -> None:
    """Why descriptors are no bound for it: when accept() fails once, the proxy never accepts again, though it runs on.

    The last descriptor is used by an accept() or by the connection to the service; the next one that is wanted fails.
    """
    async with running("tests.service_kit.http_guard.echo:create", tmp_path) as server:
        for descriptors in range(101, 121):
            async with gateway(tmp_path, server.port, descriptors, {}) as proxied:
                for _ in range(150):
                    peers.append(await proxied.connect())
                accepted = await until(lambda: _what_failed(proxied), 20, "descriptors are out")
                while peers:
                    peers.pop().close()
                if accepted == "connecting":
                    continue
                with pytest.raises(NotSeen):
                    await until(lambda: _answers(proxied), 3, "the proxy answers")
                assert proxied.child.running
                return
    pytest.fail("accept() never failed")


async def _what_failed(proxied: Server) -> str:
    log = proxied.child.log.read_text(encoding="utf-8")
    if "Error while accepting client" in log:
        return "accepting"
    return "connecting" if "Unable to open connection" in log else ""


async def _answers(proxied: Server) -> bool:
    try:
        async with asyncio.timeout(1):
            await proxied.health_s()
            return True
    except (OSError, ValueError):
        return False


def _descriptors_max() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]
