"""The programs of a cluster: etcd, which has to be there, and Patroni, which is installed once, apart from the project's packages.

Guarantee: what is missing is a `StackError` of one sentence that names it, before anything is started.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from stack import bootstrap
from stack.processes import StackError
from stack.schema import PROJECT
from stack.servers import CACHE

LOCK = PROJECT / "requirements-patroni.lock"


def etcd() -> str:
    """The path of the server."""
    found = shutil.which("etcd")
    if found is None:
        raise StackError("etcd is missing: install it (Debian: etcd-server).")
    return found


async def python_with_patroni(
    say: Callable[[str], None], folder: Path = CACHE / "patroni", lock: Path = LOCK
) -> Path:
    """The Python of an environment that has Patroni; makes it when it is not there. What pip says to a failure goes to `say`."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        await bootstrap.make(folder, lock, "patroni")
    except (StackError, OSError) as exc:
        say(str(exc))
        raise StackError(f"Patroni is missing, and {lock.name} could not be installed.") from exc
    return folder / "bin" / "python"
