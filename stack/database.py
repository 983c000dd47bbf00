"""The servers of Postgres in a stack and the hops to them: one primary, and a synchronous standby if one is asked for.

Guarantee: a promotion ends the old primary first and cuts what it may still send, so that there are never two; the services
reach both servers through proxies whose addresses never change; the next start finds the newest data.
"""

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

from stack import ports, standby
from stack.postgres import PostgresCluster
from stack.processes import Child, StackError
from stack.standby import Standby
from stack.toxics import Toxiproxy

# The hop from each service to its database; the hop to the other server has this name and a suffix.
HOPS = ("order-db", "billing-db", "notification-db")
REPLICATION = "replication"
# The two change their roles with each failover.
_FOLDERS = ("postgres", "postgres-standby")
_SUFFIX = "-standby"
# Names the folder of the primary in the run directory.
_PRIMARY = "primary"
_NO_STANDBY = "there is no standby to promote; start the stack with STANDBY=1."


class DatabaseServers:
    """`choose_port` gives the port of the first server; `on_restart` is called when a server was started again."""

    def __init__(
        self, run_dir: Path, choose_port: Callable[[], int], on_restart: Callable[[], None]
    ) -> None:
        self._run_dir = run_dir
        self._on_restart = on_restart
        self._toxiproxy: Toxiproxy
        self._first_folder = _primary_folder(run_dir)
        self.primary = PostgresCluster(
            run_dir / self._first_folder,
            run_dir / "logs" / f"{self._first_folder}.log",
            choose_port,
            on_restart=on_restart,
        )
        self.standby: Standby | None = None
        # Where each proxy listens, host:port.
        self.proxies: dict[str, str] = {}

    async def start(self) -> None:
        """Starts the primary. Raises `StackError`."""
        await self.primary.start()
        # Of an earlier stack, which had a standby: without one nothing would ever be committed.
        await standby.release(self.primary)

    async def stop(self) -> None:
        """Stops what runs, the primary first: it flushes its log to the standby."""
        for server in (self.primary, self.standby):
            if server is not None and hasattr(server, "child"):
                await server.stop()

    async def open_hops(self, toxiproxy: Toxiproxy) -> None:
        """Makes the proxies between the services and the primary."""
        self._toxiproxy = toxiproxy
        self.proxies.clear()
        for hop in HOPS:
            await self._open(hop, self._address(self.primary))

    async def join(self) -> None:
        """Adds a synchronous standby, a new copy in the folder that the primary does not have. Raises `StackError`."""
        await self._open(REPLICATION, self._address(self.primary))
        folder = _FOLDERS[1 - _FOLDERS.index(self.primary.folder)]
        joining = Standby(
            self.primary,
            self.proxies[REPLICATION],
            self._run_dir / folder,
            self._run_dir / "logs" / f"{folder}.log",
            lambda: ports.choose("", None),
            self._on_restart,
        )
        await joining.start()
        self.standby = joining
        for hop in HOPS:
            await self._open(self._hop(hop, folder), self._address(joining))

    async def fail_over(self) -> None:
        """Kills the primary and promotes the standby. Raises `StackError`."""
        if self.standby is None:
            raise StackError(_NO_STANDBY)
        await self.end_primary()
        await self.promote()

    async def end_primary(self) -> None:
        """Kills the primary for good, and cuts what is still buffered on its way to the standby."""
        await self.primary.child.end(signal.SIGKILL)
        await self.cut_replication()

    async def cut_replication(self) -> None:
        """Closes the way to the standby; what is buffered on it is dropped."""
        if REPLICATION in self.proxies:
            await self._toxiproxy.delete(REPLICATION)
            del self.proxies[REPLICATION]

    async def follow_again(self) -> None:
        """Opens the way to the standby anew, at its old address; returns when commits wait for it again."""
        await self._toxiproxy.recreate(REPLICATION)
        await standby.require(self.primary)

    async def promote(self, *, beside: PostgresCluster | None = None) -> None:
        """Makes the standby the primary; the old one was ended before. Raises `StackError`.

        `beside` is an old primary that still runs and was made to only read.
        """
        if self.standby is None:
            raise StackError(_NO_STANDBY)
        if self.primary.child.running and self.primary is not beside:
            raise StackError("the primary still runs: there must not be two.")
        await self.standby.promote()
        self.primary, self.standby = self.standby, None
        _remember_primary(self._run_dir, self.primary.folder)

    def owner_url(self, database: str) -> str:
        """Past all proxies; with a standby, both servers, of which the primary is taken."""
        url = self.primary.url(database)
        if self.standby is None:
            return url
        here = self._address(self.primary)
        both = url.replace(here, f"{here},{self._address(self.standby)}")
        return f"{both}?target_session_attrs=read-write"

    def addresses(self, hop: str) -> str:
        """Where a service finds its database by this hop: host:port, of both servers where there are two."""
        names = (hop, f"{hop}{_SUFFIX}")
        return ",".join(self.proxies[name] for name in names if name in self.proxies)

    def children(self) -> Mapping[str, tuple[Child, str]]:
        """The processes that run, with their addresses."""
        servers = {"postgres": self.primary, "standby": self.standby}
        return {
            name: (server.child, f"postgresql://{self._address(server)}")
            for name, server in servers.items()
            if server is not None
        }

    def _hop(self, hop: str, folder: str) -> str:
        """The proxy before one server: that of the first one has the usual name, whichever is primary now."""
        return hop if folder == self._first_folder else f"{hop}{_SUFFIX}"

    async def _open(self, name: str, upstream: str) -> None:
        """A proxy, at the address that it had before."""
        listen = self.proxies.get(name, f"{ports.LOOPBACK}:0")
        if name in self.proxies:
            await self._toxiproxy.delete(name)
        self.proxies[name] = (await self._toxiproxy.create(name, upstream, listen)).listen

    @staticmethod
    def _address(server: PostgresCluster) -> str:
        return f"{ports.LOOPBACK}:{server.port}"


def _primary_folder(run_dir: Path) -> str:
    try:
        named = (run_dir / _PRIMARY).read_text(encoding="utf-8").strip()
    except OSError:
        named = ""
    return named if named in _FOLDERS else _FOLDERS[0]


def _remember_primary(run_dir: Path, folder: str) -> None:
    draft = run_dir / f"{_PRIMARY}.tmp"
    draft.write_text(folder + "\n", encoding="utf-8")
    os.replace(draft, run_dir / _PRIMARY)
