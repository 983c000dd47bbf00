"""One real process of the stack: started, watched, started again when it dies, and never left behind.

Guarantee: a child outlives neither a clean stop of its parent nor its parent's crash (on Linux the kernel sends it a
signal then); every death is recorded with its exit code, so that a crash can be witnessed.
"""

import asyncio
import ctypes
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

# linux/prctl.h
_PR_SET_PDEATHSIG = 1
# The end of a log that a person can take in.
LOG_LINES_SHOWN = 15
# A traceback inside a JSON line can have 10,000 characters; its beginning names the error.
_LINE_SHOWN = 300
# A process that dies this soon after its start, this many times in a row, will not get well by itself.
_EARLY_DEATH_S = 2.0
_EARLY_DEATHS_MAX = 5
# Exit codes from here on are those of signals, as shells write them; asyncio gives them as negative numbers.
_KILLED_FROM = 128
# The exit code of a service with a wrong setting: starting it again changes nothing.
WRONG_SETTING = 2

# Loaded before any fork: between fork and exec nothing may take a lock.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class StackError(Exception):
    """A part of the stack cannot work; the message is for the person who started it."""


@dataclass(frozen=True)
class Death:
    """The end of a process that was not asked to stop."""

    pid: int
    return_code: int


@dataclass(frozen=True)
class Command:
    """What a child runs. `stop_signal` asks it to finish, `death_signal` reaches it when its parent is gone."""

    argv: Sequence[str]
    environ: Mapping[str, str]
    directory: Path
    inherited_fds: Sequence[int] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL


class Program(Protocol):
    """A process that was started, with the names of `asyncio.subprocess.Process`."""

    @property
    def pid(self) -> int:
        """Its number."""

    @property
    def returncode(self) -> int | None:
        """None while it runs; a signal counts as minus its number."""

    async def wait(self) -> int:
        """The return code, when it has ended."""

    def send_signal(self, signal: int, /) -> None:
        """Sends it a signal."""

    def kill(self) -> None:
        """Sends it SIGKILL."""


Start = Callable[[Command, Path], Awaitable[Program]]


async def execute(command: Command, log: Path) -> Program:
    """Starts a program whose output goes to the end of `log`."""
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *command.argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(command.environ),
            cwd=command.directory,
            pass_fds=tuple(command.inherited_fds),
            # Its own session: Ctrl-C at the terminal reaches the parent alone, which stops its children in order.
            start_new_session=True,
            preexec_fn=die_with(os.getpid(), command.death_signal),
        )


class Child:
    """A supervised process. `on_restart` is called when it runs again after a death; `start` makes each process."""

    def __init__(
        self,
        name: str,
        command: Command,
        log: Path,
        *,
        on_restart: Callable[[], None] | None = None,
        start: Start = execute,
    ) -> None:
        self.name = name
        self.log = log
        self.deaths: list[Death] = []
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # A caller need not wait for the failure: asyncio must not warn about one that was never retrieved.
        self.failure.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._command = command
        self._on_restart = on_restart
        self._start = start
        self._process: Program | None = None
        self._watch: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()
        self._stopping = False
        self._started_s = 0.0
        self._early_deaths = 0

    @property
    def pid(self) -> int:
        """Of the process that runs now, or ran last."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process.pid

    @property
    def inherited_fds(self) -> Sequence[int]:
        """The open files that the process gets from this one."""
        return self._command.inherited_fds

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment that the process gets."""
        return self._command.environ

    @property
    def running(self) -> bool:
        """Whether there is a living process."""
        return self._process is not None and self._process.returncode is None

    @property
    def return_code(self) -> int | None:
        """Of the process that ran last; None while it runs. A signal counts as minus its number."""
        return None if self._process is None else self._process.returncode

    async def start(self) -> None:
        """Starts the process and its supervision."""
        await self._spawn()
        self._watch = asyncio.create_task(self._supervise(), name=f"supervise {self.name}")

    async def stop(self, grace_s: float) -> None:
        """Asks it to finish, and kills it when it has not within `grace_s` seconds."""
        self._stopping = True
        if self._process is not None and self.running:
            self._process.send_signal(self._command.stop_signal)
            # A stopped process (SIGSTOP) cannot hear; it continues only to end.
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGCONT)
            try:
                async with asyncio.timeout(grace_s):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        if self._watch is not None:
            self._watch.cancel()

    async def run_instead(self, argv: Sequence[str], grace_s: float) -> None:
        """Stops the process in order and runs another command in its place; its death is none to be recorded."""
        await self.stop(grace_s)
        self._stopping = False
        self._command = replace(self._command, argv=argv)
        await self.start()

    async def crash(self, with_signal: signal.Signals = signal.SIGKILL) -> Death:
        """Kills the process; returns when it is dead. It is started again as after any death.

        One that has just died is started again first. Raises `StackError` when there will be none.
        """
        await self.running_after(0)
        deaths = len(self.deaths)
        # It may have died by itself a moment ago: then that is the death.
        with suppress(ProcessLookupError):
            os.kill(self.pid, with_signal)
        await self.dead(deaths + 1)
        return self.deaths[deaths]

    async def end(self, with_signal: signal.Signals) -> None:
        """Kills the process for good: it is not started again. Returns when it is dead."""
        self._stopping = True
        if self._process is not None and self.running:
            with suppress(ProcessLookupError):
                os.kill(self.pid, with_signal)
            await self._process.wait()
        if self._watch is not None:
            self._watch.cancel()

    async def dead(self, deaths: int) -> None:
        """Returns when the process has died so many times in all."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.deaths) >= deaths or self.failure.done())

    async def running_after(self, deaths: int) -> None:
        """Returns when a new process runs after so many deaths; raises `StackError` when there will be none."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: (len(self.deaths) >= deaths and self.running) or self.failure.done()
            )
        if self.failure.done():
            self.failure.result()

    def log_end(self) -> str:
        """The last lines of the log."""
        if not self.log.exists():
            return "(no log)"
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[
            -LOG_LINES_SHOWN:
        ]
        shown = [line if len(line) <= _LINE_SHOWN else f"{line[:_LINE_SHOWN]} …" for line in lines]
        return "\n".join(f"    {line}" for line in shown) or "    (the log is empty)"

    async def _spawn(self) -> None:
        self._process = await self._start(self._command, self.log)
        self._started_s = time.monotonic()

    async def _supervise(self) -> None:
        while self._process is not None:
            return_code = await self._process.wait()
            if self._stopping:
                return
            async with self._changed:
                self.deaths.append(Death(self._process.pid, return_code))
                self._changed.notify_all()
            try:
                if self._is_hopeless(return_code):
                    raise StackError(f"ended with code {return_code}:\n{self.log_end()}")
                await self._spawn()
            except (StackError, OSError) as exc:
                self.failure.set_exception(StackError(f"{self.name} {exc}"))
                return
            finally:
                async with self._changed:
                    self._changed.notify_all()
            if self._on_restart is not None:
                self._on_restart()

    def _is_hopeless(self, return_code: int) -> bool:
        """Whether it ends by itself again and again. Being killed from outside, however often, does not count."""
        by_itself = 0 <= return_code < _KILLED_FROM
        early = time.monotonic() - self._started_s < _EARLY_DEATH_S
        self._early_deaths = self._early_deaths + 1 if by_itself and early else 0
        return return_code == WRONG_SETTING or self._early_deaths >= _EARLY_DEATHS_MAX


def exit_with_parent() -> None:
    """Has this process told to stop (SIGTERM) when the process that started it is gone. Linux only; else nothing."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def die_with(parent: int, death_signal: signal.Signals) -> Callable[[], None]:
    """For a child between fork and exec: it gets this signal when its parent is gone. Linux only; else nothing."""

    def prepare() -> None:
        if _libc is None:
            return
        _libc.prctl(_PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent:
            # The parent died between fork and prctl.
            os._exit(1)

    return prepare
