"""Passwords of the database roles and tokens of the clients, made once for a run directory.

Guarantee: they are random, readable by their owner alone, and the same at the next start, because Postgres remembers
the passwords too.
"""

import json
import os
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

ROLES = ("order", "billing", "notification")
# `curl` is a second billing client, for people.
CLIENTS = ("order_service", "curl")


@dataclass(frozen=True)
class Credentials:
    """Passwords by role, tokens by client."""

    passwords: dict[str, str]
    tokens: dict[str, str]


def read_or_make(path: Path) -> Credentials:
    """The credentials in a file; a file that is missing or of another form is made anew."""
    with suppress(OSError, ValueError, TypeError):
        return Credentials(**json.loads(path.read_text(encoding="utf-8")))
    made = Credentials(
        {role: secrets.token_urlsafe(24) for role in ROLES},
        {client: secrets.token_urlsafe(24) for client in CLIENTS},
    )
    write_private(path, json.dumps(asdict(made), indent=2) + "\n")
    return made


def write_private(path: Path, text: str) -> None:
    """Replaces a file at once, readable by its owner alone."""
    draft = path.with_name(path.name + ".tmp")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(draft, path)
