"""A service on inherited sockets is the same as one that uvicorn's own command line runs."""

import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from stack import ports
from stack.processes import Child, Command
from stack.schema import PROJECT
from stack.waiting import until
from tests.service_kit.http_guard.server import GUARDED, Server, running

FACTORY = "tests.service_kit.http_guard.echo:create"
HOST = b" HTTP/1.1\r\nHost: 127.0.0.1\r\n"
CLOSE = b"Connection: close\r\n\r\n"
REQUESTS: dict[str, bytes] = {
    "a request": b"GET /echo?a=b" + HOST + b"X-A: b\r\n" + CLOSE,
    "a body": b"POST /echo" + HOST + b"Content-Length: 3\r\n" + CLOSE + b"abc",
    "a body in chunks": b"POST /echo"
    + HOST
    + b"Transfer-Encoding: chunked\r\n"
    + CLOSE
    + b"3\r\nabc\r\n0\r\nA: b\r\n\r\n",
    "a pipeline": b"GET /echo" + HOST + b"\r\n" + b"GET /two" + HOST + CLOSE,
    "HTTP/1.0": b"GET /echo HTTP/1.0\r\n\r\n",
    "forwarded": b"GET /echo" + HOST + b"X-Forwarded-For: 10.0.0.1\r\n" + CLOSE,
    "an upgrade": b"GET /echo" + HOST + b"Connection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n",
    "a head that is too large": b"GET /echo" + HOST + b"A: " + b"x" * 20_000 + b"\r\n\r\n",
    "two hosts": b"GET /echo" + HOST + b"Host: b\r\n\r\n",
    "an unknown method": b"FOO /echo" + HOST + b"\r\n",
}
# What differs between two processes, or from one second to the next.
_VOLATILE = re.compile(rb"date: [^\r]*|\"pid\": \d+|\"(?:begun|complete)\": \d+")


@asynccontextmanager
async def inherited(directory: Path) -> AsyncIterator[tuple[Server, set[int]]]:
    """The service as the stack starts it, on two sockets; and their ports."""
    with ports.listen("", None) as first, ports.listen("", None) as second:
        fds = (first.fileno(), second.fileno())
        argv = [sys.executable, "-m", "stack.serve", FACTORY, *map(str, fds)]
        command = Command(argv, dict(os.environ), PROJECT, inherited_fds=fds)
        child = Child("serve", command, directory / "serve.log")
        await child.start()
        server = Server(ports.port_of(first), child)

        async def answers() -> bool:
            try:
                await server.health_s()
                return True
            except OSError:
                return False

        try:
            await until(answers, 60, "the service answers")
            yield server, {ports.port_of(first), ports.port_of(second)}
        finally:
            await child.stop(20)


def listening(pid: int) -> set[int]:
    """The TCP ports at which a process listens, by /proc."""
    inodes = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        target = os.readlink(fd)
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found = set()
    for table in ("tcp", "tcp6"):
        path = Path(f"/proc/{pid}/net/{table}")
        for line in path.read_text(encoding="ascii").splitlines()[1:] if path.exists() else ():
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                found.add(int(fields[1].rpartition(":")[2], 16))
    return found


async def test_it_answers_as_under_uvicorns_command_line(tmp_path: Path) -> None:
    """Byte for byte, but for the date and the process: guard, headers, framing; on each socket, and on no other."""
    async with (
        inherited(tmp_path) as (server, own_ports),
        running(FACTORY, tmp_path, options=(*GUARDED, "--no-server-header")) as usual,
    ):
        assert listening(server.child.pid) == own_ports
        for port in own_ports:
            for name, request in REQUESTS.items():
                answers = [
                    _VOLATILE.sub(b"", await each.raw(request))
                    for each in (Server(port, server.child), usual)
                ]
                assert answers[0], name
                assert answers[0] == answers[1], name


async def test_a_service_that_cannot_start(tmp_path: Path) -> None:
    """An exit code other than 0, so that its supervisor knows: the application's start failed."""
    with ports.listen("", None) as listener:
        argv = [sys.executable, "-m", "stack.serve", f"{__name__}:fails", str(listener.fileno())]
        command = Command(argv, dict(os.environ), PROJECT, inherited_fds=(listener.fileno(),))
        child = Child("serve", command, tmp_path / "serve.log")
        await child.start()
        try:
            await child.dead(1)
            assert child.deaths[0].return_code == 3
        finally:
            await child.stop(20)


def fails() -> ASGIApp:
    """The factory of an application whose start fails."""

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    return app
