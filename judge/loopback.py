"""Keeps the judge's traffic on this machine, unless the user owns the service.

Guarantee: a service elsewhere gets no request without --i-own-this-service.
"""

import ipaddress
import socket
from urllib.parse import urlsplit

from judge.config.model import Config
from judge.errors import ConfigError, ServiceError


def require_loopback(config: Config, *, owned: bool) -> None:
    """Raises `ConfigError` when a request or a probe would leave this machine."""
    if owned:
        return
    urls = [config.service.url]
    if config.effect.kind == "http":
        target = config.effect.source.partition(" ")[2].strip()
        urls += [target] if target.startswith(("http://", "https://")) else []
    for url in urls:
        host = urlsplit(url).hostname or ""
        if not all(map(_is_here, _addresses(host))):
            raise ConfigError(
                f"{host} is not on this machine; the judge injects faults and makes real effects, so only for a service "
                "of your own say --i-own-this-service."
            )


def _addresses(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise ServiceError(f"the host {host} has no address ({exc}).") from exc
    return [str(address[4][0]) for address in found]


def _is_here(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return parsed.is_loopback or parsed.is_unspecified
