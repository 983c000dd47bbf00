"""Starts the stack on this machine and serves until a signal stops it: `python -m stack up`, `python -m chaos up`.

Guarantee: the lines to paste appear only when the whole stack is ready.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from stack.curl import print_by_hand, print_curl
from stack.embedded import Stack
from stack.schema import PROJECT

RUN_DIR = PROJECT / ".run"
# Two cores and 100 connections of Postgres: more replicas than this measure nothing but the machine.
_REPLICAS_MAX = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of every command that works on a run directory."""
    parser.add_argument(
        "--exit-with-parent",
        action="store_true",
        help="stop when the process that started this one is gone (make uses it)",
    )
    parser.add_argument(
        "--run-dir",
        type=lambda text: Path(text).resolve(),
        default=RUN_DIR,
        help="where data, logs, stack.json and results are (default .run)",
    )


def add_replicas(parser: argparse.ArgumentParser) -> None:
    """The option of `up` alone."""
    parser.add_argument(
        "--replicas",
        type=_replicas,
        default=1,
        help=f"of each service, 1 to {_REPLICAS_MAX} (default 1)",
    )


def add_standby(parser: argparse.ArgumentParser) -> None:
    """The option of `up` alone."""
    parser.add_argument(
        "--standby",
        type=_yes_or_no,
        nargs="?",
        const=True,
        default=False,
        metavar="0|1",
        help="add a synchronous standby of Postgres, which 'promote' makes the primary",
    )


async def up(options: argparse.Namespace, console: Console) -> int:
    """The bare stack, until Ctrl-C."""
    async with Stack(
        options.run_dir,
        replicas=options.replicas,
        progress=say(console),
        with_standby=getattr(options, "standby", False),
    ) as stack:
        await serve(console, stack)
    return 0


async def serve(console: Console, stack: Stack, *, by_hand: bool = False) -> None:
    """Prints what to paste into a terminal; returns on a signal that stops the command.

    `by_hand`: also how to break the stack, which needs unsafe deliveries to be allowed.
    """
    for sentence in stack.moved:
        console.print(sentence, style="bold yellow", highlight=False, soft_wrap=True)
    print_curl(console, stack.urls, stack.tokens, stack.order_tokens)
    if by_hand:
        print_by_hand(
            console, stack.urls, stack.description["toxiproxy"]["url"], stack.order_tokens
        )
    await stack.serve_until_stopped()


def say(console: Console) -> Callable[[str], None]:
    """Prints progress, dimmed."""
    return lambda text: console.print(text, style="dim", highlight=False, markup=False)


def _replicas(text: str) -> int:
    try:
        replicas = int(text)
    except ValueError:
        replicas = 0
    if not 1 <= replicas <= _REPLICAS_MAX:
        raise argparse.ArgumentTypeError(f"the number of replicas is 1 to {_REPLICAS_MAX}")
    return replicas


def _yes_or_no(text: str) -> bool:
    if text not in ("0", "1", ""):
        raise argparse.ArgumentTypeError("STANDBY is 1 or 0")
    return text == "1"
