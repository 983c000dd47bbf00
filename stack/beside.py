"""One more process of a service beside those of a stack: with another database, or from another revision of the project.

Guarantee: it is ready when the block begins, is not started again when it dies, and is gone when the block ends.
"""

import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from stack import ports, readiness
from stack.embedded import FACTORIES, Stack
from stack.processes import Child, Command
from stack.schema import PROJECT

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

    `argv` runs it with listening sockets, whose numbers are appended. `shared`: it also accepts from the socket of the stack's
    own processes of this service, and takes a part of their requests. Raises `StackError`.
    """
    with ports.listen("", None) as listener:
        argv = [*(argv or (sys.executable, "-m", "stack.serve", FACTORIES[service]))]
        shared_with = [stack.listener(service)] if shared else []
        fds = [each.fileno() for each in (listener, *shared_with)]
        settings = {**stack.environ_of(service), **(environ or {})}
        command = Command([*argv, *map(str, fds)], settings, directory, inherited_fds=fds)
        child = Child(f"{service} beside", command, log)
        await child.start()
        url = ports.url_of(listener)
        try:
            await readiness.wait(child, url, _BOUND_S)
            yield url
        finally:
            await child.stop(_GRACE_S)
            if child.running:
                await child.end(signal.SIGKILL)
