"""A real uvicorn in a process of its own, and a peer that writes what it likes to its socket.

Guarantee: the process is as an operator starts it; a peer's socket has no client library that would be too polite.
"""

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from stack import ports
from stack.processes import Child, Command, Start, execute
from stack.schema import PROJECT
from stack.waiting import until
from tests.service_kit.http_guard import pace
from tests.service_kit.http_guard.connection import Answer, parsed

GUARDED = ("--http", "service_kit.http_guard:GuardedProtocol")
HEALTHZ = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
_START_S = 60.0
_ANSWER_S = 20.0


@dataclass(frozen=True)
class Server:
    """A running process."""

    port: int
    child: Child

    def memory_kib(self) -> int:
        """Resident memory now."""
        return self._status("VmRSS")

    def memory_most_kib(self) -> int:
        """The most it ever was."""
        return self._status("VmHWM")

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.child.pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
        raise RuntimeError(f"the kernel tells no {name}")

    async def ask(self, *segments: bytes) -> list[Answer]:
        """The answers until the server ends the connection, which is sent these segments one by one."""
        return parsed(await self.raw(*segments))

    async def raw(self, *segments: bytes) -> bytes:
        """The same, as it was received."""
        reader, writer = await asyncio.open_connection(ports.LOOPBACK, self.port)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            # A server may answer before it has everything.
            with suppress(ConnectionError):
                for segment in segments:
                    writer.write(segment)
                    await writer.drain()
            async with asyncio.timeout(_ANSWER_S):
                return await reader.read()
        finally:
            writer.close()

    async def health_s(self) -> float:
        """How long a probe takes, its connection included: in seconds of a usual core, and without waits for one.

        Other work on the machine makes a probe wait, and a core slower; neither is the server's doing. What the server computes,
        and what else it waits for, is. Raises when there is no good answer, and `TimeoutError` after `_ANSWER_S`.
        """
        slowness = pace.slowness()
        begun_s = time.monotonic()
        before = [_scheduled(pid) for pid in (self.child.pid, os.getpid())]
        (answer,) = await self.ask(HEALTHZ)
        assert answer.status == 200
        after = [_scheduled(pid) for pid in (self.child.pid, os.getpid())]
        computed_s = after[0][0] - before[0][0]
        # The attack is sent from here, too. What overlaps is taken away twice.
        others_s = after[0][1] - before[0][1] + sum(after[1]) - sum(before[1])
        waited_s = time.monotonic() - begun_s - others_s - computed_s
        slowness = (slowness + pace.slowness()) / 2
        return max(0, waited_s) + computed_s / slowness

    async def connect(self) -> socket.socket:
        """A socket that neither reads nor blocks."""
        peer = socket.socket()
        # What the kernel takes for it is not held by the server: the less, the sooner the server has to hold it.
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.setblocking(False)
        await asyncio.get_running_loop().sock_connect(peer, (ports.LOOPBACK, self.port))
        return peer

    async def send(self, peer: socket.socket, data: bytes) -> None:
        """Sends as much as the server takes within a second; a server may take nothing more, or end."""
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(1):
                await asyncio.get_running_loop().sock_sendall(peer, data)


def _scheduled(pid: int) -> tuple[float, float]:
    """For how long a process has computed, and waited for a processor, in seconds (Linux: Documentation/scheduler/sched-stats)."""
    computed, queued, _ = Path(f"/proc/{pid}/schedstat").read_text(encoding="utf-8").split()
    return int(computed) / 1e9, int(queued) / 1e9


@asynccontextmanager
async def running(
    factory: str,
    directory: Path,
    environ: Mapping[str, str] | None = None,
    *,
    options: tuple[str, ...] = GUARDED,
    descriptors: int | None = None,
    start: Start = execute,
) -> AsyncIterator[Server]:
    """Runs `uvicorn FACTORY --factory` with these options, and with so many descriptors at most."""
    port = ports.choose("", None)
    argv = [sys.executable, "-m", "uvicorn", factory, "--factory", "--port", str(port)]
    argv += ["--no-access-log", "--log-level", "warning", *options]
    if descriptors is not None:
        argv = ["/bin/bash", "-c", f'ulimit -n {descriptors}; exec "$@"', "bash", *argv]
    command = Command(argv, {**os.environ, **(environ or {})}, PROJECT)
    child = Child(f"server-{port}", command, directory / f"server-{port}.log", start=start)
    server = Server(port, child)
    await child.start()

    async def answers() -> bool:
        try:
            await server.health_s()
            return True
        except OSError:
            return False

    try:
        await until(answers, _START_S, f"{factory} answers")
        yield server
    finally:
        await child.stop(_ANSWER_S)
