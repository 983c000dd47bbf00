"""Configuration from the environment, read once into a typed Settings class.

Guarantee: a wrong or missing value stops the start with one sentence a variable on standard error and exit code 2,
without a traceback and without the value itself, which may be a secret. Secrets that are public are refused in
production and warned of elsewhere.
"""

import re
import sys
from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings

from environment import secrecy

__all__ = ["read"]

S = TypeVar("S", bound=BaseSettings)

# How pydantic-settings reports a value that should have been JSON.
_NOT_JSON = re.compile(r'error parsing value for field "(\w+)"')


def read(settings: type[S]) -> S:
    """The settings, or the end of the process."""
    prefix = str(settings.model_config.get("env_prefix", ""))
    try:
        found = settings.model_validate({})
        if warning := secrecy.warning(found, prefix):
            print(warning, file=sys.stderr)
        return found
    except ValidationError as exc:
        for error in exc.errors():
            print(_sentence(prefix, error), file=sys.stderr)
    except secrecy.Refused as exc:
        print(exc, file=sys.stderr)
    raise SystemExit(2)


def _sentence(prefix: str, error: ErrorDetails) -> str:
    message = error["msg"].removeprefix("Value error, ")
    if not_json := _NOT_JSON.search(message):
        return f"{(prefix + not_json[1]).upper()}: this setting must be JSON"
    if not error["loc"]:
        # A rule about several settings, which names them itself.
        return message
    name = (prefix + ".".join(str(part) for part in error["loc"])).upper()
    return f"{name}: {'this setting is missing' if error['type'] == 'missing' else message}"
