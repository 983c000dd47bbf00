"""One more process of a service beside those of a stack: with another database, or from another revision of the project.

Guarantee: it is ready when the block begins, is not started again when it dies, and is gone when the block ends.
"""

import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import httpx

from stack import ports
from stack.embedded import FACTORIES, Stack
from stack.processes import Child, Command, StackError
from stack.schema import PROJECT
from stack.waiting import NotSeen, until

# Starting Python with FastAPI takes about a second a process; on a busy machine many times that.
_BOUND_S = 60.0
_GRACE_S = 15.0


@asynccontextmanager
async def beside(
    stack: Stack,
    service: str,
    log: Path,
    *,
    environ: Mapping[str, str] | None = None,
    directory: Path = PROJECT,
    argv: Sequence[str] = (),
    shared: bool = False,
) -> AsyncIterator[str]:
    """Gives the address of the process. `directory` holds the revision whose code it runs.

    `argv` runs it with one listening socket, whose number is appended. `shared`: it accepts from the socket of the stack's
    own processes of this service, and takes a part of their requests. Raises `StackError`.
    """
    with nullcontext(stack.listener(service)) if shared else ports.listen("", None) as listener:
        argv = [*(argv or (sys.executable, "-m", "stack.serve", FACTORIES[service]))]
        fds = [listener.fileno()]
        settings = {**stack.environ_of(service), **(environ or {})}
        command = Command([*argv, *map(str, fds)], settings, directory, inherited_fds=fds)
        child = Child(f"{service} beside", command, log)
        await child.start()
        url = ports.url_of(listener)
        try:
            await _ready(child, url)
            yield url
        finally:
            await child.stop(_GRACE_S)
            if child.running:
                await child.end(signal.SIGKILL)


async def _ready(child: Child, url: str) -> None:
    last = "no answer"

    async def ready() -> bool:
        nonlocal last
        if child.failure.done():
            child.failure.result()
        try:
            response = await client.get(f"{url}/readyz")
        except httpx.TransportError:
            return False
        last = response.text
        return response.status_code == httpx.codes.OK

    async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
        try:
            await until(ready, _BOUND_S, "the service is ready")
        except NotSeen as exc:
            raise StackError(f"{child.name} is not ready ({last}):\n{child.log_end()}") from exc
