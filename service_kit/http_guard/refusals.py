"""The answers of the guard, and their bytes.

Guarantee: a refusal is a complete HTTP/1.1 response with a problem (RFC 9457), and repeats nothing that the peer sent.
"""

import json
from dataclasses import dataclass
from http import HTTPStatus

_NOT_EXECUTED = "The request did not reach the service: nothing was executed."


@dataclass(frozen=True)
class Refusal:
    """One kind of refusal; `explanation` fills the page behind the problem's `type`."""

    slug: str
    status: int
    title: str
    explanation: str
    retry_after_s: int | None = None


REQUEST_MALFORMED = Refusal(
    "request-malformed",
    400,
    "The request is not valid HTTP/1.1",
    "Its head or its framing breaks RFC 9112: no Host or two of them, a malformed field, an invalid length, or a "
    f"length together with a transfer coding. {_NOT_EXECUTED}",
)
REQUEST_INCOMPLETE = Refusal(
    "request-incomplete",
    408,
    "The request was not complete in time",
    f"Its head or its body did not arrive in time. {_NOT_EXECUTED} Send it again.",
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
    "The request line and header fields, or the extensions and trailers of a chunked body, are larger than the service "
    f"accepts, or there are too many fields. {_NOT_EXECUTED}",
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
    f"All connections of the process are in use. {_NOT_EXECUTED} Send it again later.",
    retry_after_s=1,
)
VERSION_UNKNOWN = Refusal(
    "http-version-unknown",
    505,
    "The server supports only HTTP/1.1 and HTTP/1.0",
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
    """Raised in the parser's callbacks; `detail` is one sentence for the peer."""

    def __init__(self, refusal: Refusal, detail: str) -> None:
        super().__init__(detail)
        self.refusal = refusal
        self.detail = detail


def response(
    refused: Refused, public_url: str, default_headers: list[tuple[bytes, bytes]]
) -> bytes:
    """The bytes of the answer, which is the last one on its connection."""
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
