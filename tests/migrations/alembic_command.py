"""Runs Alembic as a user does, in a process of its own."""

import os

from tests import commands

PASSWORDS = {"order": "o", "billing": "b", "notification": "n"}


async def alembic(url: str, *arguments: str, **settings: str) -> tuple[int, str]:
    """Exit code, and what was printed on both outputs; `settings` are further variables."""
    environ = {
        **os.environ,
        "MIGRATIONS_DATABASE_URL": url,
        **{f"MIGRATIONS_{role.upper()}_PASSWORD": text for role, text in PASSWORDS.items()},
        **settings,
    }
    ended = await commands.run("alembic", *arguments, environ=environ)
    return ended.code, ended.output + ended.errors
