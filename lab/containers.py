"""The services of a compose project, in containers beside the lab's own, and the lab's way to command them.

Guarantee: what an earlier lab has left (a planted bug, a proxy of a column) is taken away before the page is served.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from chaos.evidence.journal import Journal
from chaos.harness.harness import Harness
from chaos.harness.target import Target, described
from chaos.runner.run import WRAPPED
from lab.columns import COLUMNS
from lab.setup import Setup
from lab.supervisor import CONTROL_PORT, JOURNAL, socket_of
from lab.switchboard import Switchboard
from stack.processes import Death, StackError
from stack.replicas import READY_TIMEOUT_S, STOP_GRACE_S
from stack.service_environ import order_tokens
from stack.serving import until_stopped
from stack.toxics import Refused
from stack.waiting import NotSeen, until

# As stack.json describes a stack, with `published` beside it: the addresses that a person's shell reaches.
STACK_VARIABLE = "LAB_STACK"
PASSWORD_VARIABLE = "LAB_OWNER_PASSWORD"  # noqa: S105 - a name
_EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - of a container
# Each replica stops in order, and starts.
_COMMAND_TIMEOUT_S = STOP_GRACE_S + READY_TIMEOUT_S + 5.0
# A process that died by itself is shown this late at the most; what the lab waits for is asked more often.
_PAUSE_S = 0.5


class Replica:
    """One process, as its supervisor described it last."""

    def __init__(self, container: "Container", name: str, told: Mapping[str, Any]) -> None:
        self.name = name
        self.container = container
        self.told = told

    @property
    def pid(self) -> int:
        """Inside its container."""
        return int(self.told["pid"])

    @property
    def running(self) -> bool:
        """Whether there is a living process."""
        return bool(self.told["running"])

    @property
    def deaths(self) -> Sequence[Death]:
        """Since its container was started."""
        return [Death(pid, code) for pid, code in self.told["deaths"]]

    async def dead(self, deaths: int) -> None:
        """Returns when it has died so many times in all."""

        async def has_died() -> bool:
            await self.container.read()
            return len(self.deaths) >= deaths

        await until(has_died, _COMMAND_TIMEOUT_S, f"{self.name} dies")


class Container:
    """One service, commanded through its supervisor."""

    def __init__(self, service: str, run_dir: Path) -> None:
        self.service = service
        self.replicas: dict[str, Replica] = {}
        self.factory = ""
        path = str(socket_of(run_dir, service))
        self.client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=path),
            base_url="http://localhost",
            timeout=_COMMAND_TIMEOUT_S,
            trust_env=False,
        )

    async def read(self) -> bool:
        """Asks how its processes are; whether there was an answer."""
        try:
            found = (await self.client.get("/")).json()
        except httpx.TransportError:
            for replica in self.replicas.values():
                replica.told = {**replica.told, "running": False}
            return False
        self.factory = found["factory"]
        for name, told in found["children"].items():
            self.replicas.setdefault(name, Replica(self, name, told)).told = told
        return True

    async def command(self, verb: str, **body: Any) -> None:
        """Raises `StackError` with what the supervisor says, or that it says nothing."""
        try:
            response = await self.client.post(f"/{verb}", json=body)
        except httpx.TransportError as exc:
            raise StackError(f"the container of {self.service} does not answer.") from exc
        if response.is_error:
            raise StackError(response.json().get("error", response.text))
        await self.read()


class Containers:
    """Use as `async with Containers(run_dir) as containers`. Raises `StackError` when one of them does not answer."""

    def __init__(self, run_dir: Path) -> None:
        self.moved: list[str] = []
        self._containers = {service: Container(service, run_dir) for service in WRAPPED}
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> "Containers":
        try:
            for service, container in self._containers.items():
                self._exit.push_async_callback(container.client.aclose)
                await until(container.read, READY_TIMEOUT_S, f"the container of {service} answers")
                if container.factory != WRAPPED[service]:
                    await self.exchange(service, WRAPPED[service])
        except NotSeen as exc:
            await self._exit.aclose()
            raise StackError(f"{exc}.") from exc
        following = asyncio.create_task(self._follow())
        self._exit.callback(following.cancel)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exit.aclose()

    def children(self, service: str) -> list[Replica]:
        """The replicas of a service."""
        return list(self._containers[service].replicas.values())

    def url_of(self, child: Replica) -> str:
        """The address of one replica alone, in the network of the containers."""
        return f"http://{child.container.service}:{child.told['port']}"

    async def ready_after(self, child: Replica, deaths: int) -> None:
        """Returns when a replica that died so many times in all is ready again."""
        await child.container.command("ready", name=child.name, deaths=deaths)

    async def exchange(self, service: str, factory: str) -> None:
        """Restarts every replica of a service with another factory; returns when all are ready."""
        await self._containers[service].command("exchange", factory=factory)

    async def serve_until_stopped(self) -> None:
        """Returns on a signal that stops a command."""

        async def fail_over() -> None:
            """The compose stack has no standby."""

        await until_stopped(list, fail_over)

    async def _follow(self) -> None:
        while True:
            for container in self._containers.values():
                await container.read()
            await asyncio.sleep(_PAUSE_S)


@asynccontextmanager
async def opened(run_dir: Path) -> AsyncIterator[Setup]:
    """The containers that `LAB_STACK` describes. Raises `StackError`."""
    target, published = _described()
    path = run_dir / JOURNAL
    # The wrapped services append to it, and keep it open: it is emptied, not made anew.
    with path.open("w", encoding="utf-8"):
        pass
    async with (
        Switchboard(_EVERY_ADDRESS, CONTROL_PORT) as control,
        Containers(run_dir) as containers,
    ):
        harness = Harness(target, Journal(path), control=control)
        try:
            for column in COLUMNS:
                with suppress(Refused):
                    await harness.toxiproxy.delete(column.proxy)
            proxy_host = target.toxiproxy.removeprefix("http://").partition(":")[0]
            yield Setup(harness, containers, published, proxy_host, "[::]:0")
        finally:
            await harness.close()


def _described() -> tuple[Target, Target]:
    """The stack as the lab reaches it, and as a person does."""
    try:
        told = json.loads(os.environ[STACK_VARIABLE])
        told["order_tokens"] = order_tokens(os.environ)
        password = quote(os.environ.get(PASSWORD_VARIABLE, ""), safe="")
        owner = told["databases"]["owner"].replace("://owner@", f"://owner:{password}@")
        told["databases"]["owner"] = owner
        return described(told), described({**told, **told["published"]})
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise StackError(f"{STACK_VARIABLE} does not describe a stack.") from exc
