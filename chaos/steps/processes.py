"""Steps that kill, stop or restart real processes.

Guarantee: the journal says which process works on the order and is struck; the operating system says that it was struck.
"""

import asyncio
import os
import signal
from dataclasses import dataclass
from typing import ClassVar, Literal

from chaos.faults.control import Seam
from chaos.harness.context import ONLY, Context
from chaos.harness.harness import BOUND_S
from chaos.steps.step import PROCESSES, Needs
from stack.embedded import ACCOUNTS
from stack.http_client import http_client
from stack.processes import Child
from stack.waiting import NotSeen, until

# More than the pool of a service gives to reads at one time.
_READS_AT_ONCE = 8
Service = Literal["order_service", "billing_service", "notification_service"]


@dataclass(frozen=True)
class DieAt:
    """Makes the process that gets the first request of the order die at one of its seams."""

    needs: ClassVar[Needs] = PROCESSES
    service: Service
    seam: Seam
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = await context.order(self.label)
        rule = context.control.die(self.service, self.seam, placed.account, nth=1)
        context.rules["dies"] = rule


@dataclass(frozen=True)
class AwaitDeath:
    """Waits until that process has died at the armed seam."""

    needs: ClassVar[Needs] = PROCESSES
    service: Service
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = context.orders[self.label]

        async def dead() -> bool:
            marks = [
                e
                for e in context.events_of(placed)
                if e.service == self.service and e.fields.get("died")
            ]
            if not marks:
                return False
            child = context.harness.child(self.service, marks[0].pid)
            return any(death.pid == marks[0].pid for death in child.deaths)

        context.witness(
            f"the process of {self.service} died at the armed seam",
            seen=await context.until(dead, "the process dies"),
        )


def _at_work(context: Context, service: Service, label: str) -> tuple[Child, int]:
    """The replica that the order's latest event came from, and its process id at that time."""
    events = [e for e in context.events_of(context.orders[label]) if e.service == service]
    pid = events[-1].pid if events else context.services.children(service)[0].pid
    return context.harness.child(service, pid), pid


@dataclass(frozen=True)
class Kill:
    """Kills the process that works on the order with SIGKILL; the stack starts it again, as any supervisor does."""

    needs: ClassVar[Needs] = PROCESSES
    service: Service
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        child, pid = _at_work(context, self.service, self.label)
        death = await child.crash()
        context.journal.note(
            "crashed", context.orders[self.label].account, what=self.service, struck=pid
        )
        context.witness(
            f"{self.service} was killed",
            seen=death.pid == pid and death.return_code == -signal.SIGKILL,
        )


@dataclass(frozen=True)
class RestartOtherBillingProcess:
    """Restarts every billing process but the one that has the order: their connections are all new."""

    needs: ClassVar[Needs] = PROCESSES
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        busy, _ = _at_work(context, "billing_service", self.label)
        for child in context.services.children("billing_service"):
            if child is not busy:
                deaths = len(child.deaths)
                await child.crash()
                await context.services.ready_after(child, deaths + 1)


@dataclass(frozen=True)
class KillEveryBillingProcess:
    """Kills every billing process with SIGKILL: the processes behind the caller's pooled connections are gone."""

    needs: ClassVar[Needs] = PROCESSES

    async def perform(self, context: Context) -> None:
        await context.order()
        for child in context.services.children("billing_service"):
            pid = child.pid
            death = await child.crash()
            context.journal.note(
                "crashed", context.first_account(), what="billing_service", struck=pid
            )
            context.witness("a process of billing_service was killed", seen=death.pid == pid)


@dataclass(frozen=True)
class Stop:
    """Stops the process that works on the order with SIGSTOP."""

    needs: ClassVar[Needs] = PROCESSES
    service: Service
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        _, pid = _at_work(context, self.service, self.label)
        seen = await stopped(pid)
        account = context.orders[self.label].account
        context.journal.note("stopped", account, what=self.service, struck=pid)
        context.stopped = pid

        async def resume() -> None:
            if context.stopped == pid:
                os.kill(pid, signal.SIGCONT)

        context.cleanups.append(resume)
        context.witness(f"{self.service} was stopped", seen=seen)


@dataclass(frozen=True)
class Resume:
    """Resumes the stopped process with SIGCONT: it goes on as if no time had passed."""

    needs: ClassVar[Needs] = PROCESSES
    service: Service
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        pid = context.stopped
        os.kill(pid, signal.SIGCONT)
        context.stopped = 0
        account = context.orders[self.label].account
        context.journal.note("resumed", account, what=self.service, struck=pid)


@dataclass(frozen=True)
class AwaitRestart:
    """Waits until every process is ready again."""

    needs: ClassVar[Needs] = PROCESSES

    async def perform(self, context: Context) -> None:
        await context.harness.all_ready()


@dataclass(frozen=True)
class FreezeWalWriter:
    """Stops Postgres's WAL writer with SIGSTOP: only the committing session flushes its log, as synchronous_commit says."""

    needs: ClassVar[Needs] = PROCESSES

    async def perform(self, context: Context) -> None:
        connection = await context.database.connect()
        try:
            pid = await connection.fetchval(
                "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'"
            )
        finally:
            await connection.close()
        seen = await stopped(pid)
        context.stopped = pid

        async def resume() -> None:
            if context.stopped == pid:
                os.kill(pid, signal.SIGCONT)

        context.cleanups.append(resume)
        context.witness("the WAL writer was stopped", seen=seen)


@dataclass(frozen=True)
class SpareConnections:
    """Has each billing process connect to Postgres more often than it needs: a fault may hold what its own work uses at that moment.

    Reads that are under way together have a connection each, and the pool keeps it.
    """

    needs: ClassVar[Needs] = PROCESSES

    async def perform(self, context: Context) -> None:
        headers = context.harness.authorized("curl")
        async with http_client(timeout=BOUND_S, headers=headers) as client:
            for child in context.services.children("billing_service"):
                url = f"{context.services.url_of(child)}/accounts/{ACCOUNTS[0]}"
                answers = await asyncio.gather(*(client.get(url) for _ in range(_READS_AT_ONCE)))
                for answer in answers:
                    answer.raise_for_status()


@dataclass(frozen=True)
class CrashPostgres:
    """Shuts Postgres down at once, without a checkpoint; every acknowledged commit must survive the recovery."""

    needs: ClassVar[Needs] = PROCESSES

    async def perform(self, context: Context) -> None:
        postgres = context.services.postgres
        deaths = len(postgres.child.deaths)
        frozen, context.stopped = context.stopped, 0
        await postgres.crash(also_kill=frozen or None)
        context.journal.note("crashed", context.first_account(), what="postgres")
        context.witness(
            "Postgres crashed and recovered", seen=len(postgres.child.deaths) == deaths + 1
        )


async def stopped(pid: int) -> bool:
    """Stops a process; returns whether the operating system reports it as stopped."""
    os.kill(pid, signal.SIGSTOP)

    async def is_stopped() -> bool:
        return _state_of(pid) == "T"

    try:
        return await until(is_stopped, BOUND_S, "the process is stopped")
    except NotSeen:
        return False


def _state_of(pid: int) -> str:
    """The state letter of a process, from /proc: T is stopped."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        return stat.read().rpartition(")")[2].split()[0]
