"""Finds secrets that are public because an example file contains them.

Guarantee: in production, settings that hold a development secret are refused, wherever in a value it is, also in capitals
or percent-encoded; in development each start prints a warning.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import unquote

from pydantic import BaseModel, SecretStr

# Every secret in the example file begins with it, and no generated secret contains it by chance.
MARK = "development-only"
VARIABLE = "ENVIRONMENT"
DEVELOPMENT = "development"
PRODUCTION = "production"
# libpq and asyncpg read the password from this variable when the URL has none.
_PASSWORD_VARIABLE = "PGPASSWORD"  # noqa: S105 - the name of a variable
# A secret that is encoded more often than this reaches Postgres as another password.
_DECODED_MAX = 3


class Refused(Exception):
    """The settings must not be used here; the message is a sentence for the operator."""


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
    """The warning to print at the start, or an empty text. Raises `Refused` in production."""
    found = [(prefix + name).upper() for name in public_secrets(settings)]
    if _is_public(environ.get(_PASSWORD_VARIABLE, "")):
        found.append(_PASSWORD_VARIABLE)
    names = ", ".join(found)
    if not names:
        return ""
    if production:
        raise Refused(
            f"{names}: a development secret, which is public, and {VARIABLE} is {PRODUCTION}"
        )
    return f"WARNING: {names}: a development secret, which is public. Do not deploy this."


def _is_public(secret: str) -> bool:
    """Whether it contains the mark; a part of a URL may be percent-encoded, and a copy in capitals is as public."""
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
