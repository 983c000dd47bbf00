"""What was sent, answered, struck and read during one case.

Guarantee: entries stand in the order of their happening, with the time since the run began in milliseconds.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from judge.requests import Rendered

FaultKind = Literal["armed", "healed", "killed", "terminated", "started"]


@dataclass(frozen=True)
class Answer:
    """What came back: body and header names are as they were sent."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header of that name."""
        return next((value for own, value in self.headers if own.lower() == name.lower()), None)

    def __str__(self) -> str:
        text = " ".join(self.body.decode("utf-8", "replace").split())
        short = text if len(text) <= 120 else text[:117] + "…"
        return f"{self.status} {short}".rstrip()


@dataclass
class Attempt:
    """One request. Without an answer there is an error, as the caller saw it."""

    number: int
    label: str
    through: str
    request: Rendered
    began_ms: float
    # When its last byte had been given to the system, and when the first byte of the answer had come.
    complete_ms: float | None = None
    head_ms: float | None = None
    ended_ms: float | None = None
    answer: Answer | None = None
    error: str = ""

    @property
    def status(self) -> int:
        """0 when there was no answer."""
        return self.answer.status if self.answer else 0

    @property
    def seconds(self) -> float:
        """From the first byte sent to the last byte read."""
        return ((self.ended_ms or self.began_ms) - self.began_ms) / 1000

    @property
    def succeeded(self) -> bool:
        """An answer below 400: the service says that it did what was asked."""
        return 200 <= self.status < 400

    @property
    def refused(self) -> bool:
        """An answer of the family 4xx."""
        return 400 <= self.status < 500

    @property
    def saw(self) -> str:
        """The answer, or what the caller saw in its place."""
        return str(self.answer) if self.answer else self.error or "no answer"


@dataclass(frozen=True)
class Reading:
    """What the probe read; `effects` are counted from the beginning of the case."""

    at_ms: float
    value: Decimal
    effects: Decimal


@dataclass(frozen=True)
class Fault:
    """What was done to the network or to the process."""

    at_ms: float
    kind: FaultKind
    text: str


@dataclass(frozen=True)
class Witness:
    """Evidence that something really happened."""

    claim: str
    seen: bool


Entry = Attempt | Reading | Fault


@dataclass
class Evidence:
    """The record of one case."""

    clock_ms: Callable[[], float]
    entries: list[Entry] = field(default_factory=list)
    witnesses: list[Witness] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def attempts(self) -> list[Attempt]:
        """All attempts in the order in which they began."""
        return [entry for entry in self.entries if isinstance(entry, Attempt)]

    @property
    def readings(self) -> list[Reading]:
        """All readings that were kept."""
        return [entry for entry in self.entries if isinstance(entry, Reading)]

    def begin(self, label: str, through: str, request: Rendered) -> Attempt:
        """Records an attempt that begins now."""
        attempt = Attempt(len(self.attempts) + 1, label, through, request, self.clock_ms())
        self.entries.append(attempt)
        return attempt

    def fault(self, kind: FaultKind, text: str) -> None:
        """Records something that was done now."""
        self.entries.append(Fault(self.clock_ms(), kind, text))

    def witness(self, claim: str, seen: bool) -> bool:
        """Records whether there is evidence of a claim, and gives it back."""
        self.witnesses.append(Witness(claim, seen))
        return seen

    def note(self, text: str) -> None:
        """Records a remark that changes no verdict; the same one only once."""
        if text not in self.notes:
            self.notes.append(text)


def clock() -> Callable[[], float]:
    """Milliseconds since now."""
    began = time.monotonic()
    return lambda: (time.monotonic() - began) * 1000
