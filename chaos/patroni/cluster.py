"""Three nodes of Patroni and one etcd, as real processes on this machine.

Guarantee: a node is started by Patroni with deploy/patroni/patroni.yml alone; a cluster is whole only when etcd names a
synchronous standby, so a strike never hits a leader that no node may succeed; at the end no process is left, also none of a
node that was paused or killed.
"""

import os
import secrets
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from chaos.patroni import programs
from stack import environ, ports
from stack.http_client import http_client
from stack.postgres import binaries, give, unprivileged
from stack.processes import Child, Command, StackError
from stack.schema import PROJECT
from stack.waiting import NotSeen, until

CONFIG = PROJECT / "deploy" / "patroni" / "patroni.yml"
OWNER = "owner"
_NODES = 3
# Patroni makes the first node, and two copies of it: each takes some seconds, on a busy machine a minute.
_START_BOUND_S = 300.0
_STOP_GRACE_S = 20.0


@dataclass
class Node:
    """One node: its ports, its folder, and its Patroni while it runs."""

    name: str
    folder: Path
    port: int
    api_port: int
    child: Child | None = None
    paused: list[int] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Of Postgres, host:port."""
        return f"{ports.LOOPBACK}:{self.port}"

    def postmaster(self) -> int | None:
        """The process id of its Postgres; None when it does not run."""
        try:
            pid = int(
                (self.folder / "data" / "postmaster.pid").read_text(encoding="utf-8").split()[0]
            )
            os.kill(pid, 0)
        except (OSError, ValueError, IndexError):
            return None
        return pid


class Cluster:
    """Use as `async with Cluster(directory) as cluster`."""

    def __init__(self, directory: Path, python: Path) -> None:
        self._directory = directory
        self._python = python
        self._passwords = {
            name: secrets.token_urlsafe(18) for name in ("superuser", "replication", "rewind")
        }
        # Two for each node, and two for etcd.
        free = iter(ports.choose_several(2 * _NODES + 2))
        self._etcd_ports = next(free), next(free)
        self._client = http_client(timeout=5.0)
        self.etcd: Child
        self.nodes = [
            Node(f"node-{n}", directory / f"node-{n}", next(free), next(free))
            for n in range(1, _NODES + 1)
        ]

    async def __aenter__(self) -> "Cluster":
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def url(self, user: str, password: str, database: str) -> str:
        """Of all nodes, of which the leader is taken."""
        hosts = ",".join(node.address for node in self.nodes)
        return f"postgresql://{user}:{password}@{hosts}/{database}"

    def owner_url(self, database: str) -> str:
        """As its owner, at the leader."""
        url = self.url(OWNER, self._passwords["superuser"], database)
        return f"{url}?target_session_attrs=read-write"

    async def leader(self) -> Node | None:
        """The node that holds the lock and is primary, by its own word; None while there is none."""
        for node in self.nodes:
            try:
                response = await self._client.get(
                    f"http://{ports.LOOPBACK}:{node.api_port}/primary"
                )
            except httpx.TransportError:
                continue
            if response.status_code == httpx.codes.OK:
                return node
        return None

    async def whole(self) -> Node:
        """Returns the leader when the cluster is `complete`. Raises `StackError` when it does not become so."""

        async def found() -> Node | None:
            leader = await self.leader()
            return leader if leader and complete(await self._members(leader)) else None

        try:
            return await until(found, _START_BOUND_S, "a leader, a synchronous standby", 0.2)
        except NotSeen as exc:
            raise StackError(
                f"Patroni does not make {_NODES} nodes with a leader and a synchronous standby:\n{self.log_ends()}"
            ) from exc

    def log_ends(self) -> str:
        """The last lines of each node that runs."""
        running = [(node.name, node.child) for node in self.nodes if node.child]
        return "\n".join(f"  {name}:\n{child.log_end()}" for name, child in running)

    async def start_node(self, node: Node) -> None:
        """Starts Patroni, which starts Postgres, or copies it from the leader."""
        node.folder.mkdir(exist_ok=True, mode=0o755)
        give(node.folder)
        command = Command(
            [*unprivileged("--pdeathsig", "TERM"), str(self._python), "-m", "patroni", str(CONFIG)],
            self.environ_of(node),
            node.folder,
        )
        node.child = Child(f"Patroni of {node.name}", command, self._directory / f"{node.name}.log")
        await node.child.start()

    async def kill(self, node: Node) -> None:
        """Kills Patroni and every process of Postgres of a node with SIGKILL: a machine that loses its power."""
        # What is stopped first starts nothing more.
        self.pause(node)
        if node.child is not None:
            await node.child.end(signal.SIGKILL)
        for pid in node.paused:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        node.child, node.paused = None, []

    def pause(self, node: Node) -> None:
        """Stops Patroni and every process of Postgres of a node with SIGSTOP: a machine that is suspended."""
        postmaster = node.postmaster()
        if node.child is None or postmaster is None:
            raise StackError(f"{node.name} does not run.")
        # The children come last: a postmaster that is stopped starts none.
        for pid in (node.child.pid, postmaster):
            _pause(node, pid)
        for pid in _children_of(postmaster):
            _pause(node, pid)

    def resume(self, node: Node) -> None:
        """Lets a paused node go on as if no time had passed."""
        for pid in reversed(node.paused):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        node.paused = []

    async def stop(self) -> None:
        """Stops everything, what is paused too."""
        for node in self.nodes:
            self.resume(node)
        for node in self.nodes:
            if node.child is not None:
                await node.child.stop(_STOP_GRACE_S)
            await _end_left_over(node)
        if hasattr(self, "etcd"):
            await self.etcd.stop(_STOP_GRACE_S)
        await self._client.aclose()

    async def _start(self) -> None:
        client, peer = (f"http://{ports.LOOPBACK}:{port}" for port in self._etcd_ports)
        argv = [programs.etcd(), "--data-dir", str(self._directory / "etcd")]
        argv += ["--listen-client-urls", client, "--advertise-client-urls", client]
        argv += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        argv += ["--initial-cluster", f"default={peer}"]
        command = Command(argv, environ.of_child(), self._directory)
        self.etcd = Child("etcd", command, self._directory / "etcd.log")
        await self.etcd.start()

        async def healthy() -> bool:
            try:
                return (await self._client.get(f"{client}/health")).status_code == httpx.codes.OK
            except httpx.TransportError:
                return False

        try:
            await until(healthy, 60.0, "etcd answers")
        except NotSeen as exc:
            raise StackError(f"etcd does not answer:\n{self.etcd.log_end()}") from exc
        for node in self.nodes:
            await self.start_node(node)
        await self.whole()

    async def _members(self, leader: Node) -> Sequence[Mapping[str, Any]]:
        """What etcd knows of each node, as its leader tells it."""
        try:
            response = await self._client.get(f"http://{ports.LOOPBACK}:{leader.api_port}/cluster")
        except httpx.TransportError:
            return []
        members: Sequence[Mapping[str, Any]] = response.json().get("members", [])
        return members

    def environ_of(self, node: Node) -> Mapping[str, str]:
        """Of its Patroni: what deploy/patroni/patroni.yml leaves open."""
        return environ.of_child(
            {
                "HOME": str(node.folder),
                "PATRONI_NAME": node.name,
                "PATRONI_RESTAPI_LISTEN": f"{ports.LOOPBACK}:{node.api_port}",
                "PATRONI_RESTAPI_CONNECT_ADDRESS": f"{ports.LOOPBACK}:{node.api_port}",
                "PATRONI_ETCD3_HOSTS": f"{ports.LOOPBACK}:{self._etcd_ports[0]}",
                "PATRONI_POSTGRESQL_LISTEN": node.address,
                "PATRONI_POSTGRESQL_CONNECT_ADDRESS": node.address,
                "PATRONI_POSTGRESQL_DATA_DIR": str(node.folder / "data"),
                "PATRONI_POSTGRESQL_BIN_DIR": str(binaries()),
                "PATRONI_POSTGRESQL_PGPASS": str(node.folder / "pgpass"),
                "PATRONI_SUPERUSER_USERNAME": OWNER,
                "PATRONI_SUPERUSER_PASSWORD": self._passwords["superuser"],
                "PATRONI_REPLICATION_USERNAME": "replication",
                "PATRONI_REPLICATION_PASSWORD": self._passwords["replication"],
                "PATRONI_REWIND_USERNAME": "rewind",
                "PATRONI_REWIND_PASSWORD": self._passwords["rewind"],
            }
        )


def complete(members: Sequence[Mapping[str, Any]]) -> bool:
    """Whether all nodes are there, all others stream from the leader, and etcd names one as the synchronous standby.

    Postgres says "sync" earlier: right after a promotion it takes any standby (`synchronous_standby_names = '*'`), and etcd
    names none. A leader that is lost then has no successor until it returns, because no node knows what was acknowledged.
    """
    leaders = [each for each in members if each["role"] == "leader"]
    others = [each for each in members if each["role"] != "leader"]
    return (
        (len(leaders), len(others)) == (1, _NODES - 1)
        and leaders[0]["state"] == "running"
        and all(each["state"] == "streaming" for each in others)
        and {each.get("timeline") for each in others} == {leaders[0].get("timeline")}
        and any(each["role"] == "sync_standby" for each in others)
    )


async def _end_left_over(node: Node) -> None:
    """Ends a Postgres whose Patroni is gone: an immediate shutdown, after which none of its processes is left."""
    postmaster = node.postmaster()
    if postmaster is None:
        return
    with suppress(ProcessLookupError):
        os.kill(postmaster, signal.SIGQUIT)

    async def gone() -> bool:
        return node.postmaster() is None

    try:
        await until(gone, _STOP_GRACE_S, "Postgres ends")
    except NotSeen:
        with suppress(ProcessLookupError):
            os.kill(postmaster, signal.SIGKILL)


def _children_of(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(each) for each in found.read_text(encoding="utf-8").split()]


def _pause(node: Node, pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        node.paused.append(pid)
