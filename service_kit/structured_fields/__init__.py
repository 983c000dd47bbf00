"""Reads RFC 9651 structured fields from the lines of a request's header.

Guarantee: the result is the one Item that was sent, or an error; several lines, which form a List, are never read as one Item.
"""

from collections.abc import Sequence

import http_sf

__all__ = ["MalformedItem", "item"]

_BOOLEANS = {"?0": False, "?1": True}
# RFC 9651, section 3.3.1.
_DIGITS_MAX = 15
# Parsing time grows with the length. A String of 255 characters has at most 512 when each one is escaped.
_LENGTH_MAX = 1024


class MalformedItem(ValueError):
    """The header's lines are not one RFC 9651 Item."""


def item(lines: Sequence[str]) -> object | None:
    """The bare item (str, int, bool, Token, ...) of a header field; None when the header was not sent.

    `lines` are decoded as latin-1, as ASGI servers do. Parameters mean nothing here (RFC 9651, section 2). Raises
    `MalformedItem`.
    """
    if not lines:
        return None
    # Nearly every caller sends a Boolean or an Integer in one line, which needs no parser.
    if len(lines) == 1:
        line = lines[0]
        if line in _BOOLEANS:
            return _BOOLEANS[line]
        if len(line) <= _DIGITS_MAX and line.isascii() and line.isdigit():
            return int(line)
    if sum(map(len, lines)) > _LENGTH_MAX:
        raise MalformedItem(f"longer than {_LENGTH_MAX} characters")
    # Several lines of one field are one value, joined by commas (RFC 9110, section 5.3).
    try:
        parsed = http_sf.parse(", ".join(lines).encode("latin-1"), tltype="item")
    except http_sf.StructuredFieldError as exc:
        raise MalformedItem(str(exc)) from exc
    if not isinstance(parsed, tuple):
        raise MalformedItem("not an item")
    bare: object = parsed[0]
    return bare
