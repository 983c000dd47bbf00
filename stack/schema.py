"""Brings a database to the newest schema, with the same Alembic command as in production.

Guarantee: the migrations run in a process of their own with an environment of its own, so nothing of the harness and
nothing of the person's shell leaks into them.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from stack import environ
from stack.processes import StackError
from stack.programs import run_to_end

PROJECT = Path(__file__).resolve().parent.parent
_LINES_SHOWN = 15


async def migrate(owner_url: str, passwords: Mapping[str, str]) -> None:
    """Brings a database to the newest schema; raises `StackError` with what Alembic said.

    `passwords` are those of the roles order, billing and notification, used when a role is made.
    """
    settings = {
        "MIGRATIONS_DATABASE_URL": owner_url,
        **{f"MIGRATIONS_{role.upper()}_PASSWORD": text for role, text in passwords.items()},
    }
    ended = await run_to_end(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        environ.of_child(settings, inherited=("ENVIRONMENT",)),
        PROJECT,
    )
    if ended.return_code != 0:
        raise StackError(f"the migrations failed:\n{ended.end(_LINES_SHOWN)}")
