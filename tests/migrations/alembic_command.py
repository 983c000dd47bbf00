"""Runs Alembic as a user does, in a process of its own."""

import asyncio
import os
import sys

from stack.schema import PROJECT

PASSWORDS = {"order": "o", "billing": "b", "notification": "n"}


async def alembic(url: str, *arguments: str, **settings: str) -> tuple[int, str]:
    """Exit code, and what was printed on both outputs; `settings` are further variables."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "alembic",
        *arguments,
        cwd=PROJECT,
        env={
            **os.environ,
            "MIGRATIONS_DATABASE_URL": url,
            **{f"MIGRATIONS_{role.upper()}_PASSWORD": text for role, text in PASSWORDS.items()},
            **settings,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()
