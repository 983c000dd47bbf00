"""A synchronous standby of the embedded Postgres.

Guarantee: once it was started, a commit of its primary is acknowledged only when the standby has it on disk, or when the wait
for it was ended from outside. Whatever fails is a `StackError` of one sentence, and the primary then waits for no standby.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import asyncpg

from stack.postgres import OWNER, PostgresCluster, binaries, environ_of_server, give, unprivileged
from stack.processes import StackError
from stack.programs import run_to_end
from stack.waiting import NotSeen, until

# The name under which the primary knows its standby.
NAME = "standby"
# A copy of a small cluster takes a second; on a busy machine many times that.
_BOUND_S = 60.0
_CONNECT_TIMEOUT_S = 5.0


class Standby(PostgresCluster):
    """A copy of `primary` that follows it by way of `address` (host:port): the primary itself, or a proxy before it."""

    def __init__(
        self,
        primary: PostgresCluster,
        address: str,
        data_dir: Path,
        log: Path,
        choose_port: Callable[[], int],
        on_restart: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(data_dir, log, choose_port, on_restart)
        self._primary = primary
        self._host, _, self._primary_port = address.rpartition(":")

    async def start(self) -> None:
        """Copies the primary anew, starts the copy, and returns when commits of the primary wait for it.

        What was in the folder is removed: a former primary may hold what no other server has.
        """
        try:
            await super().start()
            await require(self._primary)
        except BaseException:
            # A primary that waits for a standby which is not there acknowledges nothing.
            await release(self._primary)
            if hasattr(self, "child"):
                await self.stop()
            raise

    async def promote(self) -> None:
        """Makes it a primary of its own, without any standby. Raises `StackError` when it does not become one."""
        try:
            connection = await asyncpg.connect(self.url("postgres"), timeout=_CONNECT_TIMEOUT_S)
            promoted = await connection.fetchval("SELECT pg_promote(true, $1)", int(_BOUND_S))
            await connection.close()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
            raise StackError(f"the standby was not promoted: {exc}.") from exc
        if not promoted:
            raise StackError(f"the standby was not promoted within {_BOUND_S:g} s.")
        # It has no standby of its own, and would acknowledge nothing.
        await release(self)

    async def _initialise(self) -> None:
        """A copy of the primary in the place of a new cluster."""
        try:
            if self._data_dir.is_dir():
                shutil.rmtree(self._data_dir)
            self._data_dir.mkdir(parents=True, mode=0o700)
            self._password_file.unlink(missing_ok=True)
            self._password_file.touch(0o600)
            self._password_file.write_text(self._primary.password, encoding="utf-8")
            give(self._data_dir)
        except OSError as exc:
            raise StackError(
                f"the standby could not be made: {exc.filename}: {exc.strerror}."
            ) from exc
        source = f"host={self._host} port={self._primary_port} user={OWNER} application_name={NAME}"
        argv = [
            *unprivileged("--pdeathsig", "KILL"),
            str(binaries() / "pg_basebackup"),
            f"--pgdata={self._data_dir}",
            f"--dbname={source}",
            "--write-recovery-conf",
            "--wal-method=stream",
            "--checkpoint=fast",
            "--no-password",
        ]
        ended = await run_to_end(
            argv, {**environ_of_server(), "PGPASSWORD": self._primary.password}
        )
        if ended.return_code != 0:
            shutil.rmtree(self._data_dir, ignore_errors=True)
            lines = ended.output.strip().splitlines() or ["pg_basebackup failed"]
            # It names its reason in one line, and may say more beneath.
            reason = next((line for line in lines if "error:" in line), lines[-1])
            raise StackError(f"the standby could not be made: {reason}")


async def require(primary: PostgresCluster) -> None:
    """Makes commits wait for the standby; returns when it is synchronous. Raises `StackError` when it does not come."""
    connection = await asyncpg.connect(primary.url("postgres"), timeout=_CONNECT_TIMEOUT_S)
    try:
        await connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{NAME}'")
        await connection.execute("SELECT pg_reload_conf()")

        async def is_synchronous() -> bool:
            found: bool = await connection.fetchval(
                "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming')"
            )
            return found

        await until(is_synchronous, _BOUND_S, "the standby is synchronous")
    except NotSeen as exc:
        raise StackError(f"the standby did not follow its primary within {_BOUND_S:g} s.") from exc
    finally:
        await connection.close()


async def release(primary: PostgresCluster) -> None:
    """Commits wait for no standby any more; nothing happens when the server is gone."""
    try:
        connection = await asyncpg.connect(primary.url("postgres"), timeout=_CONNECT_TIMEOUT_S)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return
    await connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()
