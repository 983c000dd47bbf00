"""Secrets that are public, because they stand in an example file, and what becomes of a start with one of them.

Guarantee: with ENVIRONMENT=production no settings that hold a development secret are accepted, wherever in them it
stands; in development each start says so. An ENVIRONMENT that is neither is refused, so a misspelt one protects too.
"""

import os
from collections.abc import Iterator, Mapping

from pydantic import BaseModel, SecretStr

# Every secret of the example file begins with it, and no secret that somebody drew contains it by chance.
MARK = "development-only"
VARIABLE = "ENVIRONMENT"
DEVELOPMENT = "development"
PRODUCTION = "production"


class Refused(Exception):
    """The settings must not be used here; the message is a sentence for whoever starts the service."""


def public_secrets(settings: BaseModel) -> list[str]:
    """The names of the fields that hold a development secret, in the order of the class."""
    return [name for name, value in settings if any(MARK in text for text in _secrets(value))]


def warning(settings: BaseModel, prefix: str, environ: Mapping[str, str] = os.environ) -> str:
    """What the start has to say, or an empty text. Raises `Refused`."""
    where = environ.get(VARIABLE, "") or DEVELOPMENT
    if where not in (DEVELOPMENT, PRODUCTION):
        raise Refused(f"{VARIABLE}: must be {DEVELOPMENT} or {PRODUCTION}")
    names = ", ".join((prefix + name).upper() for name in public_secrets(settings))
    if not names:
        return ""
    if where == PRODUCTION:
        raise Refused(
            f"{names}: a development secret, known to everybody, and {VARIABLE} is {PRODUCTION}"
        )
    return f"WARNING: {names}: a development secret, known to everybody. Do not deploy this."


def _secrets(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _secrets(item)
