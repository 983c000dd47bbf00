"""The command line: `python -m chaos up | demo | matrix | run | mutants | soak | audit | list`.

Guarantee: exit code 0 when all is as computed, 1 when a promise was broken, 2 when it is unknown or the command could
not do its work; whatever was started is stopped, however the command ends.
"""

import argparse
import asyncio
import fnmatch
import json
import os
import random
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
from rich.console import Console

from chaos.audit import STUCK_AFTER_S, audit
from chaos.endurance import Endurance
from chaos.mutants import hunt, planted
from chaos.plan import Plan
from chaos.plan import read as read_plan
from chaos.play import Played
from chaos.processes import StackError, exit_with_parent
from chaos.report import console as report
from chaos.report import durations, result
from chaos.report.command import Invocation
from chaos.report.curl import print_curl
from chaos.run import WRAPPED, open_theatre, play_all, server_versions, visit
from chaos.scenario import Scenario
from chaos.scenarios import SCENARIOS
from chaos.stack import Stack
from chaos.table import TABLE
from chaos.target import read
from chaos.theatre import Theatre
from chaos.toxics import ToxiproxyError
from chaos.verdict import worst
from chaos.whole import judge_run

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
        print_curl(console, stack.urls, stack.tokens, stack.order_tokens)
        await stack.serve_until_stopped()
    return 0


async def demo(options: argparse.Namespace, console: Console) -> int:
    """The wrapped stack plays the table, then stays up until Ctrl-C when somebody is there to use it."""
    async with open_theatre(options.run_dir, _say(console)) as theatre:
        played = await _play(options, console, theatre, TABLE)
        if console.is_terminal and os.environ.get("DEMO_EXIT", "") in ("", "0"):
            stack = theatre.stack
            print_curl(console, stack.urls, stack.tokens, stack.order_tokens)
            await theatre.stack.serve_until_stopped()
    return worst([cell.verdict for cell in played]).exit_code


async def matrix(options: argparse.Namespace, console: Console) -> int:
    """The table alone, on a stack of its own that disturbs no other."""
    async with _own_theatre(options, console) as theatre:
        played = await _play(options, console, theatre, TABLE)
    return worst([cell.verdict for cell in played]).exit_code


async def run(options: argparse.Namespace, console: Console) -> int:
    """The catalogue, or the named scenarios, on a stack of its own or on one that is described by a stack.json."""
    scenarios = _chosen(options.names)
    async with AsyncExitStack() as exit_stack:
        if options.target is None:
            theatre = await exit_stack.enter_async_context(_own_theatre(options, console))
        else:
            theatre = await exit_stack.enter_async_context(visit(read(options.target)))
            scenarios = _playable(console, scenarios)
        played = await _play(options, console, theatre, scenarios)
    return worst([cell.verdict for cell in played]).exit_code


@asynccontextmanager
async def _own_theatre(options: argparse.Namespace, console: Console) -> AsyncIterator[Theatre]:
    with tempfile.TemporaryDirectory(prefix="stage-", dir=_made(options.run_dir)) as run_dir:
        async with open_theatre(Path(run_dir), _say(console), usual_ports=False) as theatre:
            yield theatre


def _chosen(names: Sequence[str]) -> Sequence[Scenario]:
    """Scenarios by name; a part of a name, or a pattern with *, chooses all that fit."""
    if not names:
        return SCENARIOS
    for name in names:
        if not any(_fits(scenario, name) for scenario in SCENARIOS):
            raise StackError(f"there is no scenario {name}; 'python -m chaos list' names them all.")
    return [s for s in SCENARIOS if any(_fits(s, name) for name in names)]


def _fits(scenario: Scenario, name: str) -> bool:
    return fnmatch.fnmatchcase(scenario.name, name if "*" in name else f"*{name}*")


def _playable(console: Console, scenarios: Sequence[Scenario]) -> Sequence[Scenario]:
    """What can be played on a stack that was not started here; says what cannot, and why."""
    playable = [scenario for scenario in scenarios if not scenario.needs]
    if not playable:
        raise StackError("none of these can be played on a stack that was not started here.")
    left_out = len(scenarios) - len(playable)
    if left_out:
        console.print(
            f"{left_out} scenarios need wrapped services or processes of one's own and are left out.",
            highlight=False,
        )
    return playable


async def mutants(options: argparse.Namespace, console: Console) -> int:
    """Plants bugs into the services, one at a time, and shows which promise catches each; exit code 1 if one is not."""
    try:
        bugs = planted()
    except ModuleNotFoundError as exc:
        raise StackError(f"the planted bugs are not here: {exc}") from exc
    names = options.names or [bug.name for bug in bugs]
    unknown = set(names) - {bug.name for bug in bugs}
    if unknown:
        raise StackError(f"there is no planted bug {sorted(unknown)[0]}.")
    chosen = [bug for bug in bugs if bug.name in names]
    hunted = []
    for bug in chosen:
        with tempfile.TemporaryDirectory(prefix="bug-", dir=_made(options.run_dir)) as run_dir:
            hunted.append(await hunt(bug, partial(_with_bug, Path(run_dir))))
        console.print(report.hunted_line(hunted[-1]), highlight=False, soft_wrap=True)
    console.print(report.hunted_table(hunted))
    return 0 if all(found.caught for found in hunted) else 1


def _with_bug(run_dir: Path, factories: Mapping[str, str]) -> AbstractAsyncContextManager[Theatre]:
    return open_theatre(
        run_dir, lambda _: None, usual_ports=False, factories={**WRAPPED, **factories}
    )


async def soak(options: argparse.Namespace, console: Console) -> int:
    """Random faults under load until the time is up; a plan that fails is made small and can be played again."""
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    run_name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-soak-{seed}"
    directory = options.run_dir / "results" / run_name
    with tempfile.TemporaryDirectory(prefix="soak-", dir=_made(options.run_dir)) as run_dir:
        endurance = Endurance(Path(run_dir), _say(console))
        if options.plan is not None:
            played = await endurance.once(_read_plan(options.plan))
            console.print(report.round_line(0, played), highlight=False, soft_wrap=True)
            return played.verdict.exit_code
        console.print(f"Seed {seed}, {options.duration:g} s", highlight=False)
        endured = await endurance.endure(
            seed,
            options.duration,
            lambda number, played: console.print(
                report.round_line(number, played), highlight=False, soft_wrap=True
            ),
        )
    written = result.write_soak(directory, run_name, seed, endured)
    console.print(report.soak_summary(endured, written), highlight=False, soft_wrap=True)
    return endured.verdict.exit_code


def _read_plan(path: Path) -> Plan:
    try:
        return read_plan(json.loads(path.read_text()))
    except OSError as exc:
        raise StackError(f"{path} cannot be read: {exc.strerror}.") from exc
    except (ValueError, KeyError, TypeError) as exc:
        raise StackError(f"{path} is no plan of a soak: {exc}.") from exc


async def reconcile(options: argparse.Namespace, console: Console) -> int:
    """Compares orders with withdrawals with balances; exit code 1 when anything is double, lost, stuck or unexplained."""
    try:
        owner = read(options.target or options.run_dir / "stack.json").owner
        found = await audit(owner, options.stuck_after)
    except (OSError, TimeoutError, asyncpg.PostgresError) as exc:
        raise StackError(f"the database cannot be audited: {exc}") from exc
    if options.json:
        print(json.dumps(found.as_json(), indent=2))
    else:
        report.print_audit(console, found)
    return found.verdict.exit_code


async def list_scenarios(_: argparse.Namespace, console: Console) -> int:
    """The names of all scenarios, and what each of them is."""
    for scenario in SCENARIOS:
        console.print(f"{scenario.name:55} {scenario.title}", highlight=False, soft_wrap=True)
    return 0


async def _play(
    options: argparse.Namespace, console: Console, theatre: Theatre, scenarios: Sequence[Scenario]
) -> list[Played]:
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    run_name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{seed}"
    progress = report.Progress(console, scenarios, durations.recorded(options.run_dir / "results"))
    played = await play_all(theatre, scenarios, seed, progress)
    whole = await judge_run(theatre, played)
    versions = await server_versions(theatre.target, theatre.toxiproxy)
    invocation = _invocation(options, seed)
    content = result.result(run_name, invocation, played, whole, versions)
    written = result.write_run(
        options.run_dir / "results" / run_name, content, result.recorded(played)
    )
    if progress.tabular:
        console.print(progress.table())
    console.print(report.line(whole), highlight=False, soft_wrap=True)
    console.print(report.summary(played, whole, invocation), highlight=False, soft_wrap=True)
    for path in written:
        console.print(f"Written: {os.path.relpath(path)}", highlight=False, soft_wrap=True)
    return [*played, whole]


def _invocation(options: argparse.Namespace, seed: int) -> Invocation:
    """What was typed, and the seed that was drawn if none was."""
    command = {demo: "demo", matrix: "matrix"}.get(options.command, "run")
    names = getattr(options, "names", ())
    return Invocation(seed, command, names, getattr(options, "target", None))


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
        ("run", run, [common, seeded]),
        ("mutants", mutants, [common]),
        ("soak", soak, [common, seeded]),
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
        if command is run:
            entry.add_argument(
                "names",
                nargs="*",
                metavar="NAME",
                help="a scenario, a part of its name, or a pattern with *",
            )
            _add_target(entry, "default: a stack of its own")
        if command is mutants:
            entry.add_argument("names", nargs="*", metavar="BUG", help="default: all of them")
        if command is soak:
            _add_soak_options(entry)
        if command is reconcile:
            _add_target(entry, "default: stack.json in the run directory")
            _add_audit_options(entry)
    return parser


def _add_soak_options(entry: argparse.ArgumentParser) -> None:
    entry.add_argument(
        "--duration",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="rounds are begun for so long (default 60)",
    )
    entry.add_argument("--plan", type=Path, metavar="FILE", help="play this plan once instead")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    # A day: whoever wants more starts it again with another seed.
    if not 0 < seconds <= 86_400:
        raise argparse.ArgumentTypeError("the duration is a number of seconds, at most 86400")
    return seconds


def _add_target(entry: argparse.ArgumentParser, default: str) -> None:
    entry.add_argument(
        "--target",
        type=Path,
        metavar="STACK_JSON",
        help=f"the description of a running stack ({default})",
    )


def _add_audit_options(entry: argparse.ArgumentParser) -> None:
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
