"""How a run, or one scenario of it, is played again: the command as it is typed in the project's folder.

Guarantee: it carries what the run was started with (names, seed, target), and it works after `make`, without an
activated environment.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# The interpreter that the Makefile installs; the system's own has none of the packages.
CHAOS = ".venv/bin/python -m chaos"


def chaos(*arguments: str | Path) -> str:
    """A command of chaos with its arguments, quoted for a shell."""
    return f"{CHAOS} {shlex.join(map(str, arguments))}"


@dataclass(frozen=True)
class Invocation:
    """What a run was started with. `names` are the patterns of `run`; other commands have none."""

    seed: int
    command: str = "run"
    names: Sequence[str] = ()
    target: Path | None = None

    def all(self) -> str:
        """Plays the whole run again, in the same order."""
        return chaos(self.command, *self.names, *self._options())

    def one(self, scenario: str) -> str:
        """Plays one scenario again."""
        return chaos("run", scenario, *self._options())

    def _options(self) -> list[str | Path]:
        target: list[str | Path] = [] if self.target is None else ["--target", self.target]
        return [*target, "--seed", f"{self.seed}"]
