"""ASGI middleware that refuses a request body above a limit.

Guarantee: an application behind it never holds more than `limit_bytes` of a body, whether the length was announced or
the body came in chunks, and an announced excess is refused before a byte of it is read.
"""

from collections.abc import Callable

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service_kit.problem_details.install import BODY_TOO_LARGE, answer
from service_kit.problem_details.problem import Problem, ProblemCatalogue

# The largest request that the services know has a few hundred bytes; 64 KiB leaves room and bounds memory.
LIMIT_BYTES = 64 * 1024
# A longer number is above every limit, and so are its first digits.
_DIGITS_READ_MAX = 19


class _TooLarge(Exception):
    """Ends the reading of a body that grows past the limit."""


class BodyLimit:
    """Wraps `app`; `catalogue` is called late because the problem pages are installed after the middleware."""

    def __init__(
        self,
        app: ASGIApp,
        catalogue: Callable[[], ProblemCatalogue],
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        self.app = app
        self.catalogue = catalogue
        self.limit_bytes = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced_bytes = self._announced_bytes(scope)
        if announced_bytes is not None:
            # The server reads no more of a body than was announced (RFC 9112, section 6.3), so it needs no counting.
            within = announced_bytes <= self.limit_bytes
            await (self.app if within else self._refuse())(scope, receive, send)
            return
        started = False
        received_bytes = 0

        async def counted() -> Message:
            nonlocal received_bytes
            message = await receive()
            received_bytes += len(message.get("body", b""))
            if received_bytes > self.limit_bytes:
                raise _TooLarge
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            # The application may answer the interruption itself (FastAPI sends 400). Its answer is replaced, because the
            # only fault is that the body is too large.
            if received_bytes > self.limit_bytes:
                raise _TooLarge
            started = True
            await send(message)

        try:
            await self.app(scope, counted, watched)
        except _TooLarge:
            if not started:
                await self._refuse()(scope, receive, send)

    def _announced_bytes(self, scope: Scope) -> int | None:
        """The body's length; None when it was not announced, or a transfer coding overrides it."""
        announced_bytes = None
        for name, value in scope["headers"]:
            if name == b"content-length" and (digits := value.strip()).isdigit():
                # Python refuses to convert thousands of digits.
                announced_bytes = int(digits.lstrip(b"0")[:_DIGITS_READ_MAX] or b"0")
            elif name == b"transfer-encoding":
                return None
        return announced_bytes

    def _refuse(self) -> Response:
        response = answer(
            self.catalogue(),
            Problem(BODY_TOO_LARGE, f"The limit is {self.limit_bytes} bytes."),
        )
        # The unread rest of the body must not be read as the next request on this connection.
        response.headers["Connection"] = "close"
        return response
