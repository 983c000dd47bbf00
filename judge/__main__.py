"""`python -m judge`, and the command `retry-judge`."""

from stack import early_signals

if __name__ == "__main__":
    early_signals.end_at_once()

from judge.command import main
from stack import interruption


def entry() -> None:
    """Runs the command line and exits with its code."""
    interruption.exit_with(main)


if __name__ == "__main__":
    entry()
