"""All processes of a service: the one that was started and what descends from it.

Guarantee: `kill` returns when none of them lives any more, whatever groups and sessions they have made for themselves
(on Linux; elsewhere those of the first one's group).
"""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from judge.environ import MARK
from judge.errors import ServiceError

_PROC = Path("/proc")
_PAUSE_S = 0.01
# A process that is killed ends when the kernel has closed what it holds; one that hangs in the kernel never does.
_DEATH_TIMEOUT_S = 10.0


def living(root: int, mark: str) -> list[int]:
    """The living processes of a service: of its session, of its tree, and with its mark; the root first."""
    found = {root} if _alive(root) else set()
    parents: dict[int, int] = {}
    for pid, parent, session, state in _table():
        parents[pid] = parent
        if state not in "ZX" and (session == root or _is_marked(pid, mark)):
            found.add(pid)
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found or parent == root}
        more = {pid for pid in more - found if _alive(pid)}
        grown = bool(more)
        found |= more
    found.discard(os.getpid())
    return sorted(found, key=lambda pid: (pid != root, pid))


async def kill(root: int, mark: str) -> None:
    """kill -9 for all of them; returns when they are gone. Raises `ServiceError` when one does not end."""
    # The group at once: the moment counts. Then those that are not of the group, and what was forked meanwhile.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(root, signal.SIGKILL)
    ends = time.monotonic() + _DEATH_TIMEOUT_S
    while pids := living(root, mark):
        for pid in pids:
            send(pid, signal.SIGKILL)
        if time.monotonic() > ends:
            raise ServiceError(f"process {pids[0]} of the service does not end after kill -9.")
        await asyncio.sleep(_PAUSE_S)


async def kill_alone(pid: int) -> None:
    """kill -9 for one process; returns when it listens to nothing any more. Raises `ServiceError` when it does not end."""
    send(pid, signal.SIGKILL)
    ends = time.monotonic() + _DEATH_TIMEOUT_S
    while _runs(pid):
        if time.monotonic() > ends:
            raise ServiceError(f"process {pid} of the service does not end after kill -9.")
        await asyncio.sleep(_PAUSE_S)


def send(pid: int, number: signal.Signals) -> None:
    """A signal to one process, if it lives."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _state(pid) not in "ZX"


def _runs(pid: int) -> bool:
    """Whether any of its threads lives: they end one after the other, the first one is a zombie by then, and the last one closes its sockets."""
    if not _PROC.is_dir():
        return _alive(pid)
    states = [_state_in(stat) for stat in (_PROC / str(pid) / "task").glob("*/stat")]
    return any(state not in "ZX" for state in states)


def _state(pid: int) -> str:
    """The state of a process as in ps; "R" where it cannot be found out."""
    if not _PROC.is_dir():
        return "R"
    return _state_in(_PROC / str(pid) / "stat")


def _state_in(stat: Path) -> str:
    try:
        return stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return "X"


def _table() -> Iterator[tuple[int, int, int, str]]:
    """pid, parent, session and state of every process; nothing where there is no /proc."""
    if not _PROC.is_dir():
        return
    for name in os.listdir(_PROC):
        if name.isdigit():
            with suppress(OSError, ValueError, IndexError):
                state, parent, _group, session = (
                    _read(name, "stat").rpartition(b")")[2].split(None, 4)[:4]
                )
                yield int(name), int(parent), int(session), state.decode()


def _is_marked(pid: int, mark: str) -> bool:
    try:
        environ = _read(str(pid), "environ")
    except OSError:
        return False
    return f"\0{MARK}={mark}\0".encode() in b"\0" + environ


def _read(pid: str, name: str) -> bytes:
    """A file of a process. There are hundreds of processes, and pathlib would take longer than the kernel."""
    with open(f"{_PROC}/{pid}/{name}", "rb", buffering=0) as file:
        return file.read()
