"""The service under judgement: waited for, and, with a start command, started, killed and started again.

Guarantee: a start returns when the service is ready and is the one that was started; `close` leaves no process behind.
"""

import asyncio
import os
import secrets
import signal
import time
from contextlib import suppress
from pathlib import Path

from judge import processes
from judge.caller import Caller
from judge.config.model import Config
from judge.environ import of_commands
from judge.errors import ServiceError
from stack.processes import die_with

# A start on a busy machine, with migrations or a virtual machine to warm up.
_START_TIMEOUT_S = 60.0
_READY_TIMEOUT_S = 5.0
_CONNECT_TIMEOUT_S = 3.0
_PAUSE_S = 0.03
# After a kill the port may still be in use for a moment; a start that fails then is tried again.
_RESTARTS = 5
_RESTART_PAUSE_S = 0.3
_GRACE_S = 5.0
_CLOSED_TIMEOUT_S = 10.0
_LINE_SHOWN = 200


class Service:
    """One service, by its URL."""

    def __init__(self, config: Config, caller: Caller, folder: Path) -> None:
        self._config = config
        self._caller = caller
        self._log = folder / "service.log"
        self._mark = secrets.token_hex(8)
        self._process: asyncio.subprocess.Process | None = None
        # How long the last start took until the service was ready.
        self.start_s = 0.0

    @property
    def can_start(self) -> bool:
        """Whether judge.toml has a start command."""
        return bool(self._config.service.start)

    @property
    def root(self) -> int:
        """The process that was started last."""
        if self._process is None:
            raise RuntimeError("the service was not started")
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether a process of the service lives; True when the judge did not start it."""
        return self._process is None or bool(processes.living(self.root, self._mark))

    def pids(self) -> list[int]:
        """Its living processes, the first one first."""
        return processes.living(self.root, self._mark)

    async def open(self) -> None:
        """Starts the service, or sees that it is up. Raises `ServiceError`."""
        if not self.can_start:
            await self._caller.get("GET", self._config.service.ready or "/", {}, _READY_TIMEOUT_S)
            return
        if await self._listens():
            raise ServiceError(
                f"something listens at {self._config.service.url} already, before start was run; "
                "stop it, or leave start out."
            )
        await self._start()

    async def restart(self) -> None:
        """Starts it again after its death. Raises `ServiceError`."""
        for last in (*[False] * (_RESTARTS - 1), True):
            try:
                await self._start()
            except ServiceError:
                if last:
                    raise
                await self._end()
                await asyncio.sleep(_RESTART_PAUSE_S)
            else:
                return

    async def kill(self) -> None:
        """kill -9 for all its processes; returns when they are gone.

        Raises `ServiceError` when something still listens: then it was not the service that died.
        """
        await self._end()
        # The threads of a killed process end one after the other, and the last one closes its sockets.
        ends = time.monotonic() + _CLOSED_TIMEOUT_S
        while await self._listens():
            if time.monotonic() < ends:
                await asyncio.sleep(_PAUSE_S)
                continue
            raise ServiceError(
                f"something still listens at {self._config.service.url} after kill -9: start must run the service "
                "itself, and not have a container or another program run it."
            )

    async def terminate(self) -> None:
        """SIGTERM, as at a deployment; what has not ended after a grace is killed."""
        pids = self.pids()
        if pids:
            # To the whole group, as systemd does: a shell would keep the signal for itself.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.root, signal.SIGTERM)
        ends = time.monotonic() + _GRACE_S
        while self.pids() and time.monotonic() < ends:  # noqa: ASYNC110 - a process sets no event
            await asyncio.sleep(_PAUSE_S)
        await self._end()

    async def close(self) -> None:
        """Ends it, politely first."""
        if self._process is not None:
            try:
                await self.terminate()
            finally:
                await self._end()

    async def ready(self) -> bool:
        """Whether it answers 2xx at ready; without ready, whether it listens."""
        path = self._config.service.ready
        if not path:
            return await self._listens()
        try:
            answer = await self._caller.get("GET", path, {}, _READY_TIMEOUT_S)
        except ServiceError:
            return False
        return 200 <= answer.status < 300

    async def until_ready(self, timeout_s: float) -> bool:
        """Waits for it; False when it is not ready in time."""
        ends = time.monotonic() + timeout_s
        while not await self.ready():
            if time.monotonic() > ends:
                return False
            await asyncio.sleep(_PAUSE_S)
        return True

    def log_end(self) -> str:
        """The last line that it wrote."""
        with suppress(OSError):
            lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
            said = [" ".join(line.split()) for line in lines if line.strip()]
            if said:
                return said[-1][:_LINE_SHOWN]
        return "it wrote nothing"

    async def _start(self) -> None:
        service, folder = self._config.service, self._config.folder
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_shell(
                service.start,
                cwd=folder,
                env=of_commands(service.env, self._mark),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with(os.getpid(), signal.SIGKILL),
            )
        began = time.monotonic()
        ends = began + _START_TIMEOUT_S
        while not await self.ready():
            code = self._process.returncode
            # A launcher may end well and leave the service running.
            if code is not None and (code != 0 or not self.alive):
                raise ServiceError(
                    f"the start command ended with code {code} before the service was ready "
                    f"(it ran in {folder}): {self.log_end()}"
                )
            if time.monotonic() > ends:
                what = (
                    f"answered 2xx at {service.ready}"
                    if service.ready
                    else f"listened at {service.url}"
                )
                raise ServiceError(
                    f"the service has not {what} within {_START_TIMEOUT_S:g} s of its start: {self.log_end()}"
                )
            await asyncio.sleep(_PAUSE_S)
        self.start_s = time.monotonic() - began

    async def _end(self) -> None:
        if self._process is not None:
            await processes.kill(self.root, self._mark)
            # It is dead: this takes its code from the system.
            await self._process.wait()

    async def _listens(self) -> bool:
        host, _, port = self._caller.authority.rpartition(":")
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        except (OSError, TimeoutError):
            return False
        # A port without a listener may be chosen as the connection's own: then it is connected to itself.
        itself = writer.get_extra_info("sockname") == writer.get_extra_info("peername")
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return not itself
