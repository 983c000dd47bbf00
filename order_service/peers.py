"""The services that order_service calls, and the one border at which HTTP's failures become outcomes.

Guarantee: every attempt ends within its deadline with a value that says whether it could have happened. Only what is
certain is called refused; whatever is not certain is unknown.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import aiohttp
import http_sf
import httpx
from httpx_aiohttp import AiohttpTransport

from billing_service.wire import (
    FIRST_INCOMPLETE_HEADER,
    KEY_HEADER,
    REPLAYED_HEADER,
    RETRY_HEADER,
    TIMEOUT_HEADER,
    Charge,
)
from notification_service.wire import Notification
from telemetry import TRACE_HEADER, traceparent

Transport = httpx.AsyncBaseTransport


@dataclass(frozen=True)
class Acknowledged:
    """A final answer came: charged (201) or declined (402)."""

    status: int
    answer: dict[str, Any]
    caller_saw: str


@dataclass(frozen=True)
class Refused:
    """Definitely not executed. `answer` is the problem when the peer said no; None when it could not be reached.

    Without an answer another attempt may do better; with one, the same request gets the same answer again.
    """

    caller_saw: str
    answer: dict[str, Any] | None = None


@dataclass(frozen=True)
class Unknown:
    """It may have happened. `retry_after_s` is the peer's wish, in seconds."""

    caller_saw: str
    retry_after_s: float = 0.0


Outcome = Acknowledged | Refused | Unknown

# Refusals that time can heal: the request was not executed because of now, not because of itself.
_TRANSIENT = frozenset({408, 409, 425, 429})


def open_transport(connections_max: int) -> Transport:
    """httpx's aiohttp transport: no retries of its own, no cookies, no proxies from the environment.

    It must be called inside the event loop that will use it.
    """
    connector = aiohttp.TCPConnector(limit=connections_max)
    session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
    return AiohttpTransport(client=session)


async def exchange(transport: Transport, request: httpx.Request) -> httpx.Response:
    """The response with its whole body. Raises `httpx.RequestError`.

    Without httpx's timeouts: they bound single reads, and a slow drip passes them.
    """
    response = await transport.handle_async_request(request)
    try:
        await response.aread()
    finally:
        # Also when the deadline passes in the middle: the rest of this answer may never be taken for another one.
        await response.aclose()
    return response


class Peers:
    """Billing and notification, over one transport.

    The transport is used as it is: httpx's client around it would look for cookies, redirects and authentication in each
    request, which takes a sixth of the time of an order, and none of them may happen here.
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
        self._billing_headers = {"Authorization": f"Bearer {billing_token}"}
        self._notifications_url = httpx.URL(notification_url.rstrip("/") + "/notifications")
        self._notification_headers = {"Authorization": f"Bearer {notification_token}"}
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
            # Billing does not begin what nobody waits for any more.
            TIMEOUT_HEADER: http_sf.ser(self._attempt_timeout_s),
        }
        request = httpx.Request(
            "POST", self._charges_url, headers=headers, content=charge.model_dump_json()
        )
        return await self._attempt(request, _outcome_of_charge)

    async def void(self, sequence_key: int) -> Outcome:
        """Takes a key out of use: `Refused` with `key-voided`, or what it was answered, or unknown."""
        request = httpx.Request(
            "DELETE", f"{self._charges_url}/{sequence_key}", headers=self._billing_headers
        )
        return await self._attempt(request, _outcome_of_void)

    async def declare_settled(self, first_incomplete: int) -> bool:
        """Lets billing forget all keys below; whether it has heard. Nothing is lost when it has not."""
        request = httpx.Request(
            "DELETE",
            self._charges_url,
            params={"below": first_incomplete},
            headers=self._billing_headers,
        )
        outcome = await self._attempt(request, _outcome_of_notice)
        return isinstance(outcome, Acknowledged)

    async def notify(self, notification: Notification) -> Outcome:
        """The one attempt of a notification."""
        headers = {**self._notification_headers, "Content-Type": "application/json"}
        request = httpx.Request(
            "POST", self._notifications_url, headers=headers, content=notification.model_dump_json()
        )
        return await self._attempt(request, _outcome_of_notice)

    async def close(self) -> None:
        """Closes all connections."""
        await self._transport.aclose()

    async def _attempt(
        self, request: httpx.Request, outcome: Callable[[httpx.Response], Outcome]
    ) -> Outcome:
        request.headers[TRACE_HEADER] = traceparent()
        try:
            async with asyncio.timeout(self._attempt_timeout_s):
                response = await exchange(self._transport, request)
        except TimeoutError:
            return Unknown(f"Timeout: no answer within {self._attempt_timeout_s:g} s")
        except httpx.RequestError as exc:
            return _outcome_of_failure(exc)
        return outcome(response)


def slug_of(answer: Mapping[str, Any] | None) -> str:
    """The last part of a problem's type; empty when it is no problem."""
    return str((answer or {}).get("type", "")).rpartition("/")[2]


def notification_of(
    notification_id: UUID, order_id: UUID, customer: str, text: str
) -> Notification:
    """The message for one settled order."""
    return Notification(
        notification_id=notification_id, order_id=order_id, customer=customer, text=text
    )


def _outcome_of_failure(exc: httpx.RequestError) -> Refused | Unknown:
    # The transport's own mapping cannot be trusted here: it turns a connection that the server closed *after* the
    # request was sent into httpx.ConnectTimeout. What counts is aiohttp's exception beneath it.
    cause = exc.__cause__ or exc
    saw = f"{type(cause).__name__}: {cause}".rstrip(": ")
    never_connected = (
        aiohttp.ClientConnectorError,
        aiohttp.ConnectionTimeoutError,
        httpx.ConnectError,
    )
    return Refused(saw) if isinstance(cause, never_connected) else Unknown(saw)


def _outcome_of_charge(response: httpx.Response) -> Outcome:
    saw = f"HTTP {response.status_code}"
    answer = _json_object(response)
    if answer is None:
        # Half an answer, or somebody else's: whatever it was, billing may have executed the charge.
        return Unknown(f"{saw} without a JSON object")
    match response.status_code:
        case 201 | 402:
            replayed = response.headers.get(REPLAYED_HEADER) == "?1"
            return Acknowledged(
                response.status_code, answer, f"{saw}, replayed" if replayed else saw
            )
        case status if status in _TRANSIENT:
            return Unknown(_with_problem(saw, answer), _retry_after_s(response))
        case status if 400 <= status < 500:
            return Refused(_with_problem(saw, answer), answer)
    return Unknown(_with_problem(saw, answer), _retry_after_s(response))


def _outcome_of_notice(response: httpx.Response) -> Outcome:
    saw = f"HTTP {response.status_code}"
    if response.status_code == 202:
        return Acknowledged(202, {}, saw)
    if 400 <= response.status_code < 500:
        return Refused(saw, _json_object(response) or {})
    return Unknown(saw)


def _outcome_of_void(response: httpx.Response) -> Outcome:
    saw = f"HTTP {response.status_code}"
    answer = _json_object(response)
    if answer is None:
        return Unknown(f"{saw} without a JSON object")
    if response.status_code == 200 and answer.get("state") == "voided":
        return Refused(f"{saw} voided", {"type": "key-voided", "detail": "The key was voided."})
    if response.status_code == 409 and slug_of(answer) == "key-executed":
        executed = json.loads(str(answer["answer"]))
        return Acknowledged(int(answer["executed_status"]), executed, f"{saw} key-executed")
    if response.status_code == 410:
        return Refused(_with_problem(saw, answer), answer)
    # Also a wrong token: without an answer about the key nothing is certain.
    return Unknown(_with_problem(saw, answer), _retry_after_s(response))


def _with_problem(saw: str, answer: dict[str, Any]) -> str:
    slug = slug_of(answer)
    return f"{saw} {slug}" if slug else saw


def _json_object(response: httpx.Response) -> dict[str, Any] | None:
    try:
        parsed = json.loads(response.content)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _retry_after_s(response: httpx.Response) -> float:
    """Delay in seconds; RFC 9110 also allows a date, which billing never sends and which clocks would spoil."""
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else 0.0
