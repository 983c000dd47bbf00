"""Forks services from one process that has imported what they need: a start takes hundredths of a second, not more than half a second.

Guarantee: a forked service is a process like one that was executed: its own session, environment, arguments, open files, log and exit
code, and the same end when its parent is gone. Only /proc still shows the nursery's command line and environment. Linux only.
"""

import asyncio
import fcntl
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

from stack import environ
from stack.processes import Command, Program, StackError, die_with
from stack.schema import PROJECT

# What the services import; a factory of another module finds all of it there.
_IMPORTED = (
    "billing_service.app",
    "notification_service.app",
    "order_service.app",
    "stack.serve",
    "uvicorn.lifespan.on",
    "uvloop",
)
# Of one request: the environment of a service is some thousand bytes.
_REQUEST_BYTES_MAX = 128 * 1024
_FILES_MAX = 16
# Above all descriptors that a service is given by number.
_ASIDE = 512


class Nursery:
    """It is started for the first service, and again if it was killed. Use as `async with Nursery() as nursery`."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._line: socket.socket | None = None
        self._starting = asyncio.Lock()
        self._forked: dict[int, Forked] = {}
        self._asked: deque[asyncio.Future[Forked]] = deque()

    async def __aenter__(self) -> "Nursery":
        return self

    async def __aexit__(self, *_: object) -> None:
        self._hang_up()
        if self._process is not None:
            # It ends when its line is closed.
            await self._process.wait()

    async def fork(self, command: Command, log: Path) -> Program:
        """Starts `python -m MODULE …`; output goes to the end of `log`. Raises `StackError`."""
        async with self._starting:
            if self._line is None:
                await self._start()
        assert self._line is not None
        executable, option, *words = command.argv
        if (executable, option, command.directory) != (sys.executable, "-m", PROJECT):
            raise StackError(f"only modules of this revision can be forked, not {command.argv}")
        request = {
            "words": words,
            "environ": dict(command.environ),
            "fds": list(command.inherited_fds),
            "death_signal": int(command.death_signal),
        }
        forked: asyncio.Future[Forked] = asyncio.get_running_loop().create_future()
        with log.open("ab") as output:
            fds = [output.fileno(), *command.inherited_fds]
            socket.send_fds(self._line, [json.dumps(request).encode()], fds)
        # Answered in the order of the questions.
        self._asked.append(forked)
        return await forked

    async def _start(self) -> None:
        own, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "stack.nursery", str(its.fileno())),
                env=environ.of_child(),
                cwd=PROJECT,
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[its.fileno()],
                start_new_session=True,
                preexec_fn=die_with(os.getpid(), signal.SIGKILL),
            )
        own.setblocking(False)
        self._line = own
        asyncio.get_running_loop().add_reader(own, self._hear)

    def _hear(self) -> None:
        assert self._line is not None
        try:
            told = self._line.recv(_REQUEST_BYTES_MAX)
        except ConnectionError:
            # It was killed before it had read a request.
            told = b""
        if not told:
            self._hang_up()
            return
        match json.loads(told):
            case {"forked": pid}:
                self._forked[pid] = Forked(pid)
                asked = self._asked.popleft()
                if asked.cancelled():
                    self._forked[pid].kill()
                else:
                    asked.set_result(self._forked[pid])
            case {"ended": pid, "code": code}:
                self._forked.pop(pid).ends(code)

    def _hang_up(self) -> None:
        """What the nursery has forked is killed with it."""
        if self._line is None:
            return
        asyncio.get_running_loop().remove_reader(self._line)
        self._line.close()
        self._line = None
        for forked in self._forked.values():
            forked.ends(-signal.SIGKILL)
        self._forked.clear()
        for asked in self._asked:
            if not asked.cancelled():
                asked.set_exception(StackError("the nursery of services was killed"))
        self._asked.clear()


class Forked:
    """A process that the nursery has forked."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.Event()

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, signal: int, /) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def ends(self, code: int) -> None:
        self.returncode = code
        self._ended.set()


def main() -> None:
    """Forks until the line is closed. In a forked process it returns as the program that was asked for."""
    line = socket.socket(fileno=int(sys.argv[1]))
    for module in _IMPORTED:
        importlib.import_module(module)
    # The collector of a forked process leaves alone what is there now. It would look at all of it again, and so copy it.
    gc.collect()
    gc.freeze()
    heard, rings = os.pipe()
    for fd in (heard, rings):
        os.set_blocking(fd, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(rings)
    nursery = os.getpid()
    while True:
        readable, _, _ = select.select([line.fileno(), heard], [], [])
        if heard in readable:
            os.read(heard, 4096)
            _tell_ends(line)
        if line.fileno() in readable:
            message, fds, _, _ = socket.recv_fds(line, _REQUEST_BYTES_MAX, _FILES_MAX)
            if not message:
                return
            request = json.loads(message)
            pid = os.fork()
            if pid == 0:
                _settle(request, fds, nursery)
                _run(request["words"])
                return
            for fd in fds:
                os.close(fd)
            _tell(line, forked=pid)


def _tell(line: socket.socket, **what: int) -> None:
    # When the other end is gone, the next reading of the line says so.
    with suppress(ConnectionError):
        line.send(json.dumps(what).encode())


def _tell_ends(line: socket.socket) -> None:
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            _tell(line, ended=pid, code=code)


def _settle(request: dict[str, Any], fds: list[int], nursery: int) -> None:
    """Gives the forked process what an executed one would have, and takes away what it would not have."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    die_with(nursery, signal.Signals(request["death_signal"]))()
    # First out of the way: a number that is asked for may be that of another one.
    log, *inherited = [fcntl.fcntl(fd, fcntl.F_DUPFD, _ASIDE) for fd in fds]
    for fd, target in [(log, 1), (log, 2), *zip(inherited, request["fds"], strict=True)]:
        os.dup2(fd, target)
    kept = {0, 1, 2, *request["fds"]}
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept:
            with suppress(OSError):
                os.close(int(name))
    os.environ.clear()
    os.environ.update(request["environ"])


def _run(words: list[str]) -> None:
    module, *arguments = words
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
