"""What the guard answers, and how it is written.

Guarantee: a refusal is a complete HTTP/1.1 response with a problem (RFC 9457), and it names nothing that the peer sent.
"""

import json
from dataclasses import dataclass
from http import HTTPStatus

_NOT_EXECUTED = "The request was not given to the service: nothing was executed."


@dataclass(frozen=True)
class Refusal:
    """One kind of refusal; `explanation` is for the page behind the problem's `type`."""

    slug: str
    status: int
    title: str
    explanation: str
    retry_after_s: int | None = None


REQUEST_MALFORMED = Refusal(
    "request-malformed",
    400,
    "The request is not valid HTTP/1.1",
    "Its head or its framing breaks RFC 9112: no Host or two of them, a field that is no field, a length that is no "
    f"length, or a length beside a transfer coding. {_NOT_EXECUTED}",
)
REQUEST_INCOMPLETE = Refusal(
    "request-incomplete",
    408,
    "The request was not complete in time",
    f"Its head or its body did not arrive within the time for it. {_NOT_EXECUTED} Send it again.",
)
TARGET_TOO_LONG = Refusal(
    "target-too-long",
    414,
    "The URL is too long",
    f"Path and query are longer than the service accepts. {_NOT_EXECUTED}",
)
HEAD_TOO_LARGE = Refusal(
    "head-too-large",
    431,
    "The head of the request is too large",
    "Request line and header fields, or the extensions and trailers of a chunked body, are larger or more than the "
    f"service accepts. {_NOT_EXECUTED}",
)
NOT_IMPLEMENTED = Refusal(
    "not-implemented",
    501,
    "The server does not know this method or transfer coding",
    f"CONNECT and unknown methods are not served; the only transfer coding is chunked. {_NOT_EXECUTED}",
)
TOO_MANY_CONNECTIONS = Refusal(
    "too-many-connections",
    503,
    "Too many connections are being served",
    f"The process serves as many requests as it has connections for. {_NOT_EXECUTED} Send it again later.",
    retry_after_s=1,
)
VERSION_UNKNOWN = Refusal(
    "http-version-unknown",
    505,
    "The server speaks HTTP/1.1 and HTTP/1.0",
    f"The request names another version. {_NOT_EXECUTED}",
)
REFUSALS = (
    REQUEST_MALFORMED,
    REQUEST_INCOMPLETE,
    TARGET_TOO_LONG,
    HEAD_TOO_LARGE,
    NOT_IMPLEMENTED,
    TOO_MANY_CONNECTIONS,
    VERSION_UNKNOWN,
)


class Refused(Exception):
    """Raised within the parser's callbacks; `detail` is one sentence for the peer."""

    def __init__(self, refusal: Refusal, detail: str) -> None:
        super().__init__(detail)
        self.refusal = refusal
        self.detail = detail


def response(
    refused: Refused, public_url: str, default_headers: list[tuple[bytes, bytes]]
) -> bytes:
    """The bytes of the answer; the connection ends with it."""
    refusal = refused.refusal
    url = f"{public_url}/problems/{refusal.slug}"
    body = json.dumps(
        {
            "type": url,
            "title": refusal.title,
            "status": refusal.status,
            "detail": refused.detail,
        }
    )
    lines = [f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}"]
    lines += [f"{name.decode()}: {value.decode()}" for name, value in default_headers]
    lines += ["content-type: application/problem+json", f"content-length: {len(body)}"]
    if refusal.status == HTTPStatus.BAD_REQUEST:
        lines.append(f'link: <{url}>; rel="describedby"')
    if refusal.retry_after_s is not None:
        lines.append(f"retry-after: {refusal.retry_after_s}")
    return "\r\n".join([*lines, "connection: close", "", body]).encode("ascii")
