"""What became of one mutant."""

from dataclasses import asdict, dataclass
from typing import Any

from tests.mutation.mutant import Mutant

KILLED = "killed"
# Killed by the time limit: the mutant waits for ever or loops.
HUNG = "hung"
SURVIVED = "survived"
# No test executes the line. It counts as survived.
UNREACHED = "no test"
EQUIVALENT = "equivalent"


@dataclass(frozen=True)
class Verdict:
    """`test` has killed it; `tests` is how many were chosen."""

    mutant: Mutant
    outcome: str
    test: str = ""
    reason: str = ""
    tests: int = 0
    seconds: float = 0.0

    @property
    def caught(self) -> bool:
        """Whether a test has noticed it."""
        return self.outcome in (KILLED, HUNG)

    def as_json(self) -> dict[str, Any]:
        """For result.json."""
        mutant = asdict(self.mutant)
        for name in ("start", "end", "replacement", "undo_sql"):
            del mutant[name]
        return {
            "id": self.mutant.id,
            **mutant,
            "outcome": self.outcome,
            "test": self.test,
            "reason": self.reason,
            "tests": self.tests,
            "seconds": self.seconds,
        }
