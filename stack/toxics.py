"""Toxiproxy's admin API: the only importer of toxiproxy-python, and the border that makes it safe to rely on.

Guarantee: every call ends within its deadline, every failure is an exception of this module, and a toxic counts as
armed only after it was read back from the server exactly as it was asked for. A call that failed with `Refused` was
not done; one that failed with any other exception may have been done.

What the library does not do, version 0.1.1: it has no timeouts, keeps host and port in a class, swallows errors, and
takes toxics' values in one form only. `tests/stack/test_toxics.py` holds each of these defects, so that a release
without them is noticed.

Long because each call of the library passes the same border: deadline, read-back, translation of errors.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, TypeVar
from urllib.parse import urlsplit

import requests
from toxiproxy.api import APIConsumer
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

VERSION = "2.12.0"
# The admin API is on this machine and answers in milliseconds; after this long it hangs.
DEADLINE_S = 5.0

Stream = Literal["upstream", "downstream"]
T = TypeVar("T")


class ToxiproxyError(Exception):
    """Toxiproxy did not do what was asked."""


class Unreachable(ToxiproxyError):
    """No server answers at the admin address, or the connection broke before the answer was complete."""


class NotToxiproxy(ToxiproxyError):
    """Another program answers at the admin address."""


class DeadlineExceeded(ToxiproxyError):
    """The admin API hangs: a toxic is being taken from a connection whose peer does not read."""


class Refused(ToxiproxyError):
    """The server said no: an unknown proxy, a name or a port that is taken, an invalid toxic."""


class NotArmed(ToxiproxyError):
    """What was read back is not what was asked for."""


class WrongVersion(ToxiproxyError):
    """Another version of the server behaves differently under some toxics."""


# There is no toxicity and no jitter: the server's own randomness cannot be seeded, so a run could not be repeated.
@dataclass(frozen=True, kw_only=True)
class Toxic:
    """What is done to the bytes of one direction: `upstream` is caller to server, `downstream` server to caller."""

    type: ClassVar[str]
    # The field of this class to the attribute of the server.
    names: ClassVar[dict[str, str]]
    stream: Stream = "downstream"

    def __post_init__(self) -> None:
        if self.stream not in ("upstream", "downstream"):
            raise ValueError(f"stream is upstream or downstream, not {self.stream!r}")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "stream" and (type(value) is not int or value < 0):
                raise ValueError(f"{field.name} is a whole number from 0 upwards, not {value!r}")

    @property
    def name(self) -> str:
        """The server's name for it on its proxy: one of a kind in each direction."""
        return f"{self.type}_{self.stream}"

    @property
    def attributes(self) -> dict[str, int]:
        """As the server names them."""
        return {attribute: getattr(self, field) for field, attribute in self.names.items()}

    def __str__(self) -> str:
        values = ", ".join(f"{name} {value}" for name, value in self.attributes.items())
        return f"{self.type} ({values}) {self.stream}"


@dataclass(frozen=True, kw_only=True)
class Latency(Toxic):
    """Holds each chunk; removing the toxic lets go at once of what is held."""

    type = "latency"
    names: ClassVar[dict[str, str]] = {"latency_ms": "latency"}
    latency_ms: int


@dataclass(frozen=True, kw_only=True)
class Timeout(Toxic):
    """Drops all data; closes after `timeout_ms` of idle time, or never when it is 0."""

    type = "timeout"
    names: ClassVar[dict[str, str]] = {"timeout_ms": "timeout"}
    timeout_ms: int


@dataclass(frozen=True, kw_only=True)
class ResetPeer(Toxic):
    """Closes after `timeout_ms`; with RST only on connections that were opened after it was armed."""

    type = "reset_peer"
    names: ClassVar[dict[str, str]] = {"timeout_ms": "timeout"}
    timeout_ms: int


@dataclass(frozen=True, kw_only=True)
class LimitData(Toxic):
    """Closes a connection after `bytes`; 0 drops everything and closes at once, on fresh and warm ones alike."""

    type = "limit_data"
    names: ClassVar[dict[str, str]] = {"bytes": "bytes"}
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Bandwidth(Toxic):
    """Passes `rate_kb_per_s` kilobytes a second; 0 holds everything until the toxic is removed."""

    type = "bandwidth"
    names: ClassVar[dict[str, str]] = {"rate_kb_per_s": "rate"}
    rate_kb_per_s: int


@dataclass(frozen=True, kw_only=True)
class Slicer(Toxic):
    """Cuts data into small pieces with a pause after each: a slow drip."""

    type = "slicer"
    names: ClassVar[dict[str, str]] = {
        "average_size_bytes": "average_size",
        "size_variation_bytes": "size_variation",
        "delay_us": "delay",
    }
    average_size_bytes: int
    size_variation_bytes: int
    delay_us: int


@dataclass(frozen=True, kw_only=True)
class SlowClose(Toxic):
    """Delays the end of a connection, so that a crash cannot be seen."""

    type = "slow_close"
    names: ClassVar[dict[str, str]] = {"delay_ms": "delay"}
    delay_ms: int


@dataclass(frozen=True)
class ProxyState:
    """A proxy as the server describes it; addresses are host:port."""

    name: str
    listen: str
    upstream: str
    enabled: bool


class Toxiproxy:
    """One server, by the URL of its admin API."""

    def __init__(self, url: str, deadline_s: float = DEADLINE_S) -> None:
        address = urlsplit(url)
        if address.hostname is None or address.port is None:
            raise ValueError(f"not an address with a port: {url}")
        self._url = url
        # The library's address is the property of a class. A class for each server gives each its own, without a
        # lock: under one, a server that hangs would hold up the others, and what was given up would be done later.
        self._api: type[APIConsumer] = type(
            "Api", (APIConsumer,), {"host": address.hostname, "port": address.port}
        )
        self._deadline_s = deadline_s
        # Where each proxy stands: a server with a hung toxic does not tell any more.
        self._known: dict[str, ProxyState] = {}

    async def version(self) -> str:
        """The server's version."""
        return await self._call(
            self._api.get, "/version", read=lambda answer: str(answer["version"])
        )

    async def require_version(self) -> None:
        """Raises `WrongVersion` when the server is not the one whose behaviour is known."""
        version = await self.version()
        if version != VERSION:
            raise WrongVersion(f"toxiproxy-server {VERSION} is needed, this is {version}")

    async def proxies(self) -> dict[str, ProxyState]:
        """All proxies by name. Hangs, up to the deadline, while a toxic of any proxy does."""
        self._known = await self._call(
            self._api.get,
            "/proxies",
            read=lambda answer: {name: _state(proxy) for name, proxy in answer.items()},
        )
        return dict(self._known)

    async def create(self, name: str, upstream: str, listen: str = "127.0.0.1:0") -> ProxyState:
        """A new proxy; with port 0 the server chooses one."""
        proxy = {"name": name, "upstream": upstream, "listen": listen, "enabled": True}
        self._known[name] = await self._call(self._api.post, "/proxies", proxy, read=_state)
        return self._known[name]

    async def delete(self, name: str) -> None:
        """Ends a proxy and all its connections, hung toxics included."""
        await self._call(self._api.delete, f"/proxies/{name}", read=_nothing)
        self._known.pop(name, None)

    async def recreate(self, name: str) -> ProxyState:
        """The same proxy without toxics and connections: the one clean-up that cannot hang.

        The address is the one that `create` or `proxies` of this object saw last; only for a proxy that neither saw
        is the server asked, which cannot answer while a toxic hangs.
        """
        proxy = self._known.get(name) or (await self.proxies()).get(name)
        if proxy is None:
            raise Refused(f"there is no proxy {name}")
        await self.delete(name)
        return await self.create(name, proxy.upstream, proxy.listen)

    async def disable(self, name: str) -> None:
        """Closes the listener and all connections: a caller gets a definite connect error."""
        await self._call(self._api.post, f"/proxies/{name}", {"enabled": False}, read=_nothing)

    async def enable(self, name: str) -> None:
        """Listens again."""
        await self._call(self._api.post, f"/proxies/{name}", {"enabled": True}, read=_nothing)

    async def arm(self, proxy: str, toxic: Toxic) -> str:
        """Adds a toxic, reads it back, and returns its name. Raises `NotArmed` when the server has another one."""
        request = _request(toxic)
        await self._call(self._api.post, f"/proxies/{proxy}/toxics", request, read=_nothing)
        await self.read_back(proxy, request)
        return str(request["name"])

    async def still_armed(self, proxy: str, toxic: Toxic) -> None:
        """Raises `NotArmed` or `Refused` unless the proxy is open and has the toxic exactly as it was armed."""
        await self.read_back(proxy, _request(toxic))
        state = await self._call(self._api.get, f"/proxies/{proxy}", read=_state)
        if not state.enabled:
            raise NotArmed(f"{proxy} is closed")

    async def read_back(self, proxy: str, request: dict[str, Any]) -> None:
        """Raises `NotArmed` unless the server has the toxic exactly as requested."""
        path = f"/proxies/{proxy}/toxics/{request['name']}"
        fields_found, attributes_found = await self._call(
            self._api.get, path, read=lambda answer: (dict(answer), dict(answer["attributes"]))
        )
        for field in ("type", "stream", "toxicity"):
            has = fields_found.get(field)
            if has != request[field]:
                raise NotArmed(f"{proxy}: {field} is {has!r}, not {request[field]!r}")
        # The server adds attributes that were not named; one that is missing was misspelt and ignored.
        for attribute, value in request["attributes"].items():
            has = attributes_found.get(attribute)
            if has != value:
                raise NotArmed(f"{proxy}: {attribute} is {has!r}, not {value!r}")

    async def toxics(self, proxy: str) -> list[str]:
        """The names of the armed toxics."""
        return await self._call(
            self._api.get,
            f"/proxies/{proxy}/toxics",
            read=lambda answer: [str(toxic["name"]) for toxic in answer],
        )

    async def remove(self, proxy: str, toxic: str) -> None:
        """Takes one toxic away; what it held is let go at once. May hang where `recreate` cannot."""
        await self._call(self._api.delete, f"/proxies/{proxy}/toxics/{toxic}", read=_nothing)

    async def _call(
        self,
        method: Callable[..., requests.Response],
        path: str,
        body: dict[str, Any] | None = None,
        *,
        read: Callable[[Any], T],
    ) -> T:
        """Runs one call of the library in a thread, bounded, and gives what `read` takes from the answer."""
        try:
            async with asyncio.timeout(self._deadline_s):
                response = await asyncio.to_thread(self._send, method, path, body)
        except TimeoutError as exc:
            raise DeadlineExceeded(f"no answer within {self._deadline_s:g} s") from exc
        try:
            return read(response.json() if response.content else None)
        except (ValueError, LookupError, TypeError, AttributeError) as exc:
            raise NotToxiproxy(f"what answers at {self._url} is not Toxiproxy") from exc

    def _send(
        self,
        method: Callable[..., requests.Response],
        path: str,
        body: dict[str, Any] | None,
    ) -> requests.Response:
        """The border: one call with a deadline, past any proxy of the environment."""
        options: dict[str, Any] = {"timeout": self._deadline_s, "proxies": {"http": ""}}
        if body is not None:
            options["json"] = body
        try:
            response = method(path, **options)
            response.raise_for_status()
        except requests.Timeout as exc:
            raise DeadlineExceeded(f"no answer within {self._deadline_s:g} s") from exc
        except (NotFound, ProxyExists, InvalidToxic, requests.HTTPError) as exc:
            raise Refused(f"{path}: {exc}") from exc
        except requests.RequestException as exc:
            raise Unreachable(f"no server answers at {self._url}") from exc
        return response


def _request(toxic: Toxic) -> dict[str, Any]:
    return {
        "name": toxic.name,
        "type": toxic.type,
        "stream": toxic.stream,
        "toxicity": 1.0,
        "attributes": toxic.attributes,
    }


def _state(proxy: dict[str, Any]) -> ProxyState:
    return ProxyState(proxy["name"], proxy["listen"], proxy["upstream"], proxy["enabled"])


def _nothing(_: Any) -> None:
    """What is taken from an answer that says no more than that it was done."""
