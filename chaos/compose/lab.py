"""The lab on top of the compose stack: its page strikes the containers, and what it shows is what their Postgres says.

Guarantee: the page is used as a browser uses it, by HTTP alone; each figure is compared with the account's balance.
"""

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import httpx

from chaos.compose import inspection
from chaos.compose.deployment import STEP_TIMEOUT_S, Deployment
from chaos.compose.project import Project, run
from stack import ports
from stack.http_client import http_client
from stack.processes import StackError

COLUMNS = ("at_most_once", "at_least_once", "exactly_once")
# The first attempt is executed and its answer lost, by the network or by the death of its process.
_PAID = [1, 2, 1]
# Without the unique index the retry withdraws again, although it has the key of its order.
_BUG, _PAID_WITH_IT = "no_unique_constraint", [1, 2, 2]

# With this one a trigger of the schema is off, which would hide the hole.
_BUG_WITHOUT_TRIGGER = "retry_flag_trusted"
_TRIGGER = "SELECT tgenabled::text FROM pg_trigger WHERE tgname = 'processed_keys_answer_stays'"

State = dict[str, Any]


class Page:
    """Use as `async with Page(url) as page`."""

    def __init__(self, url: str) -> None:
        self._client = http_client(base_url=url, timeout=STEP_TIMEOUT_S)

    async def __aenter__(self) -> "Page":
        await self.load()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def load(self) -> None:
        """Gets the page, whose token the commands carry."""
        found = re.search(r'name="lab-token" content="([^"]+)"', (await self._client.get("/")).text)
        if found is None:
            raise StackError("the page of the lab has no token.")
        self._client.headers["X-Lab-Token"] = found[1]

    async def do(self, command: str, **body: Any) -> httpx.Response:
        """One action. Raises `StackError` when it is refused."""
        response = await self._client.post(f"/do/{command}", json=body)
        if response.is_error:
            raise StackError(f"the lab refuses {command}: {response.text}")
        return response

    async def state(self, reached: Callable[[State], Any] = lambda _: True) -> State:
        """The first state of which `reached` is true."""
        async with (
            asyncio.timeout(STEP_TIMEOUT_S),
            self._client.stream("GET", "/events") as response,
        ):
            kind = ""
            async for line in response.aiter_lines():
                name, _, value = line.partition(": ")
                kind = value if name == "event" else kind
                if name == "data" and kind == "state":
                    state: State = json.loads(value)
                    if reached(state):
                        return state
        raise StackError("the lab's stream of events has ended.")

    async def ordered(self, situation: str) -> State:
        """Places an order; the state in which it is over."""
        number = (await self.do("order", situation=situation)).json()["number"]
        return await self.state(
            lambda state: state["round"]["number"] == number and state["round"]["over"]
        )


async def strike(project: Project, deployment: Deployment) -> list[str]:
    """A lost answer, a killed process, a protection taken away, and a lab that ends in the middle of that."""
    await project.add_lab()
    offences = inspection.of_a_container("lab", (await project.inspected("lab"))[0])
    async with Page(f"http://{ports.LOOPBACK}:{project.environ['LAB_PORT']}") as page:
        before = _pids(await page.state())
        lost = await page.ordered("response_lost")
        offences += await _offences(deployment, lost, _PAID)
        killed = await page.ordered("crash_after_execution")
        offences += await _offences(deployment, killed, _PAID)
        after = _pids(await page.state(lambda state: set(_pids(state)).isdisjoint(before)))
        project.say(f"  processes of billing_service: {before}, killed; then {after}")
        offences += await _not_running(project, after)
        await page.do("plant", bug=_BUG)
        offences += await _offences(deployment, await page.ordered("response_lost"), _PAID_WITH_IT)
        await run(["docker", "restart", *await project.containers("lab")])
        await project.healthy("lab")
        await page.load()
        offences += await _offences(deployment, await page.ordered("response_lost"), _PAID)
        await page.do("plant", bug=_BUG_WITHOUT_TRIGGER)
        if await deployment.fetch(_TRIGGER) != "D":
            offences.append("the planted bug leaves the trigger on, so its end shows nothing")
        await run(["docker", "stop", *await project.containers("lab")])
        if await deployment.fetch(_TRIGGER) != "O":
            offences.append("a lab that was stopped has left a trigger of the schema off")
    return offences


def _pids(state: State) -> list[int]:
    return [each["pid"] for each in state["processes"]["billing_service"] if each["up"]]


async def _offences(deployment: Deployment, state: State, expected: list[int]) -> list[str]:
    columns = [state["round"]["columns"][name] for name in COLUMNS]
    measured = [await deployment.effects(column["account"]) for column in columns]
    return judge(columns, measured, expected)


def judge(
    columns: Sequence[State], measured: Sequence[float], expected: Sequence[float]
) -> list[str]:
    """Where page, Postgres and expectation are not one, and which witness is missing."""
    offences = []
    for name, column, moved, wanted in zip(COLUMNS, columns, measured, expected, strict=True):
        if not column["effects"] == moved == wanted:
            offences.append(
                f"{name}: expected {wanted:g}, the page shows {column['effects']:g}, Postgres {moved:g}"
            )
        witnesses = [each for attempt in column["attempts"] for each in attempt["witnesses"]]
        missing = [each["claim"] for each in witnesses if not each["seen"]]
        offences += [f"{name}: not seen: {claim}" for claim in missing]
        if not witnesses:
            offences.append(f"{name}: no fault has a witness")
    return offences


async def _not_running(project: Project, pids: list[int]) -> list[str]:
    """Which of the process ids on the page is none of a service in billing's container."""
    container = await project.container("billing_service")
    listed = await run(
        ["docker", "exec", container, "sh", "-c", "grep -l stack.serve /proc/[0-9]*/cmdline"]
    )
    return [
        f"process {pid} of the page does not run in the container"
        for pid in pids
        if f"/proc/{pid}/cmdline" not in listed.split()
    ]
