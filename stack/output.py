"""Standard output of a command line, on whatever terminal or pipe it meets.

Guarantee: a character that the terminal's encoding does not have becomes a question mark, and a reader that has gone ends
the command with exit code 2; neither is taken for a broken promise.
"""

import io
import os
import sys

from rich.console import Console

from stack.interruption import UNKNOWN


class _Output(Console):
    def on_broken_pipe(self) -> None:
        """Rich's own exit code is 1, which says that a promise was broken."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(UNKNOWN)


def console() -> Console:
    """For a person's eyes; also makes `print` safe."""
    make_safe()
    return _Output()


def make_safe() -> None:
    """Standard output and errors replace what they cannot encode."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
