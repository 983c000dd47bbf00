"""The list of mutants that no test can kill, each with the reason. `equivalents.toml` beside this file holds it.

Guarantee: an entry whose mutant does not exist any more is an error, so the list never excuses what nobody has looked at.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.mutant import Mutant

LIST = Path(__file__).resolve().parent / "equivalents.toml"
Key = tuple[str, str, tuple[str, ...], tuple[str, ...]]


class ListError(Exception):
    """The list cannot be used; the message is for the person who edits it."""


@dataclass(frozen=True)
class Equivalent:
    """Where the change is, the lines that it takes away and puts there, and why nothing can be observed of it."""

    path: str
    scope: str
    removed: tuple[str, ...]
    added: tuple[str, ...]
    reason: str

    @property
    def key(self) -> Key:
        """That of its mutant."""
        return self.path, self.scope, self.removed, self.added


def read(text: str) -> dict[Key, Equivalent]:
    """The entries of the list by the mutants' keys. Raises `ListError`."""
    try:
        entries = tomllib.loads(text).get("equivalent", [])
    except tomllib.TOMLDecodeError as exc:
        raise ListError(f"the list of equivalents is no TOML: {exc}.") from exc
    found: dict[Key, Equivalent] = {}
    for number, entry in enumerate(entries, start=1):
        try:
            equivalent = Equivalent(
                entry["path"],
                entry["scope"],
                _lines(entry.get("removed", [])),
                _lines(entry.get("added", [])),
                entry["reason"].strip(),
            )
        except (KeyError, AttributeError, TypeError) as exc:
            raise ListError(
                f"equivalent {number} needs path, scope, removed, added and reason."
            ) from exc
        if not equivalent.reason:
            raise ListError(f"equivalent {number} ({equivalent.path}) has no reason.")
        if equivalent.key in found:
            raise ListError(f"equivalent {number} ({equivalent.path}) is there twice.")
        found[equivalent.key] = equivalent
    return found


def stale(entries: Mapping[Key, Equivalent], mutants: Iterable[Mutant]) -> list[Equivalent]:
    """The entries that belong to none of the mutants."""
    keys = {mutant.key for mutant in mutants}
    return [entry for key, entry in entries.items() if key not in keys]


def _lines(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    raise TypeError
