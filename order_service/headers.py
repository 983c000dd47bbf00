"""Reads the customer's own key of an order: an RFC 9651 String.

Guarantee: a header that is not exactly as documented is refused and never interpreted.
"""

from typing import Any

from fastapi import Request

from order_service.problems import KEY_MALFORMED
from order_service.wire import CUSTOMER_KEY_LENGTH_MAX, KEY_HEADER
from service_kit import structured_fields
from service_kit.problem_details import Problem
from service_kit.structured_fields import MalformedItem

# For the OpenAPI document; the function below enforces it. The schema counts the two quotes.
PARAMETERS: list[dict[str, Any]] = [
    {
        "in": "header",
        "name": KEY_HEADER,
        "required": False,
        "description": "the customer's own key: an RFC 9651 String of 1 to 255 characters",
        "schema": {"type": "string", "minLength": 3, "maxLength": CUSTOMER_KEY_LENGTH_MAX + 2},
        "example": '"a7f3"',
    }
]


def customer_key(request: Request) -> str | None:
    """The customer's key, None when absent; raises the problem `key-malformed`."""
    try:
        value = structured_fields.item(request.headers.getlist(KEY_HEADER))
    except MalformedItem as exc:
        raise Problem(
            KEY_MALFORMED,
            f'{KEY_HEADER} must be in double quotes, and once: {KEY_HEADER}: "a7f3".',
        ) from exc
    if value is None:
        return None
    if type(value) is not str or not 1 <= len(value) <= CUSTOMER_KEY_LENGTH_MAX:
        raise Problem(
            KEY_MALFORMED,
            f"{KEY_HEADER} must be 1 to {CUSTOMER_KEY_LENGTH_MAX} characters in double quotes.",
        )
    return value
