"""Calls the other services; failures of HTTP become outcomes here and nowhere else.

Guarantee: every attempt ends within its deadline with an outcome that says whether it could have happened. It is called
refused only when it is certain that nothing was executed; else it is unknown.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from uuid import UUID

import aiohttp
import http_sf
import httpx
from httpx_aiohttp import AiohttpTransport

from billing_service.wire import (
    FIRST_INCOMPLETE_HEADER,
    KEY_HEADER,
    RETRY_HEADER,
    TIMEOUT_HEADER,
    Charge,
)
from notification_service.wire import Notification
from order_service import answers
from order_service.answers import Received
from order_service.outcomes import Acknowledged, Outcome, Refused, Unknown
from service_kit.telemetry import TRACE_HEADER, traceparent

Transport = httpx.AsyncBaseTransport

# The services answer with a few hundred bytes, and with some thousand when they list what is wrong with a request. A larger
# answer is not theirs, and would be held in memory for each attempt in flight.
ANSWER_BYTES_MAX = 64 * 1024


class _NotRead(Exception):
    """The answer cannot be one of the services', by its head or its length; it was not read to its end."""


def open_transport(connections_max: int) -> Transport:
    """httpx's aiohttp transport: no retries of its own, no cookies, no proxies from the environment.

    It must be called inside the event loop that will use it.
    """
    connector = aiohttp.TCPConnector(limit=connections_max)
    session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
    return AiohttpTransport(client=session)


async def exchange(transport: Transport, request: httpx.Request) -> Received:
    """The whole answer. Raises what the transport raises, see `_outcome_of_failure`, and `_NotRead`.

    Without httpx's timeouts: they bound single reads, and a slow drip passes them.
    """
    response = await transport.handle_async_request(request)
    try:
        content = await _content(response)
    finally:
        # Also when the deadline passes in the middle: the rest of this answer must never be read as part of another one.
        await response.aclose()
    return Received(response.status_code, response.headers, content)


async def _content(response: httpx.Response) -> bytes:
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        # A few compressed bytes could become gigabytes.
        raise _NotRead("in an encoding that was not asked for")
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > ANSWER_BYTES_MAX:
            raise _NotRead(f"longer than {ANSWER_BYTES_MAX} bytes")
    return bytes(content)


class Peers:
    """Billing and notification, over one transport.

    The transport is used directly. httpx's client would look for cookies, redirects and authentication in each request,
    which takes a sixth of the time of an order, and none of them may happen here.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        billing_url: str,
        billing_token: str,
        notification_url: str,
        notification_token: str,
        attempt_timeout_s: float,
    ) -> None:
        self._transport = transport
        # Parsed once and not for each request.
        self._charges_url = httpx.URL(billing_url.rstrip("/") + "/charges")
        asked_for = {"Accept-Encoding": "identity"}
        self._billing_headers = {"Authorization": f"Bearer {billing_token}", **asked_for}
        self._notifications_url = httpx.URL(notification_url.rstrip("/") + "/notifications")
        self._notification_headers = {"Authorization": f"Bearer {notification_token}", **asked_for}
        self._attempt_timeout_s = attempt_timeout_s

    async def charge(
        self, charge: Charge, sequence_key: int, *, retry: bool, first_incomplete: int
    ) -> Outcome:
        """One attempt of a charge."""
        headers = {
            **self._billing_headers,
            "Content-Type": "application/json",
            KEY_HEADER: http_sf.ser(str(sequence_key)),
            RETRY_HEADER: http_sf.ser(retry),
            FIRST_INCOMPLETE_HEADER: http_sf.ser(first_incomplete),
            # Billing does not begin a charge whose caller has stopped waiting.
            TIMEOUT_HEADER: http_sf.ser(self._attempt_timeout_s),
        }
        request = httpx.Request(
            "POST", self._charges_url, headers=headers, content=charge.model_dump_json()
        )
        return await self._attempt(request, partial(answers.of_charge, charge=charge))

    async def void(self, charge: Charge, sequence_key: int) -> Outcome:
        """Voids the key of a charge: `Refused` when it was not executed and never will be, its answer when it was executed,
        else unknown.
        """
        request = httpx.Request(
            "DELETE", f"{self._charges_url}/{sequence_key}", headers=self._billing_headers
        )
        return await self._attempt(
            request, partial(answers.of_void, charge=charge, sequence_key=sequence_key)
        )

    async def declare_settled(self, first_incomplete: int) -> bool:
        """Lets billing forget all keys below; False when billing did not confirm. Nothing is lost then."""
        request = httpx.Request(
            "DELETE",
            self._charges_url,
            params={"below": first_incomplete},
            headers=self._billing_headers,
        )
        outcome = await self._attempt(
            request, partial(answers.of_mark, first_incomplete=first_incomplete)
        )
        return isinstance(outcome, Acknowledged)

    async def notify(self, notification: Notification) -> Outcome:
        """The one attempt of a notification."""
        headers = {**self._notification_headers, "Content-Type": "application/json"}
        request = httpx.Request(
            "POST", self._notifications_url, headers=headers, content=notification.model_dump_json()
        )
        return await self._attempt(
            request, partial(answers.of_notification, notification=notification)
        )

    async def close(self) -> None:
        """Closes all connections."""
        await self._transport.aclose()

    async def _attempt(
        self, request: httpx.Request, outcome: Callable[[Received], Outcome]
    ) -> Outcome:
        request.headers[TRACE_HEADER] = traceparent()
        try:
            async with asyncio.timeout(self._attempt_timeout_s):
                received = await exchange(self._transport, request)
        except TimeoutError:
            return Unknown(f"Timeout: no answer within {self._attempt_timeout_s:g} s")
        except _NotRead as exc:
            return Unknown(f"an answer {exc}")
        except (httpx.RequestError, aiohttp.ClientError, OSError, ValueError) as exc:
            return _outcome_of_failure(exc)
        return outcome(received)


def notification_of(
    notification_id: UUID, order_id: UUID, customer: str, text: str
) -> Notification:
    """The message for one settled order."""
    return Notification(
        notification_id=notification_id, order_id=order_id, customer=customer, text=text
    )


def _outcome_of_failure(exc: Exception) -> Refused | Unknown:
    """What a failure of the transport says of the request.

    Beside httpx's exceptions the transport lets through those that its own mapping does not know: aiohttp's, when the
    answer is not HTTP, and `ValueError`, when a reason phrase is not text.
    """
    # The transport's own mapping cannot be trusted here: it turns a connection that the server closed *after* the
    # request was sent into httpx.ConnectTimeout. What counts is aiohttp's exception beneath it.
    cause = exc.__cause__ or exc
    saw = answers.printable(f"{type(cause).__name__}: {cause}".rstrip(": "))
    never_connected = (
        aiohttp.ClientConnectorError,
        aiohttp.ConnectionTimeoutError,
        httpx.ConnectError,
    )
    return Refused(saw) if isinstance(cause, never_connected) else Unknown(saw)
