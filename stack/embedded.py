"""The embedded stack: Postgres, Toxiproxy, and the three services with every hop through a proxy.

Guarantee: a start that fails stops what it had started and says which part failed; while it runs, stack.json describes
what runs; at the end, however it comes, no process is left.

Long because one class starts and stops all parts, in the order in which they need each other.
"""

import asyncio
import json
import os
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from stack import (
    credentials,
    environ,
    ports,
    run_directory,
    service_environ,
    targets,
)
from stack.database import DatabaseServers
from stack.http_client import http_client
from stack.postgres import PostgresCluster
from stack.processes import Child, StackError, execute
from stack.replicas import READY_TIMEOUT_S, STOP_GRACE_S, Replicas
from stack.servers import LentServers, Servers
from stack.serving import until_stopped
from stack.toxics import Toxiproxy

OPENING_BALANCE_CENTS = 1_000_000
ACCOUNTS = ("alice", "bob", "carol")

# Callers first: in this order they are stopped.
FACTORIES: Mapping[str, str] = {
    "order_service": "order_service.app:create",
    "billing_service": "billing_service.app:create",
    "notification_service": "notification_service.app:create",
}
_PORTS = {
    "order_service": ("ORDER_PORT", 8001),
    "billing_service": ("BILLING_PORT", 8002),
    "notification_service": ("NOTIFICATION_PORT", 8003),
    "Toxiproxy": ("TOXIPROXY_PORT", 8474),
    "Postgres": ("POSTGRES_PORT", 5432),
}
_DATABASE_OF = {"orders": "order", "billing": "billing", "notifications": "notification"}

Say = Callable[[str], None]


class Stack:
    """Use as `async with Stack(run_dir) as stack`.

    `factories` replaces the services' ASGI factories, `environ` adds to the environment of the services. With `servers` it
    borrows them, instead of starting its own. `has_standby` adds a second Postgres, a synchronous standby;
    `replica_environ` adds to the environment of one replica, billing_service-1 for example. `forked`: services are forked and not
    executed. Raises `StackError` when it cannot start.
    """

    def __init__(
        self,
        run_dir: Path,
        *,
        replicas: int | Mapping[str, int] = 1,
        factories: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
        progress: Say = lambda _: None,
        usual_ports: bool = True,
        servers: LentServers | None = None,
        with_standby: bool = False,
        replica_environ: Mapping[str, Mapping[str, str]] | None = None,
        forked: bool = False,
    ) -> None:
        self._forked = forked and sys.platform == "linux"
        self.has_standby = with_standby
        self._replica_environ = dict(replica_environ or {})
        self._lent = servers
        self._servers: Servers
        self._database = ""
        self._run_dir = run_dir
        self._replicas = (
            dict.fromkeys(FACTORIES, replicas) if isinstance(replicas, int) else dict(replicas)
        )
        self._factories = {**FACTORIES, **(factories or {})}
        self._environ = dict(environ or {})
        self._say = progress
        self._usual_ports = usual_ports
        self._described = False
        self._exit = AsyncExitStack()
        self._services: dict[str, Replicas] = {}
        self._listeners: dict[str, socket.socket] = {}
        self._proxies: dict[str, str] = {}

    async def __aenter__(self) -> "Stack":
        try:
            await self._start()
        except BaseException:
            await self._exit.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._say("Stopping")
        await self._exit.aclose()

    @property
    def postgres(self) -> PostgresCluster:
        """The server of Postgres that is primary now."""
        return self._servers.postgres

    @property
    def database_servers(self) -> DatabaseServers:
        """All servers of Postgres, and the hops to them."""
        return self._servers.database

    @property
    def toxiproxy(self) -> Toxiproxy:
        """The admin API of the running Toxiproxy."""
        return self._servers.toxiproxy.admin

    @property
    def toxiproxy_child(self) -> Child:
        """Toxiproxy's process."""
        return self._servers.toxiproxy.child

    @property
    def urls(self) -> dict[str, str]:
        """The address of each service, shared by its replicas."""
        return {name: ports.url_of(self._listeners[name]) for name in sorted(FACTORIES)}

    @property
    def tokens(self) -> dict[str, str]:
        """Bearer tokens at billing, by client."""
        return dict(self._servers.credentials.tokens["billing_service"])

    @property
    def order_tokens(self) -> dict[str, str]:
        """A bearer token at order_service for each client of a person's ORDER_TOKENS; empty when no caller needs one."""
        return service_environ.order_tokens({**os.environ, **self._environ})

    @property
    def databases(self) -> dict[str, str]:
        """Connection URLs past the proxies: the owner's, and one for each schema."""
        return {
            "owner": self.database_servers.owner_url(self._database),
            **{schema: self._database_url(role) for schema, role in _DATABASE_OF.items()},
        }

    @property
    def proxies(self) -> dict[str, str]:
        """Where each proxy listens, host:port."""
        return {**self._proxies, **self.database_servers.proxies}

    @property
    def moved(self) -> list[str]:
        """One sentence for each usual port that another program has, with the port that is used in its place."""
        if not self._usual_ports:
            return []
        used = {name: ports.port_of(listener) for name, listener in self._listeners.items()}
        used |= {"Postgres": self.postgres.port, "Toxiproxy": self._servers.toxiproxy.port}
        return [
            f"Port {usual} is taken by another program: {name} is at {ports.LOOPBACK}:{used[name]} instead."
            for name, (variable, usual) in _PORTS.items()
            if used[name] != usual and ports.named_port(variable) is None
        ]

    @property
    def description(self) -> dict[str, Any]:
        """What stack.json holds."""
        return {
            "processes": self._processes(),
            "urls": self.urls,
            "toxiproxy": {"url": self._servers.toxiproxy.url, "proxies": self.proxies},
            "databases": self.databases,
            "tokens": self.tokens,
            "notification_tokens": self._servers.credentials.tokens["notification_service"],
            "order_tokens": self.order_tokens,
            "primary": self.postgres.folder,
        }

    def listener(self, service: str) -> socket.socket:
        """The listening socket from which all replicas of a service accept."""
        return self._listeners[service]

    def children(self, service: str) -> list[Child]:
        """The replicas of a service."""
        return self._services[service].children

    def url_of(self, child: Child) -> str:
        """The address of one replica alone."""
        return self._replicas_of(child).url_of(child)

    async def all_ready(self) -> None:
        """Returns when every replica runs and does its job."""
        for child in self._service_children():
            await child.running_after(0)
        await self._services_ready()

    async def ready_after(self, child: Child, deaths: int) -> None:
        """Returns when a replica that died so many times in all is ready again."""
        await child.running_after(deaths)
        await self._replicas_of(child).ready_one(child)

    async def fail_over(self) -> None:
        """Kills the primary and promotes the standby. Raises `StackError`."""
        await self.database_servers.fail_over()
        self._write_description()

    async def rejoin(self) -> None:
        """Makes the place of the server that was killed a synchronous standby of the new primary. Raises `StackError`."""
        await self.database_servers.join()
        await self._servers.toxiproxy.keep_proxies()
        self._write_description()

    async def exchange(self, service: str, factory: str) -> None:
        """Restarts every replica of a service with another factory; returns when all are ready."""
        await self._services[service].exchange(factory)
        self._write_description()

    async def serve_until_stopped(self) -> None:
        """Returns on a signal that stops a command; raises `StackError` when a part cannot be kept running.

        SIGUSR1 makes the stack fail over.
        """
        await until_stopped(
            lambda: [child.failure for child in self._all_children()], self.fail_over
        )

    async def _start(self) -> None:
        self._exit.enter_context(run_directory.held(self._run_dir))
        self._open_listeners()
        await self._open_servers()
        await self._create_proxies()
        count = sum(self._replicas.values())
        self._say(f"Starting the services, {count} processes")
        await self._start_services()
        await self._open_accounts()
        # Last: a reader that waits for the file finds everything that it names.
        self._described = True
        self._exit.callback(self._forget_description)
        self._write_description()

    def _open_listeners(self) -> None:
        for service in sorted(FACTORIES):
            listener = ports.listen(*self._port(service))
            self._listeners[service] = self._exit.enter_context(listener)

    def _port(self, name: str) -> tuple[str, int | None]:
        """The variable that names a port, and the usual one where it is to be used."""
        variable, usual = _PORTS[name]
        return variable, usual if self._usual_ports else None

    async def _open_servers(self) -> None:
        if self._lent is None:
            self._servers = await self._exit.enter_async_context(
                Servers(
                    self._run_dir,
                    self._say,
                    lambda name: ports.choose(*self._port(name)),
                    self._write_description,
                )
            )
        else:
            self._servers = self._lent
            self._servers.on_restart = self._write_description
        self._database = await self._servers.open_database()
        self._exit.push_async_callback(self._servers.close_database, self._database)

    async def _create_proxies(self) -> None:
        for name in ("billing", "notification"):
            upstream = self._address(f"{name}_service")
            self._proxies[name] = (await self.toxiproxy.create(name, upstream)).listen
        await self.database_servers.open_hops(self.toxiproxy)
        if self.has_standby:
            self._say("Starting the standby of Postgres")
            await self.database_servers.join()
        await self._servers.toxiproxy.keep_proxies()

    async def _start_services(self) -> None:
        for service, factory in self._factories.items():
            count = self._replicas[service]
            self._services[service] = Replicas(
                service,
                factory,
                shared=self._listeners[service],
                own=[self._exit.enter_context(ports.listen("", None)) for _ in range(count)],
                environs=[
                    {
                        **self.environ_of(service),
                        **self._replica_environ.get(f"{service}-{replica}", {}),
                    }
                    for replica in range(count)
                ],
                logs=self._run_dir / "logs",
                on_restart=self._write_description,
                start=self._servers.nursery.fork if self._forked else execute,
            )
        # Stopped in the order in which requests flow: callers first.
        for child in reversed(self._service_children()):
            self._exit.push_async_callback(child.stop, STOP_GRACE_S)
            await child.start()
        await self._services_ready()

    def environ_of(self, service: str) -> dict[str, str]:
        """The environment of each process of a service."""
        role = service.removesuffix("_service")
        own = service_environ.settings(
            service, self._servers.credentials.tokens, self._proxies, public_url=self.urls[service]
        )
        # Among several hosts a service takes the one that can write.
        database_url = self._database_url(role, self.database_servers.addresses(f"{role}-db"))
        return {
            **environ.of_child(
                inherited=(service_environ.PREFIXES[service], "HTTP_", "ENVIRONMENT")
            ),
            f"{service_environ.PREFIXES[service]}DATABASE_URL": database_url,
            **own,
            **service_environ.without_others(service, self._environ),
        }

    def _database_url(self, role: str, address: str | None = None) -> str:
        password = self._servers.credentials.passwords[role]
        where = address or f"{ports.LOOPBACK}:{self.postgres.port}"
        return f"postgresql://{role}_service:{password}@{where}/{self._database}"

    def _address(self, service: str) -> str:
        return f"{ports.LOOPBACK}:{ports.port_of(self._listeners[service])}"

    async def _services_ready(self) -> None:
        await asyncio.gather(*(replicas.ready() for replicas in self._services.values()))

    def _replicas_of(self, child: Child) -> Replicas:
        return next(each for each in self._services.values() if child in each.children)

    async def _open_accounts(self) -> None:
        async with http_client(timeout=READY_TIMEOUT_S) as client:
            for account in ACCOUNTS:
                response = await client.put(
                    f"{self.urls['billing_service']}/accounts/{account}",
                    json={"opening_balance_cents": OPENING_BALANCE_CENTS},
                    headers={"Authorization": f"Bearer {self.tokens['curl']}"},
                )
                if response.is_error:
                    raise StackError(f"the account {account} could not be opened: {response.text}")

    def _processes(self) -> list[dict[str, Any]]:
        servers = self._servers.children()
        return [
            {
                "name": service,
                "replica": replica,
                "pid": child.pid,
                "url": self.url_of(child),
                "log": str(child.log),
            }
            for service in sorted(self._services)
            for replica, child in enumerate(self.children(service))
        ] + [
            {"name": name, "replica": 0, "pid": child.pid, "url": url, "log": str(child.log)}
            for name, (child, url) in servers.items()
        ]

    def _write_description(self) -> None:
        # A process may be started again before the stack is up, and while it is being stopped.
        if self._described:
            targets.write(self._run_dir, self._processes(), FACTORIES)
            credentials.write_private(
                self._run_dir / run_directory.DESCRIPTION,
                json.dumps(self.description, indent=2) + "\n",
            )

    def _forget_description(self) -> None:
        self._described = False
        (self._run_dir / run_directory.DESCRIPTION).unlink(missing_ok=True)
        targets.forget(self._run_dir)

    def _service_children(self) -> list[Child]:
        return [child for each in self._services.values() for child in each.children]

    def _all_children(self) -> list[Child]:
        servers = [child for child, _ in self._servers.children().values()]
        return [*servers, *self._service_children()]
