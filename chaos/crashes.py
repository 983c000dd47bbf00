"""Acts that end, stop or restart real processes.

Guarantee: which process is struck is read from the journal (the one that works on the order), and that it was struck is
read from the operating system.
"""

import os
import signal
from dataclasses import dataclass
from typing import ClassVar, Literal

from chaos.acts import PROCESSES, Needs
from chaos.control import Seam
from chaos.probe import NotSeen, until
from chaos.processes import Child
from chaos.scene import ONLY, Scene
from chaos.theatre import BOUND_S

Service = Literal["order_service", "billing_service", "notification_service"]


@dataclass(frozen=True)
class DiesAt:
    """The process that gets the first request of the order ends at one of its seams."""

    needs: ClassVar[Needs] = PROCESSES
    service: Service
    seam: Seam
    label: str = ONLY

    async def perform(self, scene: Scene) -> None:
        placed = await scene.order(self.label)
        rule = scene.theatre.control.die(self.service, self.seam, placed.account, nth=1)
        scene.rules["dies"] = rule


@dataclass(frozen=True)
class Died:
    """A witness: it really did, of what was armed."""

    needs: ClassVar[Needs] = PROCESSES
    service: Service
    label: str = ONLY

    async def perform(self, scene: Scene) -> None:
        placed = scene.orders[self.label]

        async def dead() -> bool:
            marks = [
                e
                for e in scene.journal(placed)
                if e.service == self.service and e.fields.get("died")
            ]
            if not marks:
                return False
            child = scene.theatre.child(self.service, marks[0].pid)
            return any(death.pid == marks[0].pid for death in child.deaths)

        scene.witness(
            f"the process of {self.service} died of it",
            seen=await scene.until(dead, "the process dies"),
        )


def _at_work(scene: Scene, service: Service, label: str) -> tuple[Child, int]:
    """The replica that the order's latest event came from, and its process id at that time."""
    events = [e for e in scene.journal(scene.orders[label]) if e.service == service]
    pid = events[-1].pid if events else scene.theatre.stack.children(service)[0].pid
    return scene.theatre.child(service, pid), pid


@dataclass(frozen=True)
class Kill:
    """kill -9 of the process that works on the order; it is started again, as by any supervisor."""

    needs: ClassVar[Needs] = PROCESSES
    service: Service
    label: str = ONLY

    async def perform(self, scene: Scene) -> None:
        child, pid = _at_work(scene, self.service, self.label)
        death = await child.crash()
        scene.theatre.history.note(
            "crashed", scene.orders[self.label].account, what=self.service, struck=pid
        )
        scene.witness(
            f"{self.service} was killed",
            seen=death.pid == pid and death.return_code == -signal.SIGKILL,
        )


@dataclass(frozen=True)
class RestartTheOther:
    """A new billing process beside the one that has the order: none of its connections is older than now."""

    needs: ClassVar[Needs] = PROCESSES
    label: str = ONLY

    async def perform(self, scene: Scene) -> None:
        busy, _ = _at_work(scene, "billing_service", self.label)
        for child in scene.theatre.stack.children("billing_service"):
            if child is not busy:
                deaths = len(child.deaths)
                await child.crash()
                await scene.theatre.stack.ready_after(child, deaths + 1)


@dataclass(frozen=True)
class KillUnseen:
    """kill -9 of every billing process: whichever the caller's pooled connections lead to is gone."""

    needs: ClassVar[Needs] = PROCESSES

    async def perform(self, scene: Scene) -> None:
        await scene.order()
        for child in scene.theatre.stack.children("billing_service"):
            pid = child.pid
            death = await child.crash()
            scene.theatre.history.note(
                "crashed", scene.anybody(), what="billing_service", struck=pid
            )
            scene.witness("a process of billing_service was killed", seen=death.pid == pid)


@dataclass(frozen=True)
class Stop:
    """SIGSTOP: the process that works on the order does nothing any more, and does not know it."""

    needs: ClassVar[Needs] = PROCESSES
    service: Service
    label: str = ONLY

    async def perform(self, scene: Scene) -> None:
        _, pid = _at_work(scene, self.service, self.label)
        seen = await stopped(pid)
        account = scene.orders[self.label].account
        scene.theatre.history.note("stopped", account, what=self.service, struck=pid)
        scene.stopped = pid

        async def resume() -> None:
            if scene.stopped == pid:
                os.kill(pid, signal.SIGCONT)

        scene.cleanups.append(resume)
        scene.witness(f"{self.service} was stopped", seen=seen)


@dataclass(frozen=True)
class Resume:
    """SIGCONT: it goes on as if no time had passed."""

    needs: ClassVar[Needs] = PROCESSES
    service: Service
    label: str = ONLY

    async def perform(self, scene: Scene) -> None:
        pid = scene.stopped
        os.kill(pid, signal.SIGCONT)
        scene.stopped = 0
        account = scene.orders[self.label].account
        scene.theatre.history.note("resumed", account, what=self.service, struck=pid)


@dataclass(frozen=True)
class Restarted:
    """Until every process does its job again."""

    needs: ClassVar[Needs] = PROCESSES

    async def perform(self, scene: Scene) -> None:
        await scene.theatre.all_ready()


@dataclass(frozen=True)
class FreezeWalWriter:
    """SIGSTOP of Postgres's WAL writer: only who commits writes its log to disk now, as synchronous_commit says."""

    needs: ClassVar[Needs] = PROCESSES

    async def perform(self, scene: Scene) -> None:
        connection = await scene.connected()
        try:
            pid = await connection.fetchval(
                "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'"
            )
        finally:
            await connection.close()
        seen = await stopped(pid)
        scene.stopped = pid

        async def resume() -> None:
            if scene.stopped == pid:
                os.kill(pid, signal.SIGCONT)

        scene.cleanups.append(resume)
        scene.witness("the WAL writer was stopped", seen=seen)


@dataclass(frozen=True)
class CrashPostgres:
    """An immediate shutdown and crash recovery; what was committed has to be there afterwards."""

    needs: ClassVar[Needs] = PROCESSES

    async def perform(self, scene: Scene) -> None:
        postgres = scene.theatre.stack.postgres
        deaths = len(postgres.child.deaths)
        frozen, scene.stopped = scene.stopped, 0
        await postgres.crash(also_kill=frozen or None)
        scene.theatre.history.note("crashed", scene.anybody(), what="postgres")
        scene.witness(
            "Postgres crashed and recovered", seen=len(postgres.child.deaths) == deaths + 1
        )


async def stopped(pid: int) -> bool:
    """Stops a process; whether it stands still, by the operating system's own word."""
    os.kill(pid, signal.SIGSTOP)

    async def stands_still() -> bool:
        return _state_of(pid) == "T"

    try:
        return await until(stands_still, BOUND_S, "the process stands still")
    except NotSeen:
        return False


def _state_of(pid: int) -> str:
    """The state letter of a process, from /proc: T is stopped."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        return stat.read().rpartition(")")[2].split()[0]
