"""Hears what the server warns of while a connection is in use.

Guarantee: a block in which the server sent a message of the severity WARNING ends with `DatabaseTrouble`. A COMMIT that was
cancelled while it waited for its synchronous standby succeeds with nothing but such a warning: it may not be replicated.

The severity decides and not the text, which the server translates, nor the SQLSTATE, which differs from case to case.
"""

from typing import Any

from service_kit.bounded_pool.errors import DatabaseTrouble


class Warnings:
    """The warnings of one use of a connection. asyncpg hands each to `hear` before the statement ends."""

    def __init__(self) -> None:
        self._first = ""

    def hear(self, _: object, message: Any) -> None:
        """A log listener of asyncpg."""
        # The untranslated severity, which servers since 9.6 send beside the localized one.
        severity = getattr(message, "severity_en", None) or getattr(message, "severity", None)
        if severity == "WARNING" and not self._first:
            self._first = str(message)

    def raise_if_any(self) -> None:
        """Raises `DatabaseTrouble` when there was a warning: what was committed may not be replicated."""
        if self._first:
            raise DatabaseTrouble(f"the server warned: {self._first}")
