"""The workers of a run: each has a copy of the tree, a Postgres that keeps running, and the process that forks.

Guarantee: nothing of a worker is left when the block ends, however it ends: no process, no folder, no file in the tree.
"""

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import asyncpg

from stack import ports
from stack.postgres import PostgresCluster
from stack.processes import StackError, die_with
from tests.migrated_cluster import TEMPLATE, make_template
from tests.mutation.plugin import Server
from tests.mutation.worker import environ
from tests.mutation.workspace import Workspace

# An answer is one line; that of a measured file of tests has some megabytes.
_LINE_BYTES_MAX = 1 << 28
_SCHEMA_CLONE = "mutated_schema"
_SPARE = "test_spare"
# Databases of tests: those of the fixture, and those that a test names itself, with 32 hexadecimal digits.
_LEFT_BEHIND = (
    "SELECT datname FROM pg_database WHERE datname ~ '^test_' OR datname ~ '_[0-9a-f]{32}$'"
)


@dataclass
class Worker:
    """One of them, for one request at a time."""

    workspace: Workspace
    cluster: PostgresCluster
    server: Server
    folder: Path
    process: asyncio.subprocess.Process

    async def ask(self, **request: Any) -> dict[str, Any]:
        """Sends a request and returns the answer. Raises `StackError` when the worker is gone."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        server = request.pop("server", self.server)
        line = json.dumps({**request, "server": asdict(server)}) + "\n"
        try:
            self.process.stdin.write(line.encode())
            await self.process.stdin.drain()
            answer = await self.process.stdout.readline()
        except ConnectionError as exc:
            raise StackError("a worker of the mutation tests has ended.") from exc
        if not answer:
            raise StackError("a worker of the mutation tests has ended.")
        parsed: dict[str, Any] = json.loads(answer)
        await self.tidy(spare_is_empty="result" in parsed)
        return parsed

    @asynccontextmanager
    async def with_schema(self, sql: str) -> AsyncIterator[Server]:
        """A template whose schema was changed by `sql`."""
        await self.cluster.drop_database(_SCHEMA_CLONE)
        await self.cluster.create_database(_SCHEMA_CLONE, self.server.template)
        try:
            connection = await asyncpg.connect(self.cluster.url(_SCHEMA_CLONE))
            try:
                await connection.execute(sql)
            finally:
                await connection.close()
            yield Server(self.server.port, self.server.password, _SCHEMA_CLONE)
        finally:
            await self.cluster.drop_database(_SCHEMA_CLONE)

    async def tidy(self, *, spare_is_empty: bool) -> None:
        """Drops the databases of tests that have ended, and makes a spare one when there is none that is empty."""
        connection = await asyncpg.connect(self.cluster.url("postgres"))
        try:
            names = {row["datname"] for row in await connection.fetch(_LEFT_BEHIND)}
        finally:
            await connection.close()
        if not spare_is_empty:
            await self.cluster.drop_database(_SPARE)
            names.discard(_SPARE)
        if _SPARE not in names:
            await self.cluster.create_database(_SPARE, self.server.template)
        for name in names - {_SPARE}:
            await self.cluster.drop_database(name)


@asynccontextmanager
async def workers(project: Path, count: int) -> AsyncIterator[list[Worker]]:
    """So many of them, ready to be asked."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="billed-once-")))
        # Postgres may run as another user, who has to reach its folder.
        folder.chmod(0o755)
        yield [
            await stack.enter_async_context(
                worker(Workspace(project, folder / str(number) / "tree"), folder / str(number))
            )
            for number in range(count)
        ]


@asynccontextmanager
async def worker(
    workspace: Workspace, folder: Path, collected: str = "tests"
) -> AsyncIterator[Worker]:
    """A process for the tests in `collected`, and a server for it alone: it drops the databases of all tests there."""
    for name in ("lines", "tmp", "postgres"):
        (folder / name).mkdir(parents=True)
    cluster = PostgresCluster(
        folder / "postgres" / "data", folder / "postgres.log", lambda: ports.choose("", None)
    )
    await cluster.start()
    try:
        await make_template(cluster)
        async with forker(workspace.folder, folder / "tmp", collected) as process:
            server = Server(cluster.port, _password(cluster), TEMPLATE, _SPARE)
            made = Worker(workspace, cluster, server, folder / "lines", process)
            await made.tidy(spare_is_empty=True)
            yield made
    finally:
        await cluster.stop()


@asynccontextmanager
async def forker(
    tree: Path, temporary: Path, collected: str = "tests"
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The process that forks, in a copy of the tree; it has imported the libraries that the tests in `collected` need.

    Raises `StackError` when it does not start.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-E",
        "-m",
        "tests.mutation.worker",
        collected,
        cwd=tree,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**environ(os.environ), "TMPDIR": str(temporary)},
        limit=_LINE_BYTES_MAX,
        # Ctrl-C at the terminal reaches the command alone, which ends its workers in order.
        start_new_session=True,
        preexec_fn=die_with(os.getpid(), signal.SIGKILL),
    )
    try:
        assert process.stdout is not None
        if not await process.stdout.readline():
            raise StackError("a worker of the mutation tests did not start.")
        yield process
    finally:
        # Its child dies with it.
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _password(cluster: PostgresCluster) -> str:
    return cluster.url("postgres").partition("//owner:")[2].partition("@")[0]
