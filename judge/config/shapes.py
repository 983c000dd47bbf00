"""Which names each table of judge.toml has, and what kind of value each one takes."""

from collections.abc import Iterable
from typing import Any

_TEXT = "a text"
_TABLE_OF_TEXTS = "a table of texts"
NAMES = {
    "service": {"url": _TEXT, "start": _TEXT, "ready": _TEXT, "env": _TABLE_OF_TEXTS},
    "request": {
        "method": _TEXT,
        "path": _TEXT,
        "headers": _TABLE_OF_TEXTS,
        "json": "any value",
        "body": _TEXT,
        "form": "a table",
        "other": "a table, or a text with body",
        "other_caller": _TABLE_OF_TEXTS,
        "other_path": _TEXT,
        "key": _TEXT,
    },
    "effect": {
        "http": _TEXT,
        "headers": _TABLE_OF_TEXTS,
        "value": _TEXT,
        "step": "a number",
        "sql": _TEXT,
        "dsn": _TEXT,
        "command": _TEXT,
    },
    "expect": {
        "profile": _TEXT,
        "missing_key": "a status",
        "other_payload": "a status",
        "in_flight": "a list of statuses",
        "retention_s": "a number of seconds",
        "slow_s": "a number of seconds",
        "in_flight_ends_s": "a number of seconds",
    },
}
# A handler or a life of keys that is longer cannot be played in a run of a few minutes.
_SECONDS_MAX = 10_000_000


def has_its_shape(table: str, name: str, value: Any) -> bool:
    """Whether a value is of the kind that its name takes."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return {
        _TEXT: isinstance(value, str),
        _TABLE_OF_TEXTS: isinstance(value, dict)
        and all(isinstance(text, str) for text in value.values()),
        "a number": number and _finite(value),
        "a number of seconds": number and _finite(value) and 0 < value <= _SECONDS_MAX,
        "a status": _is_status(value),
        "a list of statuses": isinstance(value, list) and all(map(_is_status, value)),
        "a table": isinstance(value, dict),
    }.get(NAMES[table][name], True)


def listed(names: Iterable[str]) -> str:
    """Names as an enumeration in a sentence."""
    all_names = list(names)
    return ", ".join(all_names[:-1]) + (" and " if len(all_names) > 1 else "") + all_names[-1]


def shown(value: Any) -> str:
    """A value as it stands in an error, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _is_status(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599


def _finite(value: float) -> bool:
    return value == value and abs(value) != float("inf")
