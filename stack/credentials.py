"""Passwords of the database roles and tokens of the clients, made once for a run directory.

Guarantee: they are random, readable by their owner alone, and the same at the next start, because Postgres remembers
the passwords too. No two of them are the same: a token of one service is none of another.
"""

import json
import os
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROLES = ("order", "billing", "notification")
# The services that know their clients. order_service knows none unless ORDER_TOKENS is set.
RECEIVERS = ("billing_service", "notification_service")
# `curl` is a second client, for people.
CLIENTS = ("order_service", "curl")


@dataclass(frozen=True)
class Credentials:
    """Passwords by role, tokens by the service that accepts them and by client."""

    passwords: dict[str, str]
    tokens: dict[str, dict[str, str]]


def read_or_make(path: Path) -> Credentials:
    """The credentials in a file; a file that is missing or of another form is made anew."""
    with suppress(OSError, ValueError, TypeError, AttributeError):
        read = Credentials(**json.loads(path.read_text(encoding="utf-8")))
        if _is_whole(read):
            return read
    made = Credentials(
        {role: _drawn() for role in ROLES},
        {receiver: {client: _drawn() for client in CLIENTS} for receiver in RECEIVERS},
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


def _drawn() -> str:
    return secrets.token_urlsafe(24)


def _is_whole(read: Credentials) -> bool:
    maps: list[tuple[Any, tuple[str, ...]]] = [(read.passwords, ROLES)]
    maps += [(read.tokens.get(receiver), CLIENTS) for receiver in RECEIVERS]
    texts = [found.get(name) for found, names in maps for name in names]
    return all(isinstance(text, str) and text for text in texts) and len({*texts}) == len(texts)
