"""Postgres, Toxiproxy and the nursery of services: those of one stack, or those that several stacks have one after the other.

Guarantee: a stack finds its own database with the newest schema, and its own proxies. Of servers that are lent, a stack leaves nothing
for the next one but the running servers: its database is dropped and its proxies are deleted.
"""

import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from stack import credentials, ports, run_directory, toxiproxy
from stack.credentials import Credentials
from stack.database import DatabaseServers
from stack.nursery import Nursery
from stack.postgres import PostgresCluster
from stack.processes import Child
from stack.schema import PROJECT, migrate
from stack.toxiproxy import ToxiproxyServer

CACHE = PROJECT / ".cache"
_DATABASE = "billed_once"
_TEMPLATE = "template_of_stacks"

Say = Callable[[str], None]
Choose = Callable[[str], int]


class Servers:
    """The servers of one stack, whose data stay in `run_dir`; `choose_port` gives the port of each by its name.

    `on_restart` is called when one of the two runs again after its death. Raises `StackError` when they cannot start.
    """

    def __init__(
        self, run_dir: Path, say: Say, choose_port: Choose, on_restart: Callable[[], None]
    ) -> None:
        self.on_restart = on_restart
        self.credentials: Credentials
        self.database: DatabaseServers
        self.toxiproxy: ToxiproxyServer
        self.nursery = Nursery()
        self._run_dir = run_dir
        self._say = say
        self._choose_port = choose_port
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._exit.enter_async_context(self.nursery)
            await self._start()
        except BaseException:
            await self._exit.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exit.aclose()

    @property
    def postgres(self) -> PostgresCluster:
        """The server that is primary now."""
        return self.database.primary

    def children(self) -> dict[str, tuple[Child, str]]:
        """The processes that run, with their addresses."""
        toxiproxy = self.toxiproxy
        return {**self.database.children(), "toxiproxy": (toxiproxy.child, toxiproxy.url)}

    async def open_database(self) -> str:
        """The name of a stack's database."""
        return _DATABASE

    async def close_database(self, name: str) -> None:
        """The data stay."""

    async def _start(self) -> None:
        self.credentials = credentials.read_or_make(self._run_dir / "secrets.json")
        binary = await toxiproxy.find_or_build(CACHE, self._say)
        self._say("Starting Postgres")
        await self._start_postgres(_DATABASE)
        self._say("Starting Toxiproxy")
        await self._start_toxiproxy(binary)

    async def _start_postgres(self, database: str) -> None:
        self.database = DatabaseServers(
            self._run_dir, lambda: self._choose_port("Postgres"), lambda: self.on_restart()
        )
        self._exit.push_async_callback(self.database.stop)
        await self.database.start()
        await self.postgres.create_database(database)
        await migrate(self.postgres.url(database), self.credentials.passwords)
        # Migrations give a role its password only when they make it; the file may have been lost since.
        await self.postgres.set_passwords(self.credentials.passwords)

    async def _start_toxiproxy(self, binary: Path) -> None:
        self.toxiproxy = ToxiproxyServer(
            binary,
            self._run_dir / "logs" / "toxiproxy.log",
            lambda: self._choose_port("Toxiproxy"),
            on_restart=lambda: self.on_restart(),
        )
        self._exit.push_async_callback(self.toxiproxy.stop)
        await self.toxiproxy.start()


class LentServers(Servers):
    """Servers for several stacks, never two at the same time, each with a database cloned from one that is migrated once."""

    def __init__(self, run_dir: Path) -> None:
        super().__init__(run_dir, _nothing, lambda _: ports.choose("", None), lambda: None)

    async def open_database(self) -> str:
        """A new one."""
        name = f"stack_{secrets.token_hex(8)}"
        await self.postgres.create_database(name, _TEMPLATE)
        return name

    async def close_database(self, name: str) -> None:
        """Drops it, and deletes the proxies."""
        self.on_restart = lambda: None
        admin = self.toxiproxy.admin
        for proxy in await admin.proxies():
            await admin.delete(proxy)
        await self.toxiproxy.keep_proxies()
        await self.postgres.drop_database(name)

    async def _start(self) -> None:
        self._run_dir.mkdir(parents=True, exist_ok=True)
        self._exit.enter_context(run_directory.held(self._run_dir))
        self.credentials = credentials.read_or_make(self._run_dir / "secrets.json")
        binary = await toxiproxy.find_or_build(CACHE, self._say)
        await self._start_postgres(_TEMPLATE)
        await self._start_toxiproxy(binary)


def _nothing(_: str) -> None:
    """Says nothing."""
