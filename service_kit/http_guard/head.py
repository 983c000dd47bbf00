"""Rules of RFC 9112 for a request's head that the parser does not check.

Guarantee: a head that passes has at most one Host, one length and one framing, so every server on its way reads it alike.
"""

import re

import httptools

from service_kit.http_guard.refusals import (
    NOT_IMPLEMENTED,
    REQUEST_MALFORMED,
    VERSION_UNKNOWN,
    Refused,
)

Fields = list[tuple[bytes, bytes]]

# RFC 3986: a registered name or an address, and a port. Empty for a target that has no authority.
_HOST = re.compile(
    rb"(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*(?::[0-9]*)?|\[[0-9A-Fa-f:.]+\](?::[0-9]*)?"
)
# 2^63 has 19 digits; no body is longer.
_LENGTH_DIGITS_MAX = 19
_OF_A_KIND = (b"host", b"content-length", b"transfer-encoding")
_SPACES = b" \t"


def check_host(value: bytes | None) -> bytes | None:
    """The value itself; raises `Refused` when it is not a host."""
    if value is not None and not _HOST.fullmatch(value.rstrip(_SPACES)):
        raise Refused(REQUEST_MALFORMED, "Host is not a host.")
    return value


def check_version(version: str, by_name: dict[bytes, bytes]) -> None:
    """Raises `Refused` for an unknown version, or a head that its version does not allow."""
    if version == "1.1":
        if b"host" not in by_name:
            raise Refused(REQUEST_MALFORMED, "HTTP/1.1 requires one Host in each request.")
    elif version != "1.0":
        raise Refused(VERSION_UNKNOWN, "Use HTTP/1.1.")
    elif b"transfer-encoding" in by_name:
        raise Refused(REQUEST_MALFORMED, "HTTP/1.0 has no transfer coding.")


def check_repeated(fields: Fields) -> None:
    """Raises `Refused` when a field that decides routing or framing is repeated."""
    names = [name for name, _ in fields]
    for name in _OF_A_KIND:
        if names.count(name) > 1:
            raise Refused(REQUEST_MALFORMED, f"There is more than one {name.decode()}.")


def body_length(by_name: dict[bytes, bytes]) -> int | None:
    """The length of the body in bytes; `None` for a body in chunks, which does not say it. Raises `Refused`."""
    length = by_name.get(b"content-length")
    if b"transfer-encoding" in by_name:
        if by_name[b"transfer-encoding"].rstrip(_SPACES).lower() != b"chunked":
            raise Refused(NOT_IMPLEMENTED, "The only transfer coding is chunked.")
        if length is not None:
            raise Refused(REQUEST_MALFORMED, "A body has a length or a transfer coding.")
        return None
    if length is None:
        return 0
    digits = length.rstrip(_SPACES)
    if not digits.isdigit() or len(digits) > _LENGTH_DIGITS_MAX:
        raise Refused(REQUEST_MALFORMED, "Content-Length is not a length.")
    return int(digits)


def origin_form(target: bytes) -> tuple[bytes, bytes | None]:
    """Rewrites a target without a leading slash to one that has it, and returns the host that replaces Host, if any.

    RFC 9112, section 3.2: `http://host/path` means the path at that host, `*` the server as a whole. Raises `Refused`.
    """
    if target == b"*":
        return b"/*", None
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError as exc:
        raise Refused(REQUEST_MALFORMED, "The target is not a URL.") from exc
    if url.schema is None or url.schema.lower() not in (b"http", b"https") or not url.host:
        raise Refused(REQUEST_MALFORMED, "The target is not an HTTP URL.")
    authority = re.split(rb"[/?#]", target.partition(b"://")[2], maxsplit=1)[0]
    host = authority.rpartition(b"@")[2]
    check_host(host)
    path: bytes = url.path or b"/"
    return path + (b"?" + url.query if url.query is not None else b""), host


def without_upgrade(method: bytes, target: bytes, version: str, fields: Fields) -> bytes:
    """The same head without its Upgrade field, which a server may ignore (RFC 9110, section 7.8)."""
    lines = [b"%s %s HTTP/%s" % (method, target, version.encode())]
    lines += [b"%s: %s" % field for field in fields if field[0] != b"upgrade"]
    return b"\r\n".join([*lines, b"", b""])
