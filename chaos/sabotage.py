"""Wraps the services from outside at two of their seams: requests that come in (ASGI) and go out (httpx transport).

Guarantee: without a rule of `chaos.control` a wrapped service behaves as the bare one does; every arrival is written to
an O_APPEND journal before the service sees it, so that a process that dies a microsecond later has left its witness.

Used as `order_service`'s, `billing_service`'s and `notification_service`'s factory: `chaos.sabotage:billing`.
"""

import asyncio
import json
import os
import time
from collections.abc import MutableMapping
from typing import Any

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import billing_service.app
import notification_service.app
import order_service.app
from order_service.peers import open_transport

JOURNAL_VARIABLE = "CHAOS_JOURNAL"
CONTROL_VARIABLE = "CHAOS_CONTROL"

# As after SIGKILL (128 + 9). Not the signal itself: process 1 of a container ignores it when it comes from within.
KILLED = 137
# More than any scenario has in flight.
CONNECTIONS_MAX = 128


def order() -> ASGIApp:
    """order_service with its arrivals journaled and its attempts under control."""
    seams = Seams("order_service")
    app = order_service.app.create(
        transport=lambda: SabotagedTransport(open_transport(CONNECTIONS_MAX), seams)
    )
    return SabotagedApp(app, seams)


def billing() -> ASGIApp:
    """billing_service with its arrivals and replies under control."""
    return SabotagedApp(billing_service.app.create(), Seams("billing_service"))


def notification() -> ASGIApp:
    """notification_service with its arrivals and replies under control."""
    return SabotagedApp(notification_service.app.create(), Seams("notification_service"))


class Seams:
    """The journal and the line to the control server, for one wrapped process."""

    def __init__(self, service: str) -> None:
        self.service = service
        self._journal = os.open(
            os.environ[JOURNAL_VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600
        )
        host, _, port = os.environ[CONTROL_VARIABLE].rpartition(":")
        self._control = (host, int(port))

    def journal(self, event: dict[str, Any]) -> None:
        """One line, written at once: no buffer that a crash could take along."""
        line = {"at_ns": time.monotonic_ns(), "service": self.service, "pid": os.getpid(), **event}
        os.write(self._journal, json.dumps(line).encode() + b"\n")

    async def obey(self, seam: str, account: str) -> None:
        """Reports an event and does what the control server says: go on (perhaps later), or die."""
        try:
            reader, writer = await asyncio.open_connection(*self._control)
            event = {"service": self.service, "seam": seam, "account": account}
            writer.write(json.dumps(event).encode() + b"\n")
            line = await reader.readline()
            writer.close()
        except OSError:
            # Nobody plays any more: the service goes on as a bare one would.
            return
        if line and json.loads(line)["do"] == "die":
            self.journal({"seam": seam, "account": account, "died": True})
            os._exit(KILLED)


class SabotagedApp:
    """The ASGI seam."""

    def __init__(self, app: ASGIApp, seams: Seams) -> None:
        self._app = app
        self._seams = seams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        messages, body = await _whole_request(receive)
        request = _described(dict(scope["headers"]), body)
        complete = messages[-1]["type"] == "http.request"
        self._seams.journal({"seam": "arrival", "complete": complete, **request})
        if complete:
            await self._seams.obey("arrival", request["account"])

        async def receive_again() -> Message:
            return messages.pop(0) if messages else await receive()

        async def send_watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                # The service answers only after its commit: whoever dies here has executed.
                await self._seams.obey("reply", request["account"])
                self._seams.journal({"seam": "reply", "status": message["status"], **request})
            await send(message)

        await self._app(scope, receive_again, send_watched)


class SabotagedTransport(httpx.AsyncBaseTransport):
    """The seam to the network."""

    def __init__(self, transport: httpx.AsyncBaseTransport, seams: Seams) -> None:
        self._transport = transport
        self._seams = seams

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        attempt = {
            "peer": request.url.path.strip("/"),
            **_described({k.lower(): v for k, v in request.headers.raw}, request.content),
        }
        # A notification is no attempt of a charge: it has a seam of its own.
        seam = "attempt" if attempt["peer"] == "charges" else "notify"
        self._seams.journal({"seam": seam, **attempt})
        await self._seams.obey(seam, attempt["account"])
        try:
            response = await self._transport.handle_async_request(request)
        except httpx.TransportError as exc:
            self._seams.journal({"seam": "no answer", "saw": type(exc).__name__, **attempt})
            raise
        self._seams.journal({"seam": "answer", "status": response.status_code, **attempt})
        return response

    async def aclose(self) -> None:
        await self._transport.aclose()


async def _whole_request(receive: Receive) -> tuple[list[Message], bytes]:
    """All messages of a request, up to its last byte or to the caller's disappearance."""
    messages: list[Message] = []
    body = b""
    while True:
        message: MutableMapping[str, Any] = await receive()
        messages.append(message)
        body += message.get("body", b"")
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return messages, body


def _described(headers: dict[bytes, bytes], body: bytes) -> dict[str, Any]:
    """What the journal says of a request; a body that is no JSON object has no account."""
    try:
        parsed = json.loads(body)
    except ValueError:
        parsed = {}
    fields = parsed if isinstance(parsed, dict) else {}
    return {
        "account": str(fields.get("account", fields.get("customer", ""))),
        "order_id": fields.get("order_id"),
        "sequence_key": headers.get(b"idempotency-key", b"").decode("latin-1"),
        "retry": headers.get(b"idempotency-retry", b"").decode("latin-1"),
    }
