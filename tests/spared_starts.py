"""What each stack of these tests would start anew: the process that forks its services, and Alembic.

Guarantee: the services and the migrations are processes as before; only what they import has been imported once. A stack that a
command of a test runs starts its own.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stack import schema, servers
from stack.nursery import Nursery
from stack.programs import Ended
from tests import commands


class _Shared(Nursery):
    """The nursery of all stacks of this process: each has ended its services before it leaves."""

    async def __aexit__(self, *_: object) -> None:
        pass


@asynccontextmanager
async def spared() -> AsyncIterator[Nursery]:
    """The stacks of this process share a nursery until the block ends, and migrate in a forked process."""
    nursery = _Shared()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(servers, "Nursery", lambda: nursery)
        patch.setattr(schema, "run_to_end", _fork)
        yield nursery
    await Nursery.__aexit__(nursery)


async def _fork(argv: Sequence[str], environ: Mapping[str, str], directory: Path) -> Ended:
    _, option, module, *arguments = argv
    assert (option, directory) == ("-m", schema.PROJECT)
    ended = await commands.run(module, *arguments, environ=environ)
    return Ended(ended.code, ended.output + ended.errors)
