"""The files of a cluster that has the migrated template: the first process of a run makes it, and each has a copy.

Guarantee: what is copied was stopped in order before; a copy that was interrupted is not used by another process.
"""

from pathlib import Path

import asyncpg

from stack import environ, ports
from stack.postgres import PostgresCluster
from stack.processes import StackError
from stack.programs import alone, run_to_end
from stack.schema import migrate

PASSWORDS = {"order": "o", "billing": "b", "notification": "n"}
TEMPLATE = "template_billed_once"


def in_folder(folder: Path) -> PostgresCluster:
    """The cluster with its data in a folder."""
    return PostgresCluster(folder / "data", folder / "postgres.log", lambda: ports.choose("", None))


async def copy_to(folder: Path, original: Path) -> None:
    """Copies `original`, which is made first where it is missing. Raises `StackError`."""
    original.mkdir(exist_ok=True)
    complete = original / "complete"
    async with alone(original / "lock", lambda: None):
        if not complete.exists():
            cluster = in_folder(original)
            await cluster.start()
            try:
                await make_template(cluster)
            finally:
                await cluster.stop()
            complete.touch()
    files = [str(original / name) for name in ("data", "data.password")]
    # With their owner: root runs Postgres as another user.
    ended = await run_to_end(["cp", "-Rp", *files, str(folder)], environ.of_child())
    if ended.return_code != 0:
        raise StackError(f"the cluster could not be copied:\n{ended.output}")


async def make_template(cluster: PostgresCluster) -> None:
    """Makes the migrated template in a running cluster. Raises `StackError`."""
    await cluster.create_database(TEMPLATE)
    await migrate(cluster.url(TEMPLATE), PASSWORDS)
    await _with_cheap_passwords(cluster)


async def _with_cheap_passwords(cluster: PostgresCluster) -> None:
    """The same passwords, hashed once instead of 4,096 times at both ends of each connection; tests open thousands."""
    owner = await asyncpg.connect(cluster.url(TEMPLATE))
    try:
        await owner.execute("SET scram_iterations = 1")
        for role, password in PASSWORDS.items():
            await owner.execute(f"ALTER ROLE {role}_service PASSWORD '{password}'")
        await owner.execute(f"ALTER ROLE CURRENT_USER PASSWORD '{cluster.password}'")
    finally:
        await owner.close()
