"""The command line of the stack: `python -m stack up | promote`.

Guarantee: exit code 0 when a signal stopped the running stack, 2 when the stack could not start or keep running, 130
when a signal interrupted the start; no process is left, however the command ends.
"""

from stack import early_signals

if __name__ == "__main__":
    # Before the other imports: they take a second, in which Ctrl-C must not end in a traceback.
    early_signals.end_at_once()

import argparse
import asyncio
import sys

from stack import environ, interruption, output
from stack.processes import StackError, exit_with_parent
from stack.promote import promote
from stack.toxics import ToxiproxyError
from stack.up import add_arguments, add_replicas, add_standby, up


def main(words: list[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    environ.settle_own()
    options = _parser().parse_args(words)
    if options.exit_with_parent:
        exit_with_parent()
    try:
        code: int = asyncio.run(
            interruption.until_signalled(options.command(options, output.console()))
        )
        return code
    except (StackError, ToxiproxyError) as exc:
        sys.stderr.write(f"stack: {exc}\n")
        return interruption.UNKNOWN


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m stack",
        description="Runs the whole system on this machine without Docker.",
    )
    choices = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (up, promote):
        entry = choices.add_parser(
            command.__name__, help=command.__doc__, description=command.__doc__
        )
        entry.set_defaults(command=command)
        add_arguments(entry)
        if command is up:
            add_replicas(entry)
            add_standby(entry)
    return parser


if __name__ == "__main__":
    interruption.exit_with(main)
