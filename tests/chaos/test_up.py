"""A stack that is up, as a person meets it: in a shell for other programs, beside them, under nohup, and when it is killed.

The tests share one stack; only those of a stack's end have their own.
"""

import asyncio
import json
import os
import select
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stack import run_directory
from stack.http_client import http_client
from stack.schema import PROJECT
from tests.chaos.test_command_line import BOUND_S, command

pytestmark = pytest.mark.chaos
# What a person's shell may have exported for other programs, and what must not reach a child.
HOSTILE = {
    "PGSSLMODE": "require",
    "PGTARGETSESSIONATTRS": "read-only",
    "PGHOST": "/nowhere",
    "PGPASSFILE": "/nowhere",
    "PGOPTIONS": "-c nonsense=1",
    "PYTHONOPTIMIZE": "2",
    "PYTHONSTARTUP": "/nowhere",
    "PYTHONIOENCODING": "iso-8859-9",
    "SSL_CERT_FILE": "/nowhere",
    "REQUESTS_CA_BUNDLE": "/nowhere",
    "http_proxy": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
    "LC_ALL": "tr_TR.ISO-8859-9",
    "TMPDIR": "/nowhere",
    "GOROOT": "/nowhere",
    "PIP_USER": "1",
    "SECRET_OF_ANOTHER_PROGRAM": "secret",
}
SERVICES = ("order_service", "billing_service", "notification_service")


@dataclass(frozen=True)
class Running:
    """A command that said that its stack is up: what it said until then, and its stack.json."""

    process: asyncio.subprocess.Process
    run_dir: Path
    said: str
    stack: dict[str, Any]

    async def stops(self, number: signal.Signals) -> None:
        """It stops in order at a signal: neither a process nor its description is left."""
        assert len(self.stack["processes"]) == 8
        self.process.send_signal(number)
        assert await self.process.wait() == 0
        await self.gone()
        assert not (self.run_dir / "stack.json").exists()

    async def gone(self) -> None:
        """Returns when all of its processes have ended: told by the kernel, not by a clock."""
        for row in self.stack["processes"]:
            try:
                handle = os.pidfd_open(row["pid"])
            except ProcessLookupError:
                continue
            ended: list[int] = (await asyncio.to_thread(select.select, [handle], [], [], BOUND_S))[
                0
            ]
            os.close(handle)
            assert ended, f"{row['name']} is still there"


def as_from_a_terminal() -> None:
    """The tests themselves may have been started to ignore signals, which a child would inherit."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


def as_under_nohup() -> None:
    as_from_a_terminal()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


@asynccontextmanager
async def up(
    run_dir: Path,
    environ: dict[str, str] | None = None,
    before: Callable[[], object] = as_from_a_terminal,
) -> AsyncIterator[Running]:
    """`python -m chaos up` in a folder, once it says that it is up; killed in the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chaos", "up", "--replicas", "2", "--run-dir", str(run_dir)),
        cwd=PROJECT,
        env={**os.environ, **(environ or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=before,
    )
    try:
        assert process.stdout is not None
        said = b""
        async with asyncio.timeout(BOUND_S):
            while b"The stack is up" not in said:
                line = await process.stdout.readline()
                assert line, said.decode()
                said += line
        stack = json.loads((run_dir / "stack.json").read_text(encoding="utf-8"))
        yield Running(process, run_dir, said.decode(), stack)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """One for the tests of this module: under nohup, in a hostile shell, with a usual port taken. It stops at Ctrl-C."""
    with socket.socket() as taken:
        # Another stack on this machine may have the port; that is as good.
        with suppress(OSError):
            taken.bind(("127.0.0.1", 8001))
            taken.listen()
        environ = {**HOSTILE, "ORDER_LEASE_S": "11"}
        async with up(tmp_path_factory.mktemp("up"), environ, as_under_nohup) as running:
            yield running
            await running.stops(signal.SIGINT)


async def test_the_description_can_be_used(running: Running) -> None:
    """Replicas, addresses, tokens and databases of stack.json are those that work."""
    stack = running.stack
    names = {(row["name"], row["replica"]) for row in stack["processes"]}
    assert {(service, replica) for service in SERVICES for replica in (0, 1)} <= names
    assert sorted(stack["toxiproxy"]["proxies"]) == [
        "billing",
        "billing-db",
        "notification",
        "notification-db",
        "order-db",
    ]
    assert sorted(stack["databases"]) == ["billing", "notifications", "orders", "owner"]
    token = {"Authorization": f"Bearer {stack['tokens']['curl']}"}
    async with http_client(timeout=BOUND_S) as client:
        placed = await client.post(
            stack["urls"]["order_service"] + "/orders",
            json={"customer": "alice", "amount_cents": 1999, "item": "book"},
        )
        assert placed.status_code == 201
        for account, cents in (("alice", 998_001), ("bob", 1_000_000), ("carol", 1_000_000)):
            url = f"{stack['urls']['billing_service']}/accounts/{account}"
            assert (await client.get(url, headers=token)).json()["balance_cents"] == cents
        boots = {
            (await client.get(row["url"] + "/healthz")).json()["boot_id"]
            for row in stack["processes"]
            if row["name"] in SERVICES
        }
        assert len(boots) == 6


def test_a_shell_with_settings_for_other_programs(running: Running) -> None:
    """The stack starts all the same, and none of its processes has any of them."""
    for row in running.stack["processes"]:
        content = Path(f"/proc/{row['pid']}/environ").read_bytes().decode()
        found = dict(entry.split("=", 1) for entry in content.split("\0") if entry)
        # These two have other values in a child.
        for name in HOSTILE.keys() - {"LC_ALL", "TMPDIR"}:
            assert name not in found, (row["name"], name)
        assert found["LC_ALL"] == "C"
        assert Path(found["TMPDIR"]).is_dir()
        assert not any(name.startswith(("PG", "PIP_", "GO")) for name in found)
        if row["name"] == "order_service":
            assert found["ORDER_LEASE_S"] == "11"


def test_usual_ports_that_are_taken(running: Running) -> None:
    """It says which port is taken and which one is used in its place: curl lines of the README reach another program."""
    port = running.stack["urls"]["order_service"].rpartition(":")[2]
    assert port != "8001"
    sentence = (
        f"Port 8001 is taken by another program: order_service is at 127.0.0.1:{port} instead."
    )
    assert sentence in running.said


async def test_a_second_stack_in_the_same_folder(running: Running) -> None:
    """One sentence with the process that is in the way, and exit code 2; the first one runs on."""
    code, _, errors = await command("up", "--run-dir", str(running.run_dir))
    assert code == 2
    assert errors.strip() == (
        f"chaos: a stack runs already in {running.run_dir} (process {running.process.pid}); stop it first."
    )
    await is_ready(running)


async def test_a_hangup_under_nohup(running: Running) -> None:
    """A command that was started to ignore the hang-up does: the stack stays up."""
    status = Path(f"/proc/{running.process.pid}/status").read_text(encoding="utf-8")
    (ignored,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigIgn:"))
    assert int(ignored, 16) & 1 << (signal.SIGHUP - 1)
    running.process.send_signal(signal.SIGHUP)
    await is_ready(running)


async def is_ready(running: Running) -> None:
    async with http_client(timeout=BOUND_S) as client:
        url = running.stack["urls"]["order_service"]
        assert (await client.get(f"{url}/readyz")).status_code == 200


async def test_a_command_that_is_killed(tmp_path: Path) -> None:
    """No process is left, the next command says what is, and what was billed stays billed; a closed terminal stops the next one."""
    order = {"customer": "bob", "amount_cents": 5, "item": "pin"}
    async with up(tmp_path) as killed, http_client(timeout=BOUND_S) as client:
        url = killed.stack["urls"]["order_service"] + "/orders"
        placed = (await client.post(url, json=order)).json()
        # The hardest stop there is: the crash recovery of Postgres is part of the next start.
        killed.process.send_signal(signal.SIGKILL)
        await killed.process.wait()
        await killed.gone()
    # What is left over from a stack that was killed is not taken for one that runs.
    code, _, errors = await command("audit", "--run-dir", str(tmp_path))
    assert code == 2
    assert "stack.json is left over from a stack that was killed" in errors
    with run_directory.held(tmp_path):
        assert not (tmp_path / "stack.json").exists()
    async with up(tmp_path) as again, http_client(timeout=BOUND_S) as client:
        url = again.stack["urls"]["order_service"] + "/orders"
        assert (await client.get(f"{url}/{placed['order_id']}")).json()["status"] == "billed"
        assert again.stack["tokens"] == killed.stack["tokens"]
        await again.stops(signal.SIGHUP)
