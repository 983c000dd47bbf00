"""One run: a stack with wrapped services, the scenarios in their order, a result.

Guarantee: a seed decides the order in which the scenarios are played, and each result stands in the place of its scenario. The
wrapped stack differs from the bare one in its factories, in `REPLICAS` and in `ENVIRONMENT`: no durability is among them.
"""

import random
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import asyncpg

from chaos.evidence.journal import Journal
from chaos.evidence.readings import connect
from chaos.faults.control import Control
from chaos.faults.wrapped_services import CONTROL_VARIABLE, JOURNAL_VARIABLE
from chaos.harness.harness import BOUND_S, Harness
from chaos.harness.target import Target, described
from chaos.promises.audit import audit
from chaos.runner.play import Played, play
from chaos.scenarios.scenario import Scenario
from chaos.steps.step import STANDBY
from stack.embedded import Stack
from stack.processes import StackError
from stack.servers import LentServers
from stack.toxics import Toxiproxy

WRAPPED = {
    "order_service": "chaos.faults.wrapped_services:order",
    "billing_service": "chaos.faults.wrapped_services:billing",
    "notification_service": "chaos.faults.wrapped_services:notification",
}
# Two processes of billing: one can be stopped or dead while the other goes on.
REPLICAS = {"billing_service": 2, "order_service": 1, "notification_service": 1}
# What the silent faults of the catalogue cost each time; ten times what a busy machine needs for an answer.
ATTEMPT_TIMEOUT_S = 2.0
# POST /orders waits for the end of its scenario, the restart of a process included. The pauses are short, because a
# barrier decides when a retry is sent; the lease is as short as the rest allows, because every killed caller waits for
# it; and an idle transaction outlives an attempt and the start of a process, so that a commit can land after its failure was
# reported, and a process that is started meanwhile still finds the key locked.
ENVIRONMENT = {
    "ORDER_UNSAFE_DELIVERY": "1",
    "ORDER_WAIT_BUDGET_S": "30",
    "ORDER_ATTEMPT_TIMEOUT_S": f"{ATTEMPT_TIMEOUT_S:g}",
    "ORDER_BACKOFF_BASE_S": "0.01",
    "ORDER_BACKOFF_CAP_S": "0.1",
    "ORDER_LEASE_S": "5.5",
    "ORDER_TAKEOVER_POLL_S": "0.2",
    "BILLING_IDLE_IN_TRANSACTION_TIMEOUT_S": "8",
    "BILLING_FORGET_PAUSE_S": "0.2",
}


# While the standby is silent, everything takes a deadline: each as short as a busy machine allows.
WITH_STANDBY = {
    "ORDER_WAIT_BUDGET_S": "1",
    "ORDER_TRANSACTION_TIMEOUT_S": "1.5",
    "BILLING_TRANSACTION_TIMEOUT_S": "1.5",
    "BILLING_LOCK_TIMEOUT_S": "1",
    "BILLING_IDLE_IN_TRANSACTION_TIMEOUT_S": "2",
    "NOTIFICATION_TRANSACTION_TIMEOUT_S": "1.5",
}
# One process of billing executes charges in batches, the other one by one.
SECOND_REPLICAS = {"billing_service-1": {"BILLING_GROUP_COMMIT": "0"}}


class Progress(Protocol):
    """What a run reports to while it is played."""

    def shown(self) -> AbstractContextManager[None]:
        """For the length of the run."""

    def started(self, scenario: Scenario) -> None:
        """A scenario begins."""

    def ended(self, played: Played) -> None:
        """A scenario has its verdict."""


@asynccontextmanager
async def open_harness(
    run_dir: Path,
    progress: Callable[[str], None],
    *,
    usual_ports: bool = True,
    factories: Mapping[str, str] = WRAPPED,
    replicas: int | Mapping[str, int] = REPLICAS,
    environ: Mapping[str, str] = ENVIRONMENT,
    kind: type[Harness] = Harness,
    servers: LentServers | None = None,
    control: Callable[[], Control] = Control,
    bound_s: float = BOUND_S,
    with_standby: bool = False,
) -> AsyncIterator[Harness]:
    """The wrapped stack in `run_dir`, with its control server and journal; everything is stopped at the end.

    Other `factories` may be other services: `kind` then knows how accounts are opened and orders are read there. The stack
    borrows `servers`, if there are any. `control` makes the server that decides what the wrapped services do. `with_standby` has
    two replicas of each service, and a synchronous standby of Postgres; without it, such a stack is opened beside for the first
    scenario that needs one.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    journal = run_dir / "journal.jsonl"
    journal.unlink(missing_ok=True)
    async with (
        control() as line,
        Stack(
            run_dir,
            replicas=2 if with_standby else replicas,
            factories=factories,
            environ={
                **environ,
                **(WITH_STANDBY if with_standby else {}),
                JOURNAL_VARIABLE: str(journal),
                CONTROL_VARIABLE: line.address,
            },
            progress=progress,
            usual_ports=usual_ports,
            servers=None if with_standby else servers,
            with_standby=with_standby,
            replica_environ=SECOND_REPLICAS if with_standby else None,
            forked=True,
        ) as stack,
    ):
        target = described(stack.description)
        harness = kind(
            target,
            Journal(journal),
            control=line,
            stack=stack,
            attempt_deadline_s=float(environ["ORDER_ATTEMPT_TIMEOUT_S"]),
            bound_s=bound_s,
        )
        if not with_standby:
            harness.open_with_standby = lambda: open_harness(
                run_dir / "with-standby",
                progress,
                usual_ports=False,
                factories=factories,
                environ=environ,
                kind=kind,
                bound_s=bound_s,
                with_standby=True,
            )
        try:
            yield harness
        finally:
            await harness.close()


@asynccontextmanager
async def visit(target: Target) -> AsyncIterator[Harness]:
    """A stack that runs already and was only described: struck through its Toxiproxy and its Postgres.

    What its database has to answer for already is none of the run's. Raises `StackError` when it cannot be audited.
    """
    with tempfile.TemporaryDirectory() as directory:
        harness = Harness(target, Journal(Path(directory) / "journal.jsonl"))
        try:
            harness.found_before = await _found_before(target)
            yield harness
        finally:
            await harness.close()


async def _found_before(target: Target) -> frozenset[tuple[str, str]]:
    try:
        found = await audit(target.owner)
    except (OSError, TimeoutError, asyncpg.PostgresError) as exc:
        raise StackError(f"the target's database cannot be audited: {exc}") from exc
    return frozenset((finding.kind, finding.subject) for finding in found.findings)


def drawn(scenarios: Sequence[Scenario], seed: int) -> list[Scenario]:
    """An order of the scenarios, which the seed decides; those that need a standby come last.

    They are played on a second stack, which is not kept waiting for its turns: it would take time from the others.
    """
    order = random.Random(seed).sample(scenarios, len(scenarios))  # noqa: S311 - a plan, not a secret
    return sorted(order, key=lambda scenario: scenario.needs >= STANDBY)


async def play_all(
    harness: Harness,
    scenarios: Iterable[Scenario],
    seed: int,
    progress: Progress,
    *,
    shuffled: bool = True,
) -> list[Played]:
    """Plays the scenarios one after the other, in the order of the seed; returns them in their own order.

    Not `shuffled`, they are played in their own order: that tells a story and finds less.

    It ends early when a process of the stack does not become ready any more; what was not played is not returned.
    """
    order = list(scenarios)
    played: dict[str, Played] = {}
    with progress.shown():
        for scenario in drawn(order, seed) if shuffled else order:
            progress.started(scenario)
            played[scenario.name] = await play(harness, scenario)
            progress.ended(played[scenario.name])
            if harness.background.beyond_repair:
                break
    return [played[scenario.name] for scenario in order if scenario.name in played]


async def server_versions(target: Target, toxiproxy: Toxiproxy) -> dict[str, str]:
    """What Postgres and Toxiproxy say of themselves."""
    connection = await connect(target.owner)
    try:
        postgres = await connection.fetchval("SHOW server_version")
    finally:
        await connection.close()
    return {"postgres": postgres, "toxiproxy": await toxiproxy.version()}
