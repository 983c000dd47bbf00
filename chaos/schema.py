"""Brings a database to the newest schema, by the same Alembic command that everybody uses.

Guarantee: the migrations run in a process of their own, so nothing of the harness leaks into them.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from chaos.processes import StackError

PROJECT = Path(__file__).resolve().parent.parent
_LINES_SHOWN = 15


async def migrate(owner_url: str, passwords: Mapping[str, str]) -> None:
    """Brings a database to the newest schema; raises `StackError` with what Alembic said.

    `passwords` are those of the roles order, billing and notification, used when a role is made.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "alembic",
        "upgrade",
        "head",
        cwd=PROJECT,
        env={
            **os.environ,
            "MIGRATIONS_DATABASE_URL": owner_url,
            **{f"MIGRATIONS_{role.upper()}_PASSWORD": text for role, text in passwords.items()},
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        end = "\n".join(output.decode(errors="replace").splitlines()[-_LINES_SHOWN:])
        raise StackError(f"the migrations failed:\n{end}")
