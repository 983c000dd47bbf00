"""Connects to the one of several servers that can write.

Guarantee: a server that does not answer takes no more than its share of the time; the server that was found last is asked
first, so the search is made once and not for each connection.
"""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from service_kit.bounded_pool.informed import InformedConnection

if TYPE_CHECKING:
    RawConnection = asyncpg.Connection[asyncpg.Record]
else:
    RawConnection = asyncpg.Connection


# What asyncpg raises when there is no connection to a server that can write.
_NO_CONNECTION = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)


class Hosts:
    """The servers that a URL names. asyncpg would spend the whole time on the first one that is silent."""

    def __init__(self, url: str, password: str | None, timeout_s: float) -> None:
        self._urls = each_of(url)
        self._password = password
        self._timeout_s = timeout_s / len(self._urls)

    async def connect(self) -> RawConnection:
        """A connection to a server that can write. Raises what asyncpg raises: the most telling error of all servers."""
        failures: list[Exception] = []
        for url in list(self._urls):
            try:
                connection = await asyncpg.connect(
                    url,
                    password=self._password,
                    timeout=self._timeout_s,
                    target_session_attrs=SessionAttribute.read_write,
                    connection_class=InformedConnection,
                )
            except _NO_CONNECTION as exc:
                failures.append(exc)
            else:
                self._ask_first(url)
                return connection
        raise min(failures, key=_how_little_it_says)

    def _ask_first(self, url: str) -> None:
        self._urls.remove(url)
        self._urls.insert(0, url)


def each_of(url: str) -> list[str]:
    """A URL for each host that the URL names, in their order; a URL with hosts in its query stays whole."""
    parts = urlsplit(url)
    account, at, hosts = parts.netloc.rpartition("@")
    if "," not in hosts:
        return [url]
    return [urlunsplit(parts._replace(netloc=f"{account}{at}{host}")) for host in hosts.split(",")]


def _how_little_it_says(exc: Exception) -> int:
    """An error of a server that could write says more than that another one cannot, and that more than no answer."""
    if isinstance(exc, asyncpg.TargetServerAttributeNotMatched):
        return 1
    return 0 if isinstance(exc, asyncpg.PostgresError) else 2
