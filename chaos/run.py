"""One run: a stack with wrapped services, the scenarios in their order, a result.

Guarantee: the wrapped stack differs from the bare one in its three factories and in shorter pauses, in nothing else.
"""

import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from chaos.control import Control
from chaos.history import History
from chaos.play import Played, Theatre
from chaos.report.console import Progress
from chaos.sabotage import CONTROL_VARIABLE, JOURNAL_VARIABLE
from chaos.scenarios import Scenario
from chaos.stack import Stack

WRAPPED = {
    "order_service": "chaos.sabotage:order",
    "billing_service": "chaos.sabotage:billing",
    "notification_service": "chaos.sabotage:notification",
}
# The barrier decides when a retry is sent, so the pauses before it may be short; and POST /orders waits for the end of
# its scenario, the restart of a process included.
ENVIRONMENT = {
    "ORDER_UNSAFE_DELIVERY": "1",
    "ORDER_WAIT_BUDGET_S": "30",
    "ORDER_ATTEMPT_TIMEOUT_S": "5",
    "ORDER_BACKOFF_BASE_S": "0.01",
    "ORDER_BACKOFF_CAP_S": "0.1",
}


@asynccontextmanager
async def open_theatre(
    run_dir: Path,
    progress: Callable[[str], None],
    *,
    usual_ports: bool = True,
    replicas: int = 1,
    factories: Mapping[str, str] = WRAPPED,
) -> AsyncIterator[Theatre]:
    """The wrapped stack in `run_dir`, with control and history; everything is stopped at the end."""
    run_dir.mkdir(parents=True, exist_ok=True)
    journal = run_dir / "journal.jsonl"
    journal.unlink(missing_ok=True)
    async with (
        Control() as control,
        Stack(
            run_dir,
            replicas=replicas,
            factories=factories,
            environ={
                **ENVIRONMENT,
                JOURNAL_VARIABLE: str(journal),
                CONTROL_VARIABLE: control.address,
            },
            progress=progress,
            usual_ports=usual_ports,
        ) as stack,
    ):
        theatre = Theatre(stack, control, History(journal))
        try:
            yield theatre
        finally:
            await theatre.close()


async def play_all(
    theatre: Theatre, scenarios: Iterable[Scenario], seed: int, progress: Progress
) -> list[Played]:
    """Plays the scenarios one after the other, in an order drawn from the seed; returns them in their own order."""
    order = list(scenarios)
    shuffled = random.Random(seed).sample(order, len(order))  # noqa: S311 - a plan, not a secret
    played: dict[str, Played] = {}
    with progress.shown():
        for scenario in shuffled:
            progress.started(scenario)
            played[scenario.name] = await theatre.play(scenario)
            progress.ended(played[scenario.name])
    return [played[scenario.name] for scenario in order]


async def server_versions(stack: Stack) -> dict[str, str]:
    """What Postgres and Toxiproxy say of themselves."""
    connection = await asyncpg.connect(stack.databases["owner"])
    try:
        postgres = await connection.fetchval("SHOW server_version")
    finally:
        await connection.close()
    return {"postgres": postgres, "toxiproxy": await stack.toxiproxy.version()}
