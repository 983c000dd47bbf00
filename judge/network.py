"""Toxiproxy between the judge and the service: one fresh proxy for each fault.

Guarantee: a fault counts as armed after it was read back; a proxy is deleted with its fault, and the server with the run.
"""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from judge.errors import JudgeError
from judge.evidence import Evidence
from stack.ports import choose
from stack.processes import StackError
from stack.toxics import Toxic, ToxiproxyError
from stack.toxiproxy import ToxiproxyServer, find_or_build

_PROJECT = Path(__file__).resolve().parent.parent
# No environment variable names the port: a free one each time.
_NO_VARIABLE = "RETRY_JUDGE_TOXIPROXY_PORT"


class Proxy:
    """One proxy to the service. `address` is host:port."""

    def __init__(
        self, server: ToxiproxyServer, name: str, address: str, evidence: Evidence
    ) -> None:
        self._server = server
        self._name = name
        self.address = address
        self._evidence = evidence

    async def arm(self, toxic: Toxic) -> None:
        """Strikes; read back."""
        await self._server.admin.arm(self._name, toxic)
        self._evidence.fault("armed", str(toxic))

    async def still_armed(self, toxic: Toxic) -> bool:
        """Whether the fault is still there, as it was armed."""
        try:
            await self._server.admin.still_armed(self._name, toxic)
        except ToxiproxyError:
            return False
        return True

    async def heal(self, toxic: Toxic) -> None:
        """Takes the fault away; what it held is let go at once."""
        await self._server.admin.remove(self._name, toxic.name)
        self._evidence.fault("healed", toxic.type)


class Network:
    """Toxiproxy of one run."""

    def __init__(self, upstream: str, folder: Path, say: Callable[[str], None]) -> None:
        self._upstream = upstream
        self._folder = folder
        self._say = say
        self._server: ToxiproxyServer | None = None
        self._proxies = 0

    async def open(self) -> None:
        """Starts the server. Raises `JudgeError` when there is none and none can be built."""
        try:
            binary = await find_or_build(cache(), self._say)
            log = self._folder / "toxiproxy.log"
            self._server = ToxiproxyServer(binary, log, lambda: choose(_NO_VARIABLE, None))
            await self._server.start()
        except (StackError, ToxiproxyError, OSError) as exc:
            raise JudgeError(f"Toxiproxy cannot be used: {' '.join(str(exc).split())}") from exc

    async def close(self) -> None:
        """Ends the server, and with it all proxies."""
        if self._server is not None:
            await self._server.stop()

    @asynccontextmanager
    async def proxy(self, evidence: Evidence) -> AsyncIterator[Proxy]:
        """A proxy without faults, for the length of a block. Raises `JudgeError`."""
        if self._server is None:
            raise RuntimeError("the network was not opened")
        self._proxies += 1
        name = f"judge-{self._proxies}"
        try:
            state = await self._server.admin.create(name, self._upstream)
            yield Proxy(self._server, name, state.listen, evidence)
        except ToxiproxyError as exc:
            raise JudgeError(f"Toxiproxy failed: {exc}.") from exc
        finally:
            with suppress(ToxiproxyError):
                await self._server.admin.delete(name)


def cache() -> Path:
    """Where a built Toxiproxy lies: in the checkout, or with the person's other caches."""
    if (_PROJECT / "Makefile").is_file() and (_PROJECT / "pyproject.toml").is_file():
        return _PROJECT / ".cache"
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "retry-judge"
