"""Configuration from the environment, read once into a typed Settings class.

Guarantee: a wrong or missing value stops the start with one sentence a variable on standard error and exit code 2,
without a traceback and without the value itself, which may be a secret.
"""

import sys
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsError

__all__ = ["read"]

S = TypeVar("S", bound=BaseSettings)


def read(settings: type[S]) -> S:
    """The settings, or the end of the process."""
    prefix = str(settings.model_config.get("env_prefix", ""))
    try:
        return settings.model_validate({})
    except ValidationError as exc:
        for error in exc.errors():
            name = ".".join(str(part) for part in error["loc"])
            print(
                f"{(prefix + name).upper()}: {_sentence(error['type'], error['msg'])}",
                file=sys.stderr,
            )
    except SettingsError as exc:
        print(f"{prefix}*: {exc}: it must be JSON", file=sys.stderr)
    raise SystemExit(2)


def _sentence(kind: str, message: str) -> str:
    return "this setting is missing" if kind == "missing" else message
