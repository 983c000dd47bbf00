"""The processes of one service: they accept from one listening socket, and each has another one of its own.

Guarantee: a replica that dies is started again with what runs now; an exchange ends when every replica is ready.
"""

import asyncio
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stack import readiness
from stack.ports import LOOPBACK
from stack.processes import Child, Command, Start, execute
from stack.schema import PROJECT

# Starting Python with FastAPI takes about a second a process; on a busy machine many times that.
READY_TIMEOUT_S = 60.0
# Longer than a service's own grace for requests in flight.
STOP_GRACE_S = 15.0


class Replicas:
    """`own` holds a listening socket for each replica, `environs` the environment of each; logs go to the folder `logs`."""

    def __init__(
        self,
        service: str,
        factory: str,
        *,
        shared: socket.socket,
        own: Sequence[socket.socket],
        environs: Sequence[Mapping[str, str]],
        logs: Path,
        on_restart: Callable[[], None] = lambda: None,
        start: Start = execute,
    ) -> None:
        self.factory = factory
        self.children: list[Child] = []
        self.ports: dict[str, int] = {}
        for replica, (listener, environ) in enumerate(zip(own, environs, strict=True)):
            name = f"{service}-{replica}"
            fds = [shared.fileno(), listener.fileno()]
            command = Command(_argv(factory, fds), environ, PROJECT, inherited_fds=fds)
            child = Child(name, command, logs / f"{name}.log", on_restart=on_restart, start=start)
            self.children.append(child)
            self.ports[name] = listener.getsockname()[1]

    async def exchange(self, factory: str) -> None:
        """Restarts every replica with another factory; returns when all are ready. Raises `StackError`."""
        self.factory = factory
        await asyncio.gather(
            *(
                child.run_instead(_argv(factory, child.inherited_fds), STOP_GRACE_S)
                for child in self.children
            )
        )
        await self.ready()

    async def ready(self) -> None:
        """Returns when every replica does its job. Raises `StackError`."""
        await asyncio.gather(*map(self.ready_one, self.children))

    async def ready_one(self, child: Child) -> None:
        """Returns when one of them does."""
        await readiness.wait(child, self.url_of(child), READY_TIMEOUT_S)

    def url_of(self, child: Child) -> str:
        """The address of one replica alone, on this machine."""
        return f"http://{LOOPBACK}:{self.ports[child.name]}"


def _argv(factory: str, fds: Sequence[int]) -> list[str]:
    return [sys.executable, "-m", "stack.serve", factory, *map(str, fds)]
