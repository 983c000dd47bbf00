"""The caller: sends one request and says what it saw.

Guarantee: each attempt has a connection of its own and one deadline in all; nothing is retried or followed behind the
back of a case; every failure of the network is an attempt without an answer, never an exception.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from judge.errors import ServiceError
from judge.evidence import Answer, Attempt
from judge.requests import Rendered

# No answer of an endpoint that accepts idempotency keys is longer; what follows is not compared.
_BODY_BYTES_MAX = 1_000_000


@dataclass
class Hold:
    """Holds back the last byte of several requests, so that all become complete at the same moment."""

    expected: int
    held: int = 0
    all_held: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def arrive(self) -> None:
        """One more request waits for its last byte."""
        self.held += 1
        if self.held >= self.expected:
            self.all_held.set()


@dataclass(frozen=True)
class Sending:
    """How one attempt is sent. `address` is that of a proxy (host:port); None is the service itself."""

    deadline_s: float
    address: str | None = None
    hold: Hold | None = None
    # Called when the request is complete on the wire, and when the head of the answer has come.
    on_complete: Callable[[], None] | None = None
    on_head: Callable[[], Awaitable[None]] | None = None


class Caller:
    """Sends requests to one service."""

    def __init__(self, url: str, clock_ms: Callable[[], float]) -> None:
        self.url = url
        self._clock_ms = clock_ms
        self._parts = urlsplit(url)
        # One for the run: reading the certificates of the system takes longer than a request.
        self._tls = (
            ssl.create_default_context()
            if self._parts.scheme == "https"
            else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        )

    @property
    def authority(self) -> str:
        """host:port of the service, as Toxiproxy dials it."""
        port = self._parts.port or (443 if self._parts.scheme == "https" else 80)
        host = self._parts.hostname or ""
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def client(self) -> httpx.AsyncClient:
        """A client of its own for one attempt; it ignores the proxies of the environment."""
        transport = httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False, retries=0)
        # Each use has one deadline in all (asyncio.timeout); a timeout for each read would not stop a slow drip.
        return httpx.AsyncClient(transport=transport, timeout=None, follow_redirects=False)  # noqa: S113

    async def send(self, attempt: Attempt, sending: Sending) -> Attempt:
        """Sends the attempt's request and completes its record. Never raises for what the network does."""
        try:
            async with asyncio.timeout(sending.deadline_s), self.client() as client:
                await self._exchange(client, attempt, sending)
        except TimeoutError:
            attempt.error = f"no answer within {sending.deadline_s:g} s"
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ssl.SSLError, OSError) as exc:
            attempt.error = f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
        finally:
            attempt.ended_ms = self._clock_ms()
            if sending.hold is not None:
                sending.hold.arrive()
        return attempt

    async def get(
        self, method: str, path: str, headers: dict[str, str], deadline_s: float
    ) -> Answer:
        """A request that is no evidence: of the probe, or to see whether the service is up.

        Raises `ServiceError` when there is no answer.
        """
        url = path if path.startswith(("http://", "https://")) else self.url + path
        try:
            async with asyncio.timeout(deadline_s), self.client() as client:
                response = await client.request(method, url, headers=headers)
        except TimeoutError as exc:
            raise ServiceError(f"{method} {url}: no answer within {deadline_s:g} s.") from exc
        except httpx.ConnectError as exc:
            raise ServiceError(_why_not_connected(url, exc)) from exc
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as exc:
            raise ServiceError(f"{method} {url}: {exc or type(exc).__name__}.") from exc
        return Answer(response.status_code, tuple(response.headers.items()), response.content)

    async def _exchange(
        self, client: httpx.AsyncClient, attempt: Attempt, sending: Sending
    ) -> None:
        request = self._request(client, attempt.request, sending.address)
        async with client.stream(
            request.method,
            request.url,
            headers=request.headers.raw,
            content=self._content(attempt, sending),
            extensions=request.extensions,
        ) as response:
            attempt.head_ms = self._clock_ms()
            if sending.on_head is not None:
                await sending.on_head()
            body = b""
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _BODY_BYTES_MAX:
                    break
            attempt.answer = Answer(response.status_code, tuple(response.headers.items()), body)

    def head_bytes(self, rendered: Rendered) -> int:
        """How many bytes of a request come before its body."""
        request = self._request(self.client(), rendered, None)
        line = f"{rendered.method} {request.url.raw_path.decode()} HTTP/1.1\r\n"
        headers = sum(len(name) + len(value) + len(": \r\n") for name, value in request.headers.raw)
        return len(line) + headers + len("\r\n")

    def _request(
        self, client: httpx.AsyncClient, rendered: Rendered, address: str | None
    ) -> httpx.Request:
        url = httpx.URL(self.url + rendered.path)
        headers = [(name.encode("ascii"), value.encode()) for name, value in rendered.headers]
        names = {name.lower() for name, _ in headers}
        extensions = {}
        if b"host" not in names:
            headers.append((b"Host", self._parts.netloc.rpartition("@")[2].encode()))
        if rendered.content or rendered.method in ("POST", "PUT", "PATCH"):
            headers.append((b"Content-Length", str(len(rendered.content)).encode()))
        if address is not None:
            # The name stays that of the service, for its certificate and its virtual hosts.
            extensions["sni_hostname"] = url.host
            host, _, port = address.rpartition(":")
            url = url.copy_with(host=host, port=int(port))
        return client.build_request(rendered.method, url, headers=headers, extensions=extensions)

    async def _content(self, attempt: Attempt, sending: Sending) -> AsyncIterator[bytes]:
        content, hold = attempt.request.content, sending.hold
        if hold is not None:
            if len(content) > 1:
                yield content[:-1]
                content = content[-1:]
            hold.arrive()
            await hold.released.wait()
        if content:
            yield content
        # Control comes back here when the transport has given the last byte to the system.
        attempt.complete_ms = self._clock_ms()
        if sending.on_complete is not None:
            sending.on_complete()


def _why_not_connected(url: str, exc: httpx.ConnectError) -> str:
    text = str(exc)
    if "certificate" in text.lower() or "ssl" in text.lower() or "tls" in text.lower():
        return f"{url}: the TLS connection failed: {text}."
    return f"nothing listens at {url} ({text})."
