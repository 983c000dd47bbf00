"""Plays one scenario: its steps in order, then the evidence, then the verdict.

Guarantee: a scenario that could not be played to its end is unknown, with the reason, and leaves the stack as it found
it: what it has ended for good in a service is reported and replaced.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import asyncpg
import httpx

from chaos.evidence.journal import Event
from chaos.evidence.readings import Evidence, Observed, Witness
from chaos.harness.background import Rounds
from chaos.harness.context import Context
from chaos.harness.harness import Harness, Unplayable
from chaos.promises.catalogue import Finding
from chaos.promises.verdict import Verdict, findings, judge
from chaos.scenarios.scenario import Scenario
from chaos.steps.step import STANDBY
from stack.processes import StackError
from stack.toxics import ToxiproxyError
from stack.waiting import NotSeen

# What can go wrong with the stack itself; a defect of the harness is none of these and is not caught.
_HARNESS_TROUBLE = (
    ToxiproxyError,
    NotSeen,
    StackError,
    TimeoutError,
    OSError,
    httpx.TransportError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
)


@dataclass(frozen=True)
class Played:
    """One scenario's result, as it stands in result.json."""

    scenario: Scenario
    verdict: Verdict
    witnesses: Sequence[Witness]
    findings: Sequence[Finding]
    orders: Sequence[Observed]
    events: Sequence[Event] = field(repr=False)
    since_ns: int = 0
    seconds: float = 0.0

    @property
    def first(self) -> Observed | None:
        """The order that the fault struck."""
        return self.orders[0] if self.orders else None

    @property
    def effects(self) -> float | None:
        """Money moved divided by the amount, at the end; None when it could not be read."""
        return self.first.last.effects if self.first else None

    @property
    def caller_saw(self) -> str:
        """What the first attempt saw."""
        order = self.first.order if self.first else None
        return order.attempts[0].caller_saw if order and order.attempts else ""


async def play(harness: Harness, scenario: Scenario) -> Played:
    """One scenario, from a quiet stack to its verdict. Raises `Unplayable` when the stack cannot be struck so."""
    if scenario.needs >= STANDBY:
        harness = await harness.with_standby()
    started_s = time.monotonic()
    context = Context(harness, scenario.delivery)
    collected = Evidence((), ())
    rounds: Mapping[str, Rounds] = {}
    try:
        try:
            await harness.all_ready()
            await harness.reset_network()
            context.since_ns = time.monotonic_ns()
            for step in scenario.steps:
                await step.perform(context)
            await context.end_faults()
            rounds = await harness.background.rounds()
            collected = await context.collect()
        finally:
            await context.clean_up()
    except Unplayable:
        raise
    except _HARNESS_TROUBLE as exc:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            # It was interrupted, and the clean-up found what the interrupted step had left.
            raise asyncio.CancelledError from exc
        reason = f"it could be played to its end ({type(exc).__name__}: {exc})"
        context.witness(reason, seen=False)
    found = findings(collected, scenario.effects)
    work = await harness.background.judge(scenario.name, rounds)
    # Kept, it is no promise that the scenario was made for: alone it makes no verdict.
    if work is not None and (found or not work.kept):
        found.append(work)
    return Played(
        scenario,
        judge(context.witnesses, found),
        tuple(context.witnesses),
        tuple(found),
        tuple(collected.orders),
        tuple(context.events),
        context.since_ns,
        round(time.monotonic() - started_s, 3),
    )
