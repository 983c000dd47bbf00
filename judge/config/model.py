"""What judge.toml says, typed.

Guarantee: a `Config` is complete and consistent; everything that could be wrong was refused before it was made.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

EffectKind = Literal["http", "sql", "command"]


@dataclass(frozen=True)
class Service:
    """Where the service listens, and how it is started. `start` is a shell command."""

    url: str
    start: str = ""
    ready: str = ""
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """How one request is sent. At most one of `json`, `body` and `form` is given."""

    method: str = "POST"
    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    body: str | None = None
    form: Mapping[str, Any] | None = None
    other: Any = None
    other_caller: Mapping[str, str] | None = None
    other_path: str = ""
    key: str = "{uuid}"

    @property
    def has_payload(self) -> bool:
        """Whether the request has a body."""
        return self.json is not None or self.body is not None or self.form is not None


@dataclass(frozen=True)
class Effect:
    """How to read what really happened. `step` is the change of the reading for one effect."""

    kind: EffectKind
    source: str
    step: Decimal
    value: str = ""
    dsn: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Expect:
    """What statuses mean. `stated` has the names that judge.toml gives itself: those are enforced to the digit."""

    profile: str
    missing_key: int
    other_payload: int
    in_flight: tuple[int, ...]
    retention_s: float | None = None
    slow_s: float | None = None
    in_flight_ends_s: float = 15.0
    stated: frozenset[str] = frozenset()

    def is_stated(self, name: str) -> bool:
        """Whether the file gives this status, or the profile that it comes from."""
        return name in self.stated or "profile" in self.stated


@dataclass(frozen=True)
class Config:
    """The whole file. Relative paths in it are relative to `folder`."""

    folder: Path
    service: Service
    request: Request
    effect: Effect
    expect: Expect
