"""The command line: `python -m chaos up | demo | matrix | audit | list`.

Guarantee: exit code 0 when all is as computed, 1 when a promise was broken, 2 when it is unknown or the command could
not do its work; whatever was started is stopped, however the command ends.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
from rich.console import Console

from chaos.audit import STUCK_AFTER_S, audit
from chaos.play import Played, Theatre
from chaos.processes import StackError, exit_with_parent
from chaos.report import console as report
from chaos.report import result
from chaos.run import open_theatre, play_all, server_versions
from chaos.scenarios import SCENARIOS
from chaos.stack import Stack
from chaos.toxics import ToxiproxyError
from chaos.verdict import worst

PROJECT = Path(__file__).resolve().parent.parent
RUN_DIR = PROJECT / ".run"
# 128 + SIGINT, as shells write it.
INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    if options.exit_with_parent:
        exit_with_parent()
    console = Console()
    try:
        return asyncio.run(_until_signalled(options.command(options, console)))
    except (StackError, ToxiproxyError) as exc:
        print(f"chaos: {exc}", file=sys.stderr)
        return 2
    except asyncio.CancelledError:
        return INTERRUPTED


async def _until_signalled(command: Coroutine[Any, Any, int]) -> int:
    """Runs a command; a signal, wherever it strikes, ends it in order, and a second one does not disturb that."""
    running = asyncio.ensure_future(command)
    loop = asyncio.get_running_loop()
    signalled = False

    def stop() -> None:
        nonlocal signalled
        if not signalled:
            signalled = True
            running.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop)
    return await running


async def up(options: argparse.Namespace, console: Console) -> int:
    """The bare stack, until Ctrl-C."""
    async with Stack(options.run_dir, replicas=options.replicas, progress=_say(console)) as stack:
        _print_curl(console, stack)
        await stack.serve_until_stopped()
    return 0


async def demo(options: argparse.Namespace, console: Console) -> int:
    """The wrapped stack plays the table, then stays up until Ctrl-C when somebody is there to use it."""
    async with open_theatre(options.run_dir, _say(console)) as theatre:
        played = await _play(options, console, theatre)
        if console.is_terminal and os.environ.get("DEMO_EXIT", "") in ("", "0"):
            _print_curl(console, theatre.stack)
            await theatre.stack.serve_until_stopped()
    return worst([cell.verdict for cell in played]).exit_code


async def matrix(options: argparse.Namespace, console: Console) -> int:
    """The table alone, on a stack of its own that disturbs no other."""
    with tempfile.TemporaryDirectory(prefix="matrix-", dir=_made(options.run_dir)) as run_dir:
        async with open_theatre(Path(run_dir), _say(console), usual_ports=False) as theatre:
            played = await _play(options, console, theatre)
    return worst([cell.verdict for cell in played]).exit_code


async def reconcile(options: argparse.Namespace, console: Console) -> int:
    """Compares orders with withdrawals with balances; exit code 1 when anything is double, lost, stuck or unexplained."""
    try:
        found = await audit(_owner_url(options), options.stuck_after)
    except (OSError, TimeoutError, asyncpg.PostgresError) as exc:
        raise StackError(f"the database cannot be audited: {exc}") from exc
    if options.json:
        print(json.dumps(found.as_json(), indent=2))
    else:
        report.print_audit(console, found)
    return found.verdict.exit_code


def _owner_url(options: argparse.Namespace) -> str:
    path: Path = options.target or options.run_dir / "stack.json"
    try:
        url = json.loads(path.read_text())["databases"]["owner"]
    except OSError as exc:
        raise StackError(f"{path} cannot be read ({exc.strerror}); does the stack run?") from exc
    except (ValueError, KeyError, TypeError) as exc:
        raise StackError(
            f'{path} does not describe a stack: it has no "databases" with an "owner".'
        ) from exc
    return str(url)


async def list_scenarios(_: argparse.Namespace, console: Console) -> int:
    """The names of all scenarios."""
    for scenario in SCENARIOS:
        console.print(scenario.name, highlight=False)
    return 0


async def _play(options: argparse.Namespace, console: Console, theatre: Theatre) -> list[Played]:
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    run = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{seed}"
    progress = report.Progress(console, SCENARIOS)
    played = await play_all(theatre, SCENARIOS, seed, progress)
    content = result.result(run, seed, played, await server_versions(theatre.stack))
    path = result.write(options.run_dir / "results" / run, content)
    console.print(progress.table())
    console.print(report.summary(played), highlight=False)
    console.print(f"Result: {os.path.relpath(path)}", highlight=False, soft_wrap=True)
    return played


def _print_curl(console: Console, stack: Stack) -> None:
    order, billing, notification = (
        stack.urls[name] for name in ("order_service", "billing_service", "notification_service")
    )
    token = stack.tokens["curl"]
    charge = (
        f"curl -i {billing}/charges -H 'Authorization: Bearer {token}' "
        "-H 'Content-Type: application/json' -H 'Idempotency-Key: \"1\"' "
        """-d '{"order_id": "00000000-0000-4000-8000-000000000001", "account": "bob", "amount_cents": 500}'"""
    )
    lines = (
        "The stack is up. Paste these; Ctrl-C stops everything.",
        "",
        "# An order, billed once:",
        f"curl -i {order}/orders -H 'Content-Type: application/json' "
        """-d '{"customer": "alice", "amount_cents": 1999, "item": "book"}'""",
        "# A charge; paste it twice: same answer, Idempotency-Replayed: ?1, the money moves once:",
        charge,
        "# What is left:",
        f"curl {billing}/accounts/bob -H 'Authorization: Bearer {token}'",
        "# What customers were told:",
        f"curl {notification}/notifications",
        "",
    )
    for text in lines:
        console.print(text, highlight=False, soft_wrap=True, markup=False)


def _say(console: Console) -> Callable[[str], None]:
    return lambda text: console.print(text, style="dim", highlight=False, markup=False)


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _replicas(text: str) -> int:
    try:
        replicas = int(text)
    except ValueError:
        replicas = 0
    # Two cores and 100 connections of Postgres: more replicas than this measure nothing but the machine.
    if not 1 <= replicas <= 4:
        raise argparse.ArgumentTypeError("the number of replicas is 1 to 4")
    return replicas


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError("the seed is a whole number from 0 upwards")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m chaos",
        description="Plays network and crash failures against the running stack, and judges by the money.",
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--exit-with-parent",
        action="store_true",
        help="stop when the process that started this one is gone (make uses it)",
    )
    common.add_argument(
        "--run-dir",
        type=lambda text: Path(text).resolve(),
        default=RUN_DIR,
        help="where data, logs, stack.json and results are (default .run)",
    )
    seeded = argparse.ArgumentParser(add_help=False)
    seeded.add_argument(
        "--seed", type=_seed, help="the order of the scenarios; drawn when not given"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command, parents in (
        ("up", up, [common]),
        ("demo", demo, [common, seeded]),
        ("matrix", matrix, [common, seeded]),
        ("audit", reconcile, [common]),
        ("list", list_scenarios, [common]),
    ):
        entry = commands.add_parser(
            name, help=command.__doc__, description=command.__doc__, parents=parents
        )
        entry.set_defaults(command=command)
        if command is up:
            entry.add_argument(
                "--replicas", type=_replicas, default=1, help="of each service, 1 to 4 (default 1)"
            )
        if command is reconcile:
            _add_audit_options(entry)
    return parser


def _add_audit_options(entry: argparse.ArgumentParser) -> None:
    entry.add_argument(
        "--target",
        type=Path,
        metavar="STACK_JSON",
        help="the description of the stack (default: stack.json in the run directory)",
    )
    entry.add_argument(
        "--stuck-after",
        type=float,
        default=STUCK_AFTER_S,
        metavar="SECONDS",
        help=f"a pending order older than this is stuck (default {STUCK_AFTER_S:g})",
    )
    entry.add_argument("--json", action="store_true", help="for machines")


if __name__ == "__main__":
    sys.exit(main())
