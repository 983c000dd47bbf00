"""Secrets that are public, because they stand in an example file, and what becomes of a start with one of them.

Guarantee: in production no settings that hold a development secret are accepted, wherever in them it stands, in capitals
or percent-encoded as well; in development each start says so.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import unquote

from pydantic import BaseModel, SecretStr

# Every secret of the example file begins with it, and no secret that somebody drew contains it by chance.
MARK = "development-only"
VARIABLE = "ENVIRONMENT"
DEVELOPMENT = "development"
PRODUCTION = "production"
# libpq's and asyncpg's variable for a password that the URL does not hold.
_PASSWORD_VARIABLE = "PGPASSWORD"  # noqa: S105 - the name of a variable
# Whatever was encoded more often than this reaches Postgres as another password.
_DECODED_MAX = 3


class Refused(Exception):
    """The settings must not be used here; the message is a sentence for whoever starts the service."""


def public_secrets(settings: BaseModel) -> list[str]:
    """The names of the fields that hold a development secret, in the order of the class."""
    return [name for name, value in settings if any(map(_is_public, _secrets(value)))]


def warning(
    settings: BaseModel,
    prefix: str,
    *,
    production: bool,
    environ: Mapping[str, str] = os.environ,
) -> str:
    """What the start has to say, or an empty text. Raises `Refused`."""
    found = [(prefix + name).upper() for name in public_secrets(settings)]
    if _is_public(environ.get(_PASSWORD_VARIABLE, "")):
        found.append(_PASSWORD_VARIABLE)
    names = ", ".join(found)
    if not names:
        return ""
    if production:
        raise Refused(
            f"{names}: a development secret, known to everybody, and {VARIABLE} is {PRODUCTION}"
        )
    return f"WARNING: {names}: a development secret, known to everybody. Do not deploy this."


def _is_public(secret: str) -> bool:
    """A part of a URL may be percent-encoded, and a copy in capitals is as public as what was copied."""
    for _ in range(_DECODED_MAX):
        secret = unquote(secret)
    return MARK in secret.casefold()


def _secrets(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _secrets(item)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for item in value:
            yield from _secrets(item)
