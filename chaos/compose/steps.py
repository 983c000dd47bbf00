"""What is tried besides the table and the load: inspection, replicas, graceful shutdown, data that survive.

Each step returns sentences about what is wrong, and none when all is as promised.
"""

import asyncio
import json
import socket

import httpx

from chaos.compose import inspection
from chaos.compose.deployment import Deployment
from chaos.compose.pause import paused
from chaos.compose.project import SERVICES, Project, run
from stack import ports
from stack.http_client import http_client
from stack.processes import StackError
from stack.toxics import Toxiproxy

REPLICAS = 3
# With three replicas and no preference one of them gets none of so many connections once in 10^10 runs.
CONNECTIONS = 60
_KEY = 1
_SEARCHED = ("/app", "/opt", "/usr/bin", "/usr/local/bin")


async def inspect(project: Project) -> list[str]:
    """Containers, image, and what the host shows to others."""
    offences = []
    for service in SERVICES:
        for container in await project.inspected(service):
            offences += inspection.of_a_container(service, container)
    image = (
        await run(["docker", "image", "inspect", "--format", "{{json .}}", project.image])
    ).strip()
    offences += inspection.of_the_image(json.loads(image), await _files_of(project.image))
    return offences + _open_to_others(project)


async def spread(project: Project, deployment: Deployment) -> list[str]:
    """Three replicas of billing behind the published port: each gets its part of the connections."""
    await project.compose(
        "up", "--detach", "--no-recreate", "--scale", f"billing_service={REPLICAS}"
    )
    await project.healthy("billing_service")
    boots: dict[str, int] = {}
    for _ in range(CONNECTIONS):
        # Each on a connection of its own: the gateway decides when it is opened.
        async with http_client(timeout=10) as client:
            answer = await client.get(f"{deployment.target.urls['billing_service']}/healthz")
            boot_id = str(answer.json()["boot_id"])
            boots[boot_id] = boots.get(boot_id, 0) + 1
    project.say(f"  connections of the replicas: {sorted(boots.values())}")
    await project.compose("up", "--detach", "--no-recreate", "--scale", "billing_service=1")
    return [] if len(boots) == REPLICAS else [f"of {REPLICAS} replicas {len(boots)} were reached"]


async def stop_gracefully(project: Project, deployment: Deployment) -> list[str]:
    """A charge that is under way when its container is stopped gets its answer."""
    account = await deployment.open_account("graceful")
    address = project.environ["BILLING_PORT"]
    async with paused(deployment, "inside commit", account) as pause:
        charging = asyncio.create_task(deployment.charge(account, 900_000_000_000_001))
        await pause.reached()
        stopping = asyncio.create_task(
            run(["docker", "stop", *await project.containers("billing_service")])
        )

        async def listens_no_more() -> bool:
            try:
                async with http_client(timeout=5) as client:
                    await client.get(f"http://{ports.LOOPBACK}:{address}/healthz")
            except httpx.TransportError:
                return True
            return False

        await deployment.until("billing_service accepts no connection any more", listens_no_more)
    response = await charging
    await stopping
    container = (await project.inspected("billing_service"))[0]
    await project.start("billing_service")
    offences = []
    if response.status_code != httpx.codes.CREATED:
        offences.append(f"the request in flight was answered {response.status_code}")
    if container["State"]["ExitCode"] != 0:
        offences.append(f"billing_service ended with {container['State']['ExitCode']}")
    return offences


async def keep_data(project: Project, deployment: Deployment) -> list[str]:
    """`down` and `up`: balances, orders and processed keys are there, and the proxies too."""
    account = await deployment.open_account("kept")
    first = await deployment.charge(account, _KEY)
    order = (await deployment.place(account)).json()["order_id"]
    before = await deployment.effects(account)
    await project.down()
    await project.up()
    again = await deployment.charge(account, _KEY)
    url = f"{deployment.target.urls['order_service']}/orders/{order}"
    read = await deployment.client.get(url, headers=deployment.target.placing())
    offences = []
    if (again.text, again.headers.get("Idempotency-Replayed")) != (first.text, "?1"):
        offences.append(f"the charge was not replayed after down and up: {again.text}")
    if before != 2 or await deployment.effects(account) != before:
        offences.append(f"the balance changed by down and up: {before} effects before")
    if read.status_code != httpx.codes.OK or read.json()["status"] != "billed":
        offences.append(f"the order is not what it was: {read.text}")
    return offences


async def restart_toxiproxy(project: Project, deployment: Deployment) -> list[str]:
    """After a restart Toxiproxy has its proxies again, without toxics."""
    toxiproxy = Toxiproxy(deployment.target.toxiproxy)
    before = await toxiproxy.proxies()
    await run(["docker", "restart", *await project.containers("toxiproxy")])
    await project.healthy("toxiproxy")
    after = await toxiproxy.proxies()
    (await deployment.place(await deployment.open_account("restarted"))).raise_for_status()
    return [] if before == after else [f"Toxiproxy came back with {sorted(after)}"]


async def _files_of(image: str) -> list[str]:
    listed = await run(
        ["docker", "run", "--rm", "--entrypoint", "find", image, *_SEARCHED, "-not", "-type", "d"]
    )
    if "/app/billing_service/app.py" not in listed:
        raise StackError("the image does not hold what it should; a search in it finds nothing.")
    return listed.split("\n")


def _open_to_others(project: Project) -> list[str]:
    """The ports must not answer on another address of this machine."""
    offences = []
    for address in _addresses():
        for name in (
            "ORDER_PORT",
            "BILLING_PORT",
            "NOTIFICATION_PORT",
            "TOXIPROXY_PORT",
            "POSTGRES_PORT",
        ):
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex((address, int(project.environ[name]))) == 0:
                    offences.append(f"{name} is open on {address}")
    return offences


def _addresses() -> set[str]:
    """The addresses of this machine by its own name, but for the loopback ones."""
    try:
        found = socket.gethostbyname_ex(socket.gethostname())[2]
    except OSError:
        return set()
    return {address for address in found if not address.startswith("127.")}
