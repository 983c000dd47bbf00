"""The arguments of the command line, and what is said of wrong ones.

Guarantee: a value that cannot be used is refused before anything is started, with one sentence and exit code 2.
"""

import argparse
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from rich.console import Console

from chaos.promises.audit import STUCK_AFTER_S
from report.command import CHAOS
from stack.up import add_arguments, add_replicas

Run = Callable[[argparse.Namespace, Console], Awaitable[int]]


def parser(commands: Mapping[str, Run]) -> argparse.ArgumentParser:
    """The parser of all commands; `command` of what it returns is the function of the chosen one."""
    made = argparse.ArgumentParser(
        prog=CHAOS,
        description="Plays network and crash failures against the running stack, and judges by account balances.",
    )
    choices = made.add_subparsers(required=True, metavar="COMMAND")
    for name, command in commands.items():
        entry = choices.add_parser(name, help=command.__doc__, description=command.__doc__)
        entry.set_defaults(command=command)
        add_arguments(entry)
        if name in ("demo", "matrix", "run", "soak"):
            entry.add_argument(
                "--seed", type=_seed, help="the order of the scenarios; drawn when not given"
            )
        if name in _OPTIONS:
            _OPTIONS[name](entry)
    return made


def _add_names(entry: argparse.ArgumentParser) -> None:
    entry.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="a scenario, a part of its name, or a pattern with *",
    )


def _add_run(entry: argparse.ArgumentParser) -> None:
    _add_names(entry)
    _add_target(entry, "default: a stack of its own")


def _add_mutants(entry: argparse.ArgumentParser) -> None:
    entry.add_argument("names", nargs="*", metavar="BUG", help="default: all of them")
    entry.add_argument("--list", action="store_true", help="only say what they are")


def _add_soak(entry: argparse.ArgumentParser) -> None:
    entry.add_argument(
        "--duration",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="rounds are begun for so long (default 60)",
    )
    entry.add_argument("--plan", type=Path, metavar="FILE", help="play this plan once instead")


def _add_audit(entry: argparse.ArgumentParser) -> None:
    _add_target(entry, "default: stack.json in the run directory")
    entry.add_argument(
        "--stuck-after",
        type=float,
        default=STUCK_AFTER_S,
        metavar="SECONDS",
        help=f"a pending order older than this is stuck (default {STUCK_AFTER_S:g})",
    )
    entry.add_argument("--json", action="store_true", help="for machines")


def _add_target(entry: argparse.ArgumentParser, default: str) -> None:
    entry.add_argument(
        "--target",
        type=Path,
        metavar="STACK_JSON",
        help=f"the description of a running stack ({default})",
    )


_OPTIONS: Mapping[str, Callable[[argparse.ArgumentParser], None]] = {
    "up": add_replicas,
    "run": _add_run,
    "list": _add_names,
    "mutants": _add_mutants,
    "soak": _add_soak,
    "audit": _add_audit,
}


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError("the seed is a whole number from 0 upwards")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    # One day; a longer soak is started again with another seed.
    if not 0 < seconds <= 86_400:
        raise argparse.ArgumentTypeError("the duration is a number of seconds, at most 86400")
    return seconds
