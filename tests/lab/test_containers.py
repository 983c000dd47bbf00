"""A service under its supervisor, and the lab's way to command it: on this machine, with the Postgres of these tests."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from chaos.runner.run import WRAPPED
from lab import containers
from lab.containers import Container, Containers
from lab.supervisor import create, socket_of
from stack import ports
from stack.processes import StackError
from stack.replicas import Replicas
from stack.schema import PROJECT
from stack.waiting import until

pytestmark = pytest.mark.chaos

BOUND_S = 120.0
SERVICE = "notification_service"
BARE = "notification_service.app:create"


class Supervisor:
    """One running process, and the settings of its service."""

    def __init__(self, run_dir: Path, environ: dict[str, str]) -> None:
        self.run_dir = run_dir
        self.port = ports.choose("", None)
        self._environ = environ
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        """Returns at once."""
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-E", "-m", "lab.supervisor", SERVICE, str(self.port)),
            *("--run-dir", str(self.run_dir), "--control", "127.0.0.1:9"),
            cwd=PROJECT,
            env={**os.environ, **self._environ},
        )

    async def stop(self, with_signal: signal.Signals) -> int:
        """The exit code."""
        if self.process.returncode is None:
            self.process.send_signal(with_signal)
        async with asyncio.timeout(BOUND_S):
            return await self.process.wait()


@pytest.fixture
async def supervisor(tmp_path: Path, database: Any) -> AsyncIterator[Supervisor]:
    """One that runs."""
    supervisor = Supervisor(
        tmp_path,
        {
            "NOTIFICATION_DATABASE_URL": database.notification,
            "NOTIFICATION_TOKENS": '{"order_service": "token-of-order_service"}',
        },
    )
    await supervisor.start()
    yield supervisor
    await supervisor.stop(signal.SIGTERM)


@pytest.fixture
async def container(supervisor: Supervisor) -> AsyncIterator[Container]:
    """The lab's side of it, when the service is ready."""
    container = Container(SERVICE, supervisor.run_dir)
    await until(container.read, BOUND_S, "the supervisor answers")
    await container.command("ready", name=f"{SERVICE}-0", deaths=0)
    yield container
    await container.client.aclose()


async def test_a_killed_process_is_another_one_afterwards(container: Container) -> None:
    """Its death has the exit code of the signal; the next process has another id and is ready."""
    (replica,) = container.replicas.values()
    pid = replica.pid
    os.kill(pid, signal.SIGKILL)
    await replica.dead(1)
    assert [(death.pid, death.return_code) for death in replica.deaths] == [(pid, -9)]
    await container.command("ready", name=replica.name, deaths=1)
    assert replica.running
    assert replica.pid != pid


async def test_a_service_is_exchanged(container: Container) -> None:
    """Another process runs another factory, and that is no death."""
    (replica,) = container.replicas.values()
    pid = replica.pid
    await container.command("exchange", factory=BARE)
    assert container.factory == BARE
    assert replica.pid != pid
    assert replica.deaths == []


async def test_a_service_that_does_not_start(tmp_path: Path) -> None:
    """What the supervisor says of it reaches the lab."""

    class Failing:
        async def exchange(self, factory: str) -> None:
            raise StackError(f"{factory} ended with code 2")

    container = Container(SERVICE, tmp_path)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create(cast(Replicas, Failing()))), base_url="http://x"
    ) as container.client:
        with pytest.raises(StackError, match="^it ended with code 2$"):
            await container.command("exchange", factory="it")


async def test_what_an_earlier_lab_has_planted_is_taken_away(
    container: Container, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lab that begins finds the services without a bug."""
    await container.command("exchange", factory=BARE)
    monkeypatch.setattr(containers, "WRAPPED", {SERVICE: WRAPPED[SERVICE]})
    async with Containers(supervisor.run_dir) as found:
        await container.read()
        assert container.factory == WRAPPED[SERVICE]
        (replica,) = found.children(SERVICE)
        # The name is that of the container, whose service listens on every address of this machine.
        url = httpx.URL(found.url_of(replica))
        assert (url.host, url.port == supervisor.port) == (SERVICE, False)
        async with httpx.AsyncClient() as client:
            answer = await client.get(url.copy_with(host=ports.LOOPBACK, path="/healthz"))
        assert answer.status_code == 200


async def test_a_container_that_ends(container: Container, supervisor: Supervisor) -> None:
    """SIGTERM stops the service in order and is no failure; the lab sees no running process, and says who does not answer."""
    (replica,) = container.replicas.values()
    assert await supervisor.stop(signal.SIGTERM) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(replica.pid, 0)
    assert not await container.read()
    assert not replica.running
    with pytest.raises(StackError, match=f"the container of {SERVICE} does not answer"):
        await container.command("exchange", factory=BARE)


async def test_a_killed_supervisor_comes_back(container: Container, supervisor: Supervisor) -> None:
    """Its service dies with it; the next one takes the socket over, and the lab finds it by the same name."""
    (replica,) = container.replicas.values()
    pid = replica.pid
    assert await supervisor.stop(signal.SIGKILL) == -9
    await supervisor.start()
    await until(container.read, BOUND_S, "the supervisor answers again")
    assert replica.pid != pid
    await container.command("ready", name=replica.name, deaths=0)


async def test_only_its_owner_reaches_the_socket(
    container: Container, supervisor: Supervisor
) -> None:
    """No other account of the machine may command the service."""
    path = socket_of(supervisor.run_dir, SERVICE)
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("told", ["", "{}", "[]", '{"databases": {"owner": 7}}', "nonsense"])
def test_a_stack_that_is_not_described(monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    """One sentence that names the variable."""
    monkeypatch.setenv("LAB_STACK", told)
    with pytest.raises(StackError, match="LAB_STACK does not describe a stack"):
        containers._described()


def test_a_password_of_any_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands in the owner's URL as URLs write it; a person's addresses are told apart from the lab's own."""
    told = """{"urls": {"order_service": "http://o", "billing_service": "http://b", "notification_service": "http://n"},
    "toxiproxy": {"url": "http://toxiproxy:8474"}, "databases": {"owner": "postgresql://owner@postgres/x"},
    "tokens": {"order_service": "o", "curl": "c"}, "published": {"toxiproxy": {"url": "http://127.0.0.1:8475"}}}"""
    monkeypatch.setenv("LAB_STACK", told)
    monkeypatch.setenv("LAB_OWNER_PASSWORD", "a/b@c")
    target, published = containers._described()
    assert target.owner == published.owner == "postgresql://owner:a%2Fb%40c@postgres/x"
    assert target.toxiproxy == "http://toxiproxy:8474"
    assert published.toxiproxy == "http://127.0.0.1:8475"
    assert published.urls == target.urls
