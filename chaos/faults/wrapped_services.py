"""Wraps the services from outside at two of their seams: requests that come in (ASGI) and go out (httpx transport).

Guarantee: without a rule of `chaos.faults.control` a wrapped service behaves as the bare one does; every arrival is written to
an O_APPEND journal before the service sees it, so that a process that dies a microsecond later has left its witness.

Used as `order_service`'s, `billing_service`'s and `notification_service`'s factory: `chaos.faults.wrapped_services:billing`.
"""

import asyncio
import hashlib
import json
import os
import time
from collections.abc import AsyncIterator, Mapping, MutableMapping
from typing import Any, cast

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

JOURNAL_VARIABLE = "CHAOS_JOURNAL"
CONTROL_VARIABLE = "CHAOS_CONTROL"

# Where each service takes the messages that are journaled.
_PATHS = {
    "order_service": "/orders",
    "billing_service": "/charges",
    "notification_service": "/notifications",
}
# As after SIGKILL (128 + 9). Not the signal itself: process 1 of a container ignores it when it comes from within.
KILLED = 137
# What uvicorn writes around the application's headers: a status line, the date, an empty line.
_ADDED_BY_SERVER = len("HTTP/1.1 201 Created\r\ndate: Tue, 24 Nov 2026 03:04:05 GMT\r\n\r\n")
# More than any scenario has in flight.
CONNECTIONS_MAX = 128


def order() -> ASGIApp:
    """order_service with its arrivals journaled and its attempts under control."""
    # A process imports its own service alone: that is most of the time that its start takes.
    import order_service.app
    from order_service.peers import open_transport

    seams = Seams("order_service")
    app = order_service.app.create(
        transport=lambda: WrappedTransport(open_transport(CONNECTIONS_MAX), seams)
    )
    return WrappedApp(app, seams)


def billing() -> ASGIApp:
    """billing_service with its arrivals and replies under control."""
    import billing_service.app

    return WrappedApp(billing_service.app.create(), Seams("billing_service"))


def notification() -> ASGIApp:
    """notification_service with its arrivals and replies under control."""
    import notification_service.app

    return WrappedApp(notification_service.app.create(), Seams("notification_service"))


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
        """Writes one line at once: a crash can lose no buffer."""
        line = {"at_ns": time.monotonic_ns(), "service": self.service, "pid": os.getpid(), **event}
        os.write(self._journal, json.dumps(line).encode() + b"\n")

    async def obey(self, seam: str, request: Mapping[str, Any], **known: Any) -> dict[str, Any]:
        """Reports an event and does what the control server says: go on (perhaps later, or otherwise), or die."""
        account = request["account"]
        event = {**request, **known, "service": self.service, "seam": seam, "pid": os.getpid()}
        try:
            reader, writer = await asyncio.open_connection(*self._control)
            try:
                writer.write(json.dumps(event).encode() + b"\n")
                line = await reader.readline()
            finally:
                # Also when the deadline of an attempt passes while it is held: the control server learns of it.
                writer.close()
        except OSError:
            # No scenario is being played any more: the service goes on as a bare one would.
            return {}
        decision: dict[str, Any] = json.loads(line) if line else {}
        if decision.get("do") == "die":
            self.journal({"seam": seam, "account": account, "died": True})
            os._exit(KILLED)
        return decision


class WrappedApp:
    """The ASGI seam."""

    def __init__(self, app: ASGIApp, seams: Seams) -> None:
        self._app = app
        self._seams = seams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A request to another path is not a message of the scenario.
        wanted = scope["type"] == "http" and scope["method"] == "POST"
        if not wanted or scope["path"] != _PATHS[self._seams.service]:
            await self._app(scope, receive, send)
            return
        messages, body = await _whole_request(receive)
        headers = dict(scope["headers"])
        request = _described(headers, body)
        span = _span(headers)
        complete = messages[-1]["type"] == "http.request"
        sizes = {"head_bytes": _head_bytes(scope), "body_bytes": len(body)}
        self._seams.journal({"seam": "arrival", "complete": complete, **sizes, **request})
        if complete:
            await self._seams.obey("arrival", request, span=span)
        reply = _Reply()

        async def receive_again() -> Message:
            return messages.pop(0) if messages else await receive()

        async def send_watched(message: Message) -> None:
            reply.take(message)
            if message["type"] == "http.response.start":
                # The service answers only after its commit: a process that dies here has executed.
                await self._seams.obey("reply", request, span=span, **reply.head)
            else:
                # The head is on the wire already: a hold here makes the caller wait for the body.
                await self._seams.obey("body", request, span=span)
            await send(message)
            if reply.whole:
                self._seams.journal({"seam": "reply", **reply.described(), **request})

        await self._app(scope, receive_again, send_watched)


class _Reply:
    """What the journal says of an answer: its status, and a digest that tells equal answers from different ones."""

    def __init__(self) -> None:
        self._status = 0
        self._replayed = False
        self._digest = hashlib.sha256()
        self._head_bytes = 0
        self._body_bytes = 0
        self.whole = False

    def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = list(message.get("headers", []))
            self._replayed = (b"idempotency-replayed", b"?1") in headers
            self._head_bytes = _ADDED_BY_SERVER + sum(len(n) + len(v) + 4 for n, v in headers)
        elif message["type"] == "http.response.body":
            self._digest.update(message.get("body", b""))
            self._body_bytes += len(message.get("body", b""))
            self.whole = not message.get("more_body", False)

    @property
    def head(self) -> dict[str, Any]:
        return {"status": self._status, "replayed": self._replayed}

    def described(self) -> dict[str, Any]:
        return {
            **self.head,
            "digest": self._digest.hexdigest()[:16],
            "head_bytes": self._head_bytes,
            "body_bytes": self._body_bytes,
        }


class WrappedTransport(httpx.AsyncBaseTransport):
    """The seam to the network."""

    def __init__(self, transport: httpx.AsyncBaseTransport, seams: Seams) -> None:
        self._transport = transport
        self._seams = seams

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "POST":
            return await self._transport.handle_async_request(request)
        headers = {name.lower(): value for name, value in request.headers.raw}
        peer = request.url.path.strip("/")
        attempt = {"peer": peer, **_described(headers, request.content)}
        # A notification is not an attempt of a charge: it has a seam of its own.
        seam = "attempt" if peer == "charges" else "notify"
        self._seams.journal({"seam": seam, "payload": _digest(request.content), **attempt})
        try:
            span = _span(headers)
            _obeying(request, await self._seams.obey(seam, attempt, span=span))
            response = await self._transport.handle_async_request(request)
        except (httpx.TransportError, asyncio.CancelledError) as exc:
            self._seams.journal({"seam": "no answer", "saw": _name(exc), **attempt})
            raise
        # The service reads the body: its deadline, not the seam, must bound that.
        response.stream = _WatchedBody(response, self._seams, attempt)
        return response

    async def aclose(self) -> None:
        await self._transport.aclose()


class _WatchedBody(httpx.AsyncByteStream):
    """The body of an answer on its way to the service. A truncated answer counts as no answer."""

    def __init__(self, response: httpx.Response, seams: Seams, attempt: dict[str, Any]) -> None:
        self._stream = cast(httpx.AsyncByteStream, response.stream)
        self._status = response.status_code
        self._seams = seams
        self._attempt = attempt

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._stream:
                yield chunk
            if self._attempt["peer"] == "charges":
                await self._seams.obey("answer", self._attempt, status=self._status)
        except (httpx.TransportError, asyncio.CancelledError) as exc:
            self._seams.journal({"seam": "no answer", "saw": _name(exc), **self._attempt})
            raise
        # Last: from here to the caller nothing is awaited, so no deadline can discard the answer any more.
        self._seams.journal({"seam": "answer", "status": self._status, **self._attempt})

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _whole_request(receive: Receive) -> tuple[list[Message], bytes]:
    """All messages of a request, up to its last byte or until the caller disconnects."""
    messages: list[Message] = []
    body = b""
    while True:
        message: MutableMapping[str, Any] = await receive()
        messages.append(message)
        body += message.get("body", b"")
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return messages, body


def _head_bytes(scope: Scope) -> int:
    """The length of the request's head on the wire; HTTP/1.1 has one way to write what ASGI tells."""
    target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    line = len(f"{scope['method']}  HTTP/1.1\r\n") + len(target)
    return line + sum(len(name) + len(value) + 4 for name, value in scope["headers"]) + 2


def _name(exc: BaseException) -> str:
    """What the caller saw: the cause beneath the transport's own name for it; cancelled means its deadline."""
    if isinstance(exc, asyncio.CancelledError):
        return "Timeout"
    return type(exc.__cause__ or exc).__name__


def _obeying(request: httpx.Request, decision: dict[str, Any]) -> None:
    """Changes where an attempt goes and which flag and token it carries, when the control server says so."""
    if "via" in decision:
        host, _, port = decision["via"].rpartition(":")
        request.url = request.url.copy_with(host=host, port=int(port))
    if "invert" in decision:
        inverted = "?0" if request.headers["Idempotency-Retry"] == "?1" else "?1"
        request.headers["Idempotency-Retry"] = inverted
    if "token" in decision:
        request.headers["Authorization"] = f"Bearer {decision['token']}"


def _span(headers: Mapping[bytes, bytes]) -> str:
    """The span of the W3C trace context: of each request another one, so that an arrival can be told from its twin."""
    return headers.get(b"traceparent", b"").decode("latin-1")[36:52]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


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
