"""Runs `python -m MODULE` in a process that is forked from one which has imported what commands need.

Guarantee: a command has a process, an environment, outputs and an exit code of its own. Only what an interpreter reads while it
starts (options, encodings, signals) is that of the tests; tests of these start one.
"""

import asyncio
import multiprocessing
import os
import runpy
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stack.schema import PROJECT

# pytest in a process of its own. The plugin that is left out takes half of its start, and these runs do not use it.
PYTEST = (sys.executable, "-m", "pytest", "-p", "no:schemathesis")
# Importing these takes half a second of processor time, which is more than most commands need for their work.
_IMPORTED = (
    "chaos.__main__",
    "judge.command",
    "alembic.config",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "sqlalchemy.ext.asyncio",
    # httpx and anyio import these with the first client.
    "httpcore",
    "anyio._backends._asyncio",
    "service_kit.environment.database_url",
)
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(list(_IMPORTED))


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    output: str
    errors: str


async def run(
    module: str, *arguments: str, environ: Mapping[str, str] | None = None, bound_s: float = 600
) -> Ended:
    """Runs a module to its end, in the project's folder and without input. Raises `TimeoutError`, and kills it then."""
    with tempfile.TemporaryDirectory() as folder:
        output, errors = Path(folder) / "output", Path(folder) / "errors"
        own = dict(os.environ if environ is None else environ)
        process = _CONTEXT.Process(
            target=_become, args=(module, arguments, own, output, errors), daemon=True
        )
        await asyncio.to_thread(process.start)
        await asyncio.to_thread(process.join, bound_s)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"{module} {' '.join(arguments)}")
        return Ended(
            process.exitcode,
            output.read_text(encoding="utf-8"),
            errors.read_text(encoding="utf-8"),
        )


def _become(
    module: str, arguments: tuple[str, ...], environ: dict[str, str], output: Path, errors: Path
) -> None:
    """Turns the forked process into the command."""
    missing = [name for name in _IMPORTED if name not in sys.modules]
    if missing:
        raise RuntimeError(f"not imported beforehand: {missing}")
    for fd, path in ((1, output), (2, errors)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, fd)
        os.close(file)
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(PROJECT)
    sys.argv = [module, *arguments]
    # It was imported for the sake of what it imports, and runs now.
    sys.modules.pop(f"{module}.__main__", None)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
