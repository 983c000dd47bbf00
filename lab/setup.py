"""What the lab strikes, and how it reaches it: processes started here, or containers beside the lab's own.

Guarantee: the lab knows processes only by what stands here, so a page means the same over both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from chaos.harness.harness import Harness
from chaos.harness.target import Target
from stack.ports import LOOPBACK
from stack.processes import Death
from stack.waiting import until

# A process inside a container is known a moment after its start.
_KNOWN_BOUND_S = 5.0


class Process(Protocol):
    """One replica of a service."""

    @property
    def name(self) -> str:
        """The service and the replica's number."""

    @property
    def pid(self) -> int:
        """Of the process that runs now, or ran last."""

    @property
    def running(self) -> bool:
        """Whether there is a living process."""

    @property
    def deaths(self) -> Sequence[Death]:
        """All that it was not asked for."""

    async def dead(self, deaths: int) -> None:
        """Returns when the process has died so many times in all."""


P = TypeVar("P", bound=Process)


class Services(Protocol[P]):
    """The processes of the three services. Each wait raises `StackError` when it cannot end well."""

    @property
    def moved(self) -> list[str]:
        """One sentence for each usual port that another program has."""

    def children(self, service: str) -> Sequence[P]:
        """The replicas of a service."""

    def url_of(self, child: P) -> str:
        """The address of one replica alone."""

    async def ready_after(self, child: P, deaths: int) -> None:
        """Returns when a replica that died so many times in all is ready again."""

    async def exchange(self, service: str, factory: str) -> None:
        """Restarts every replica of a service with another factory; returns when all are ready."""

    async def serve_until_stopped(self) -> None:
        """Returns on a signal that stops a command."""


@dataclass(frozen=True)
class Setup:
    """`published` is where the shell of a person reaches the stack; `proxy_host` is where services reach Toxiproxy's proxies,
    which listen at `proxy_listen`."""

    harness: Harness
    services: Services[Any]
    published: Target
    proxy_host: str = LOOPBACK
    proxy_listen: str = f"{LOOPBACK}:0"

    async def process(self, service: str, pid: int) -> Process:
        """The replica that has this process id, or had it. Raises `NotSeen` when none has."""

        async def found() -> Process | None:
            for child in self.services.children(service):
                if pid in (child.pid, *(death.pid for death in child.deaths)):
                    process: Process = child
                    return process
            return None

        return await until(found, _KNOWN_BOUND_S, f"{service} has a process {pid}")

    def at(self, listen: str) -> str:
        """Where services reach a proxy that listens there, host:port."""
        return f"{self.proxy_host}:{listen.rpartition(':')[2]}"
