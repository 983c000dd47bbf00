"""Numbers and UUIDs in paths, query strings and headers.

Guarantee: of all texts that a lenient parser reads as the same value, one is accepted: a decimal integer in ASCII digits
without sign, leading zero, separator, fraction or space; a UUID as RFC 9562 writes it, in lower case with four hyphens.
"""

import re
from typing import Annotated
from uuid import UUID

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

# As many digits as the longest integer of RFC 9651, so that parsing time is bounded.
_INTEGER = re.compile(r"0|[1-9][0-9]{0,14}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_canonical_integer(text: str) -> bool:
    """Whether the text is a decimal integer of 0 or more in its one spelling."""
    return _INTEGER.fullmatch(text) is not None


def _canonical_integer(value: object) -> object:
    if isinstance(value, str) and not is_canonical_integer(value):
        raise PydanticCustomError(
            "integer_spelling",
            "Must be a decimal integer of at most 15 digits, without sign or leading zeros",
        )
    return value


def _canonical_uuid(value: object) -> object:
    if isinstance(value, str) and not _UUID.fullmatch(value):
        raise PydanticCustomError(
            "uuid_spelling", "Must be a UUID in lower case with hyphens, as RFC 9562 writes it"
        )
    return value


CanonicalInteger = Annotated[int, BeforeValidator(_canonical_integer)]
CanonicalUUID = Annotated[UUID, BeforeValidator(_canonical_uuid)]
