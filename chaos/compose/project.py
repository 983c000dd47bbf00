"""One compose project: its containers, ports and secrets.

Guarantee: it has a name, an image, ports and secrets of its own, so it disturbs no other project on the machine, and each command
that it gives to compose names it.
"""

import asyncio
import json
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from chaos.harness.target import Target
from stack import ports
from stack.environ import of_download
from stack.processes import StackError
from stack.programs import run_to_end

PROJECT = Path(__file__).resolve().parent.parent.parent
FILES = ("docker-compose.yml", "chaos/compose/compose.chaos.yml")
# On top of them.
LAB_FILE = "deploy/lab.yml"
# What runs for as long as the stack does; migrate and accounts end by themselves.
SERVICES = (
    "postgres",
    "toxiproxy",
    "billing_service",
    "notification_service",
    "order_service",
    "gateway",
    "inspect",
)
PORTS = ("ORDER_PORT", "BILLING_PORT", "NOTIFICATION_PORT", "TOXIPROXY_PORT", "POSTGRES_PORT")
LAB_PORTS = ("LAB_PORT", "LAB_TOXIPROXY_PORT")
# The image of the services, and that of the lab.
IMAGES = ("BILLED_ONCE_IMAGE", "BILLED_ONCE_LAB_IMAGE")
SECRETS = (
    "POSTGRES_PASSWORD",
    "ORDER_DB_PASSWORD",
    "BILLING_DB_PASSWORD",
    "NOTIFICATION_DB_PASSWORD",
    "BILLING_TOKEN_OF_ORDER_SERVICE",
    "BILLING_TOKEN_OF_CURL",
    "NOTIFICATION_TOKEN_OF_ORDER_SERVICE",
    "NOTIFICATION_TOKEN_OF_CURL",
)
# What tells the command line of Docker where the daemon is, and how to build.
_DOCKER = ("DOCKER_", "BUILDKIT_", "BUILDX_", "COMPOSE_HTTP_TIMEOUT", "XDG_RUNTIME_DIR")
# The first build fetches all packages; everything else is over in seconds.
_COMMAND_TIMEOUT_S = 420.0
_HEALTHY_TIMEOUT_S = 120.0
_PROBE_PAUSE_S = 0.1

Say = Callable[[str], None]


class Project:
    """`compose` is the command, as a list of words: `docker compose` or `docker-compose`."""

    def __init__(self, compose: list[str], name: str, say: Say) -> None:
        self.name = name
        self.say = say
        self._compose = [*compose, "--project-name", name]
        # Without a file of settings of the machine's user: the project is the same everywhere.
        self._compose += [word for file in FILES for word in ("--file", str(PROJECT / file))]
        # Production refuses the secrets of the example file; that these are not refused is tested by every start.
        published = (*PORTS, *LAB_PORTS)
        free = map(str, ports.choose_several(len(published)))
        self.environ = {
            "ENVIRONMENT": "production",
            # Under the usual tag it would become the image of a stack that runs beside it, at that one's next start.
            "BILLED_ONCE_IMAGE": f"billed-once:{name}",
            "BILLED_ONCE_LAB_IMAGE": f"billed-once-lab:{name}",
            **dict(zip(published, free, strict=True)),
            **{name: secrets.token_hex(24) for name in SECRETS},
            # Production requires it.
            "ORDER_TOKENS": json.dumps({"harness": secrets.token_hex(24)}),
        }

    @property
    def target(self) -> Target:
        """Where the stack is, past its gateway and the profile inspect."""
        own = self.environ
        return Target(
            urls={
                "order_service": f"http://{ports.LOOPBACK}:{own['ORDER_PORT']}",
                "billing_service": f"http://{ports.LOOPBACK}:{own['BILLING_PORT']}",
                "notification_service": f"http://{ports.LOOPBACK}:{own['NOTIFICATION_PORT']}",
            },
            toxiproxy=f"http://{ports.LOOPBACK}:{own['TOXIPROXY_PORT']}",
            owner=f"postgresql://owner:{own['POSTGRES_PASSWORD']}@{ports.LOOPBACK}:{own['POSTGRES_PORT']}/billed_once",
            tokens={
                "order_service": own["BILLING_TOKEN_OF_ORDER_SERVICE"],
                "curl": own["BILLING_TOKEN_OF_CURL"],
            },
            order_tokens=json.loads(own["ORDER_TOKENS"]),
        )

    async def up(self, *options: str) -> None:
        """Starts what does not run; returns when every container is healthy."""
        await self.compose("up", "--detach", *options)
        for service in SERVICES:
            await self.healthy(service)

    async def down(self, *options: str) -> None:
        """Stops and removes the containers; with `--volumes` the data, too."""
        await self.compose("down", "--remove-orphans", *options)

    @property
    def image(self) -> str:
        """The tag of the image that this project builds."""
        return self.environ["BILLED_ONCE_IMAGE"]

    async def forget_images(self) -> None:
        """Takes the tags away; what they named stays as long as a cache wants it. Nothing happens to what was not built."""
        for image in await self._built():
            await run(["docker", "image", "rm", image])

    async def compose(self, *arguments: str) -> str:
        """Runs one command of compose. Raises `StackError` with what it said."""
        return await run([*self._compose, "--profile", "inspect", *arguments], self.environ)

    async def add_lab(self) -> None:
        """Puts the lab on top: the services run wrapped; returns when its page can be used."""
        self._compose += ["--file", str(PROJECT / LAB_FILE)]
        await self.compose("build", "lab")
        await self.up()
        await self.healthy("lab")

    async def containers(self, service: str) -> list[str]:
        """The ids of a service's containers, stopped ones included."""
        labels = (
            f"label=com.docker.compose.project={self.name}",
            f"label=com.docker.compose.service={service}",
        )
        filters = [word for label in labels for word in ("--filter", label)]
        listed = await run(["docker", "ps", "--all", "--quiet", "--no-trunc", *filters])
        return listed.split()

    async def container(self, service: str) -> str:
        """The id of a service's only container."""
        (found,) = await self.containers(service)
        return found

    async def kill(self, service: str) -> None:
        """SIGKILL, as a power cut would."""
        await run(["docker", "kill", *await self.containers(service)])

    async def start(self, service: str) -> None:
        """Starts what was killed; returns when it is healthy again."""
        await run(["docker", "start", *await self.containers(service)])
        await self.healthy(service)

    async def healthy(self, service: str) -> None:
        """Returns when all containers of a service pass their health checks."""
        try:
            async with asyncio.timeout(_HEALTHY_TIMEOUT_S):
                while True:
                    if await self._is_healthy(service):
                        return
                    await asyncio.sleep(_PROBE_PAUSE_S)
        except TimeoutError as exc:
            logs = await self.compose("logs", "--tail", "20", service)
            raise StackError(f"{service} does not become healthy:\n{logs}") from exc

    async def inspected(self, service: str) -> list[dict[str, Any]]:
        """`docker inspect` of a service's containers."""
        found: list[dict[str, Any]] = json.loads(
            await run(["docker", "inspect", *await self.containers(service)])
        )
        return found

    async def leftovers(self) -> list[str]:
        """Containers, volumes, networks and images that still carry the project's name."""
        label = f"label=com.docker.compose.project={self.name}"
        found: list[str] = []
        for what in (["ps", "--all"], ["volume", "ls"], ["network", "ls"]):
            found += (await run(["docker", *what, "--quiet", "--filter", label])).split()
        return found + await self._built()

    async def _built(self) -> list[str]:
        """The tags of this project's images that exist."""
        tags = [self.environ[name] for name in IMAGES]
        return [
            tag for tag in tags if (await run(["docker", "image", "ls", "--quiet", tag])).strip()
        ]

    async def _is_healthy(self, service: str) -> bool:
        states = [found["State"] for found in await self.inspected(service)]
        return bool(states) and all(
            state["Running"] and state["Health"]["Status"] == "healthy" for state in states
        )


async def find_compose() -> list[str]:
    """The words of the command: COMPOSE when it is set, else v2, else v1. Raises `StackError`."""
    named = os.environ.get("COMPOSE", "").split()
    if shutil.which("docker") is None:
        raise StackError("Docker is needed for this, and there is no docker on the PATH.")
    await run(["docker", "version"])
    for command in [named] if named else [["docker", "compose"], ["docker-compose"]]:
        if shutil.which(command[0]) is not None:
            try:
                await run([*command, "version"])
            except StackError:
                continue
            return command
    raise StackError("neither docker compose nor docker-compose can be run.")


async def run(argv: list[str], environ: Mapping[str, str] | None = None) -> str:
    """Standard output of a command. Raises `StackError` with the end of what it said when it fails."""
    settings = environ or {}
    try:
        async with asyncio.timeout(_COMMAND_TIMEOUT_S):
            ended = await run_to_end(
                argv, of_download(settings, inherited=_DOCKER), PROJECT, errors_apart=True
            )
    except OSError as exc:
        raise StackError(f"{argv[0]} cannot be run: {exc.strerror}.") from exc
    if ended.return_code != 0:
        said = (ended.errors or ended.output).strip()
        end = "\n".join(said.splitlines()[-20:])
        raise StackError(f"{' '.join(argv[:2])} … {argv[-1]} failed:\n{end}")
    return ended.output
