"""The names under which a service may be called, as a setting: host names and addresses, separated by commas.

Guarantee: each one is a bare host in lower case, as a `Host` header has it before the port; a URL, a port or a pattern is
refused, because it would match no request.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_settings import NoDecode

# Host names on the Internet have no underscores, but those that Compose gives do.
_NAME = re.compile(
    r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*"
)


def _hosts(value: object) -> tuple[str, ...]:
    """Raises `ValueError`."""
    if isinstance(value, str):
        names = [name.strip() for name in value.split(",")]
    elif isinstance(value, Iterable):
        names = [str(name) for name in value]
    else:
        names = [str(value)]
    return tuple(_host(name.lower()) for name in names if name)


def _host(name: str) -> str:
    if _NAME.fullmatch(name):
        return name
    try:
        bracketed = name.startswith("[") and name.endswith("]")
        return f"[{ipaddress.IPv6Address(name[1:-1] if bracketed else name).compressed}]"
    except ValueError as exc:
        raise ValueError(
            "host names or addresses, separated by commas, without scheme, port and pattern"
        ) from exc


Hosts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_hosts)]
