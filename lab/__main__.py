"""The command line of the lab: `python -m lab`.

Guarantee: exit code 0 when a signal stopped the lab, 2 when it could not start or keep running, 130 when a signal interrupted
the start; no process is left, however the command ends.
"""

from stack import early_signals

if __name__ == "__main__":
    # Before the other imports: they take a second, in which Ctrl-C must not end in a traceback.
    early_signals.end_at_once()

import argparse
import asyncio
import sys

from lab.serving import serve
from stack import environ, interruption, output
from stack.ports import LOOPBACK
from stack.processes import StackError, exit_with_parent
from stack.toxics import ToxiproxyError
from stack.up import RUN_DIR, add_arguments


def main(words: list[str] | None = None) -> int:
    """Runs the lab; returns the exit code."""
    environ.settle_own()
    options = _parser().parse_args(words)
    if options.exit_with_parent:
        exit_with_parent()
    try:
        return asyncio.run(interruption.until_signalled(serve(options, output.console())))
    except (StackError, ToxiproxyError) as exc:
        sys.stderr.write(f"lab: {exc}\n")
        return interruption.UNKNOWN


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lab",
        description="Starts the wrapped stack and serves a page on which one strikes it by hand.",
    )
    add_arguments(parser)
    # A database of its own: what is done to it here, no other stack has to answer for.
    parser.set_defaults(run_dir=RUN_DIR / "lab")
    parser.add_argument(
        "--host", default=LOOPBACK, help="the address to listen at; a container needs 0.0.0.0"
    )
    parser.add_argument(
        "--no-browser",
        action="store_true",
        help="do not open the page, also where there is a desktop",
    )
    parser.add_argument(
        "--containers",
        action="store_true",
        help="strike the containers that LAB_STACK describes, instead of starting a stack",
    )
    parser.add_argument(
        "--own-ports",
        action="store_true",
        help="take free ports instead of the usual ones, so that it disturbs no other stack",
    )
    return parser


if __name__ == "__main__":
    interruption.exit_with(main)
