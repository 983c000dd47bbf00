"""Turns what a probe got into a number.

Guarantee: a reading is a finite number or an error with a sentence; nothing is guessed.
"""

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from jsonpath import JSONPathError, findall

from judge.errors import ProbeError


def number(value: Any, where: str) -> Decimal:
    """A number, or a text that is one. Raises `ProbeError`."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ProbeError(f"{where} gives {_shown(value)}, and not a number.")
    try:
        found = Decimal(str(value).strip())
    except InvalidOperation as exc:
        raise ProbeError(f"{where} gives {_shown(value)}, and not a number.") from exc
    if not found.is_finite():
        raise ProbeError(f"{where} gives {_shown(value)}, and not a finite number.")
    return found


def by_path(text: bytes | str, path: str, where: str) -> Decimal:
    """The number that a JSONPath finds in a JSON text. Raises `ProbeError`."""
    try:
        document = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as exc:
        shown = _shown(text.decode("utf-8", "replace") if isinstance(text, bytes) else text)
        raise ProbeError(f"{where} gives no JSON, but {shown}.") from exc
    try:
        found = findall(path, document)
    except JSONPathError as exc:
        raise ProbeError(f"value {path} cannot be used on what {where} gives: {exc}.") from exc
    if not found:
        raise ProbeError(f"value {path} finds nothing in what {where} gives: {_shown(document)}.")
    if len(found) > 1:
        raise ProbeError(
            f"value {path} finds {len(found)} values in what {where} gives; it must find one number."
        )
    return number(found[0], f"value {path}")


def _shown(value: Any) -> str:
    try:
        text = json.dumps(value, default=str) if not isinstance(value, str) else repr(value)
    except (ValueError, TypeError):
        text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"
