"""ASGI middleware that refuses requests that a browser sends on behalf of another site's page.

Guarantee: a request reaches the application only under one of its own host names, so DNS rebinding fails; and a request
that a browser sends for a page of another origin changes nothing. Callers other than browsers send neither `Origin` nor
`Sec-Fetch-Site`, so only the first check affects them.
"""

import functools
import ipaddress
import re
from collections.abc import Callable, Collection
from typing import NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from service_kit.problem_details.install import HOST_UNKNOWN, ORIGIN_FOREIGN, answer
from service_kit.problem_details.problem import Problem, ProblemCatalogue

# These always mean the local machine, so an attacker cannot register them for DNS rebinding.
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
# RFC 9110, section 9.2.1: methods that change nothing. Without CORS, a foreign page cannot read their answers.
_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
# Fetch Metadata: the page is this service's own, or there is none (the user typed the address).
_OWN_SITE = frozenset({b"same-origin", b"none"})
_DEFAULT_PORTS = {"http": 80, "https": 443}
# A DNS name has at most 253 characters, a port five.
_AUTHORITY_LENGTH_MAX = 300
_AUTHORITY = r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:@/?#\[\]]+)(:(?P<port>[0-9]{1,5}))?"
_HOST = re.compile(_AUTHORITY)
_ORIGIN = re.compile(rf"(?P<scheme>https?)://{_AUTHORITY}/?")


class _Authority(NamedTuple):
    """A host in lower case and its port; None is the default port of the scheme."""

    host: str
    port: int | None


class HostCheck:
    """Wraps `app`; `catalogue` is called late because the problem pages are installed after the middleware.

    `hosts` are names in addition to those of the loopback and of `public_url`, without ports. `probes` are paths that also
    answer under any IP address and without a name: a probe knows only the address of an instance, and DNS rebinding needs
    a name.
    """

    def __init__(
        self,
        app: ASGIApp,
        catalogue: Callable[[], ProblemCatalogue],
        hosts: Collection[str] = (),
        public_url: str = "",
        probes: Collection[str] = (),
    ) -> None:
        self.app = app
        self.catalogue = catalogue
        self.probes = frozenset(probes)
        self.public = _origin(public_url)
        public_host = {self.public[1].host} if self.public else set()
        self.hosts = LOOPBACK | public_host | set(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = self._problem(scope) if scope["type"] == "http" else None
        if problem is None:
            await self.app(scope, receive, send)
            return
        response = answer(self.catalogue(), problem)
        # The unread rest of the body must not be read as the next request on this connection.
        response.headers["Connection"] = "close"
        await response(scope, receive, send)

    def _problem(self, scope: Scope) -> Problem | None:
        hosts: list[bytes] = []
        origins: list[bytes] = []
        sites: list[bytes] = []
        for name, value in scope["headers"]:
            if name == b"host":
                hosts.append(value)
            elif name == b"origin":
                origins.append(value)
            elif name == b"sec-fetch-site":
                sites.append(value)
        own = _authority(hosts[0]) if len(hosts) == 1 else None
        if own is None or own.host not in self.hosts:
            nameless = not hosts or (own is not None and _is_address(own.host))
            if not (nameless and scope["path"] in self.probes):
                return Problem(HOST_UNKNOWN, "The Host header names another service.")
        if scope["method"] in _SAFE or not (origins or sites):
            return None
        if any(site not in _OWN_SITE for site in sites) or not all(
            self._is_own(origin, own) for origin in origins
        ):
            return Problem(ORIGIN_FOREIGN, "The request comes from a page of another origin.")
        return None

    def _is_own(self, given: bytes, own: _Authority | None) -> bool:
        """Whether an `Origin` is the service itself, under the name in this request or its public name.

        The scheme is compared only for the public name: behind a proxy that ends TLS, the service does not know its own scheme.
        """
        origin = _origin(given.decode("latin-1")) if len(given) <= _AUTHORITY_LENGTH_MAX else None
        if origin is None or own is None:
            # Also `null`, which a sandboxed page or one that hides its origin sends.
            return False
        scheme, authority = origin
        usual = _DEFAULT_PORTS[scheme]
        same = (authority.host, authority.port or usual) == (own.host, own.port or usual)
        return same or origin == self.public


@functools.lru_cache(maxsize=256)
def _authority(host: bytes) -> _Authority | None:
    """A parsed `Host` header. Cached, because nearly all requests have the same few."""
    if len(host) > _AUTHORITY_LENGTH_MAX:
        return None
    match = _HOST.fullmatch(host.decode("latin-1"))
    return _of(match) if match else None


def _origin(text: str) -> tuple[str, _Authority] | None:
    match = _ORIGIN.fullmatch(text.lower())
    if match is None:
        return None
    authority = _of(match)
    # An origin omits the default port; a setting may contain it.
    usual = authority.port == _DEFAULT_PORTS[match["scheme"]]
    return match["scheme"], authority._replace(port=None) if usual else authority


def _of(match: re.Match[str]) -> _Authority:
    host = match["host"].lower()
    if host.startswith("["):
        host = _compressed(host)
    return _Authority(host, int(match["port"]) if match["port"] else None)


def _compressed(host: str) -> str:
    try:
        return f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]"
    except ValueError:
        return host


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
