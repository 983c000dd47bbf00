"""Processes of a service and commands: all that was started is found and ended."""

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

from judge import environ, processes
from judge.shell import run_bounded
from stack.waiting import until

_BOUND_S = 20.0


async def _started(program: str, mark: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_shell(
        f"{sys.executable} -c '{program}'",
        env=environ.of_commands({}, mark),
        start_new_session=True,
    )


async def _pid_in(file: Path) -> int:
    async def written() -> int | None:
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        return int(text) if text.endswith("\n") else None

    return await until(written, _BOUND_S, "the process has written its number")


async def test_a_process_in_a_session_of_its_own_is_killed(tmp_path: Path) -> None:
    """A service that becomes a daemon leaves its group, its session and its parent; it keeps its environment."""
    file = tmp_path / "pid"
    program = f"""
import os, signal
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
open("{file}", "w").write(str(os.getpid()) + chr(10))
signal.pause()
"""
    process = await _started(program, "daemon-test")
    pid = await _pid_in(file)
    assert pid in processes.living(process.pid, "daemon-test")
    await processes.kill(process.pid, "daemon-test")
    assert not Path(f"/proc/{pid}").exists() or _is_zombie(pid)
    await process.wait()


async def test_a_supervisor_cannot_save_its_worker(tmp_path: Path) -> None:
    """Both are gone when kill returns, whichever dies first."""
    file = tmp_path / "pid"
    program = f"""
import os, subprocess, sys
while True:
    worker = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True)
    open("{file}", "w").write(str(worker.pid) + chr(10))
    worker.wait()
"""
    process = await _started(program.replace("'", '"'), "supervisor-test")
    pid = await _pid_in(file)
    await processes.kill(process.pid, "supervisor-test")
    assert processes.living(process.pid, "supervisor-test") == []
    assert not Path(f"/proc/{pid}").exists() or _is_zombie(pid)
    await process.wait()


async def test_a_process_that_is_killed_alone_listens_no_more(tmp_path: Path) -> None:
    """A killed process takes connections until the kernel has freed its memory and ended its threads; it looks ready, and answers none."""
    file = tmp_path / "port"
    program = f"""
import socket, threading
listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=threading.Event().wait, daemon=True).start()
large = bytearray(300_000_000)
for place in range(0, len(large), 4096): large[place] = 1
open("{file}", "w").write(str(listener.getsockname()[1]) + chr(10))
threading.Event().wait()
"""
    process = await _started(program, "listener-test")
    port = await _pid_in(file)
    (*_, pid) = processes.living(process.pid, "listener-test")
    await processes.kill_alone(pid)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    await process.wait()


async def test_a_command_that_does_not_end_is_killed(tmp_path: Path) -> None:
    """With what it has started, and within its bound."""
    began = time.monotonic()
    file = tmp_path / "pid"
    ended = await run_bounded(
        f"sh -c 'echo $$ > {file}; tail -f /dev/null'", tmp_path, dict(os.environ), 1.0
    )
    assert ended is None
    assert time.monotonic() - began < _BOUND_S
    pid = await _pid_in(file)

    async def gone() -> bool:
        return not Path(f"/proc/{pid}").exists() or _is_zombie(pid)

    await until(gone, _BOUND_S, "the command is gone")


def test_commands_find_the_judges_own_programs() -> None:
    """After those of the person's PATH, and once."""
    path = environ.of_commands({"PATH": "/first"})["PATH"].split(os.pathsep)
    assert path == ["/first", str(Path(sys.executable).parent)]
    assert environ.of_commands({"PATH": os.pathsep.join(path)})["PATH"].split(os.pathsep) == path


def _is_zombie(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"
