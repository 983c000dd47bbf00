"""What is known at the end: of a case, and of the run.

Guarantee: a run passes only when every case that was played passes; a broken promise outweighs what is unknown.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from judge.evidence import Evidence

Kind = Literal["pass", "fail", "unknown"]
# Of a case that the command line did not name.
LEFT_OUT = "left out by --only"
EXIT_CODES: dict[Kind, int] = {"pass": 0, "fail": 1, "unknown": 2}


@dataclass(frozen=True)
class Verdict:
    """One case. `sentence` says what was seen, or why nothing can be told; `cause` is the usual cause of a failure."""

    name: str
    title: str
    promise: str
    control: str
    kind: Kind
    sentence: str
    cause: str
    seconds: float
    evidence: Evidence


@dataclass(frozen=True)
class NotPlayed:
    """A case that this judge.toml gives no occasion for, or that the command line left out."""

    name: str
    title: str
    why: str


@dataclass
class Run:
    """A whole run, as it is reported."""

    url: str
    seed: int
    started: str
    profile: str
    verdicts: list[Verdict] = field(default_factory=list)
    not_played: list[NotPlayed] = field(default_factory=list)
    seconds: float = 0.0
    latency_s: float = 0.0
    lag_s: float = 0.0

    @property
    def kind(self) -> Kind:
        """The verdict of the run."""
        return worst(verdict.kind for verdict in self.verdicts)


def worst(kinds: Iterable[Kind]) -> Kind:
    """fail before unknown before pass; unknown when there is nothing."""
    found = set(kinds)
    if "fail" in found:
        return "fail"
    return "pass" if found == {"pass"} else "unknown"
