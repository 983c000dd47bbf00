"""A real PgBouncer between a service and Postgres.

Debian's package is installed by .ci/run. Where there is none, tests that need one say so in the summary of the run.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from stack import ports
from stack.postgres import unprivileged
from stack.processes import Child, Command

# Debian puts it where only root's PATH looks.
BINARY = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
needed = pytest.mark.skipif(
    BINARY is None, reason="PgBouncer is not installed: apt-get install pgbouncer"
)

# What most guides tell to set when a driver's startup parameters are refused.
IGNORING = (
    "statement_timeout,lock_timeout,idle_in_transaction_session_timeout,extra_float_digits,options"
)


@asynccontextmanager
async def pgbouncer(
    directory: Path, upstream: str, **settings: str
) -> AsyncIterator[Mapping[str, str]]:
    """Runs one before the server of the URL `upstream`; gives the URL for each user of the services, and its name."""
    assert BINARY is not None
    where = urlsplit(upstream)
    users = {f"{name}_service": name[0] for name in ("order", "billing", "notification")}
    port = ports.choose("", None)
    directory.chmod(0o755)
    (directory / "users.txt").write_text(
        "".join(f'"{user}" "{password}"\n' for user, password in users.items()),
        encoding="utf-8",
    )
    options = {
        "listen_addr": ports.LOOPBACK,
        "listen_port": str(port),
        "unix_socket_dir": "",
        "auth_type": "scram-sha-256",
        "auth_file": str(directory / "users.txt"),
        "pool_mode": "session",
        "default_pool_size": "40",
        "max_client_conn": "200",
        "logfile": "",
        **settings,
    }
    (directory / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={where.hostname} port={where.port}\n[pgbouncer]\n"
        + "".join(f"{name} = {value}\n" for name, value in options.items()),
        encoding="utf-8",
    )
    child = Child(
        "pgbouncer",
        Command(
            [*unprivileged("--pdeathsig", "TERM"), BINARY, str(directory / "pgbouncer.ini")],
            {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            directory,
        ),
        directory / "pgbouncer.log",
    )
    await child.start()
    try:
        urls = {
            user: urlunsplit(where._replace(netloc=f"{user}:{password}@{ports.LOOPBACK}:{port}"))
            for user, password in users.items()
        }
        await _accepting(urls["billing_service"], child)
        yield urls
    finally:
        await child.stop(10.0)


async def _accepting(url: str, child: Child) -> None:
    async with asyncio.timeout(60):
        while True:
            if child.failure.done():
                child.failure.result()
            try:
                connection = await asyncpg.connect(url)
            except OSError:
                continue
            await connection.close()
            return
