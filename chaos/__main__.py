"""The command line: `python -m chaos up | demo | matrix | run | mutants | soak | audit | list`.

Guarantee: exit code 0 when all is as computed, 1 when a promise was broken, 2 when it is unknown or the command could
not do its work, 130 when it was interrupted; whatever was started is stopped, and what was measured is written, however
the command ends.

Long because it holds all commands, which share their options and their exit codes.
"""

from stack import early_signals

if __name__ == "__main__":
    # Before the other imports: they take a second, in which Ctrl-C must not end in a traceback.
    early_signals.end_at_once()

import argparse
import asyncio
import difflib
import fnmatch
import json
import os
import random
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
from rich.console import Console

from chaos import arguments
from chaos.harness.harness import Harness
from chaos.harness.target import read
from chaos.mutation import Hunted, hunt, planted
from chaos.promises.audit import audit
from chaos.promises.verdict import Verdict, worst
from chaos.results import progress as report
from chaos.results import result
from chaos.results.story import in_the_order_of_the_table
from chaos.runner.interrupted import Recorder, judge_interrupted
from chaos.runner.play import Played
from chaos.runner.run import open_harness, play_all, server_versions, visit
from chaos.runner.whole import judge_run
from chaos.scenarios.catalogue import SCENARIOS
from chaos.scenarios.scenario import Scenario
from chaos.scenarios.table import TABLE
from chaos.soak.endurance import Endurance
from chaos.soak.plan import Plan
from chaos.soak.plan import read as read_plan
from chaos.soak.rounds import Round
from report import durations
from report.command import Invocation, chaos
from stack import environ, interruption, output
from stack.processes import StackError, exit_with_parent
from stack.servers import LentServers
from stack.toxics import ToxiproxyError
from stack.up import say, serve, up


def main(words: list[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    environ.settle_own()
    options = arguments.parser(COMMANDS).parse_args(words)
    if options.exit_with_parent:
        exit_with_parent()
    try:
        code: int = asyncio.run(
            interruption.until_signalled(options.command(options, output.console()))
        )
        return code
    except (StackError, ToxiproxyError) as exc:
        print(f"chaos: {exc}", file=sys.stderr)
        return interruption.UNKNOWN


async def demo(options: argparse.Namespace, console: Console) -> int:
    """The wrapped stack plays the table, then stays up until Ctrl-C on a terminal."""
    async with open_harness(options.run_dir, say(console)) as harness:
        played = await _play(options, console, harness, in_the_order_of_the_table(TABLE))
        if console.is_terminal and os.environ.get("DEMO_EXIT", "") in ("", "0"):
            await serve(console, harness.stack, by_hand=True)
    return worst([cell.verdict for cell in played]).exit_code


async def matrix(options: argparse.Namespace, console: Console) -> int:
    """The table alone, on a stack of its own that disturbs no other."""
    async with _own_harness(options, console) as harness:
        played = await _play(options, console, harness, TABLE)
    return worst([cell.verdict for cell in played]).exit_code


async def run(options: argparse.Namespace, console: Console) -> int:
    """The catalogue, or the named scenarios, on a stack of its own or on one that is described by a stack.json."""
    scenarios = _chosen(options.names)
    async with AsyncExitStack() as exit_stack:
        if options.target is None:
            harness = await exit_stack.enter_async_context(_own_harness(options, console))
        else:
            harness = await exit_stack.enter_async_context(visit(read(options.target)))
            scenarios = _playable(console, scenarios)
        played = await _play(options, console, harness, scenarios)
    return worst([cell.verdict for cell in played]).exit_code


# Accepts one or two wrong letters.
_NEAR = 0.58


@asynccontextmanager
async def _own_harness(options: argparse.Namespace, console: Console) -> AsyncIterator[Harness]:
    with tempfile.TemporaryDirectory(prefix="run-", dir=_made(options.run_dir)) as run_dir:
        async with open_harness(Path(run_dir), say(console), usual_ports=False) as harness:
            yield harness


def _chosen(names: Sequence[str]) -> Sequence[Scenario]:
    """Scenarios by name; a part of a name, or a pattern with *, chooses all that fit."""
    if not names:
        return SCENARIOS
    for name in names:
        if not any(_fits(scenario, name) for scenario in SCENARIOS):
            raise StackError(_unknown("scenario", name, [s.name for s in SCENARIOS], "list"))
    return [s for s in SCENARIOS if any(_fits(s, name) for name in names)]


def _fits(scenario: Scenario, name: str) -> bool:
    if any(name == other.name for other in SCENARIOS):
        # The whole name of one is a part of another's: a printed command plays the one that it names.
        return name == scenario.name
    return fnmatch.fnmatchcase(scenario.name, name if "*" in name else f"*{name}*")


def _unknown(kind: str, name: str, known: Sequence[str], command: str) -> str:
    """A sentence for a name that is not known, with those that are near it."""
    # A name is given by its parts, too.
    parts = dict.fromkeys(part for whole in known for part in (whole, *whole.split("/")))
    begun = [part for part in parts if part.startswith(name)][:3]
    near = begun or difflib.get_close_matches(name, parts, cutoff=_NEAR)
    hint = f" Do you mean {', '.join(near)}?" if near else ""
    return f"there is no {kind} {name}.{hint} '{chaos(*command.split())}' names them all."


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
    """Plants bugs into the services, one at a time, and shows which promise catches each; exit code 1 if one escapes."""
    try:
        bugs = planted()
    except ModuleNotFoundError as exc:
        raise StackError(f"the planted bugs are not here: {exc}") from exc
    names = options.names or [bug.name for bug in bugs]
    known = [bug.name for bug in bugs]
    for name in names:
        if name not in known:
            raise StackError(_unknown("planted bug", name, known, "mutants --list"))
    chosen = [bug for bug in bugs if bug.name in names]
    if options.list:
        for bug in chosen:
            console.print(
                f"{bug.name:35} {bug.title}", highlight=False, soft_wrap=True, markup=False
            )
        return 0
    hunted: list[Hunted] = []
    try:
        with tempfile.TemporaryDirectory(prefix="bugs-", dir=_made(options.run_dir)) as directory:
            async with LentServers(Path(directory) / "servers") as servers:
                for bug in chosen:
                    hunted.append(await hunt(bug, Path(directory) / bug.name, servers))
                    console.print(report.hunted_line(hunted[-1]), highlight=False, soft_wrap=True)
    finally:
        # Also of a hunt that was interrupted.
        console.print(report.hunted_table(hunted))
    return 0 if all(found.caught for found in hunted) else 1


async def soak(options: argparse.Namespace, console: Console) -> int:
    """Random faults under load until the time is up; a plan that fails is made small and can be played again."""
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    run_name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-soak-{seed}"
    directory = options.run_dir / "results" / run_name
    async with AsyncExitStack() as opened:
        run_dir = opened.enter_context(
            tempfile.TemporaryDirectory(prefix="soak-", dir=_made(options.run_dir))
        )
        servers = await opened.enter_async_context(LentServers(Path(run_dir) / "servers"))
        endurance = Endurance(Path(run_dir), say(console), servers)
        if options.plan is not None:
            played = await endurance.once(_read_plan(options.plan))
            console.print(report.round_line(0, played), highlight=False, soft_wrap=True)
            return played.verdict.exit_code
        console.print(f"Seed {seed}, {options.duration:g} s", highlight=False)
        rounds: list[Round] = []

        def show(number: int, played: Round) -> None:
            rounds.append(played)
            console.print(report.round_line(number, played), highlight=False, soft_wrap=True)

        try:
            endured = await endurance.endure(seed, options.duration, show)
        except asyncio.CancelledError:
            if rounds:
                _write_interrupted_soak(console, directory, run_name, seed, rounds)
            raise
    written = result.write_soak(directory, run_name, seed, endured)
    console.print(report.soak_summary(endured, written), highlight=False, soft_wrap=True)
    return endured.verdict.exit_code


def _write_interrupted_soak(
    console: Console, directory: Path, run_name: str, seed: int, rounds: Sequence[Round]
) -> None:
    verdict = worst([Verdict.UNKNOWN, *(played.verdict for played in rounds)])
    content = {
        "run": run_name,
        "seed": seed,
        "verdict": verdict,
        "interrupted": True,
        "rounds": len(rounds),
        "orders": sum(played.accepted for played in rounds),
        "attempts": sum(played.attempts for played in rounds),
    }
    written = result.write(directory, content)
    console.print(
        f"{verdict.upper()}: interrupted after {len(rounds)} rounds. Written: {os.path.relpath(written)}",
        highlight=False,
        soft_wrap=True,
    )


def _read_plan(path: Path) -> Plan:
    try:
        return read_plan(json.loads(path.read_text(encoding="utf-8")))
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


async def list_scenarios(options: argparse.Namespace, console: Console) -> int:
    """Lists all scenarios, or the named ones, with their titles."""
    for scenario in _chosen(options.names):
        console.print(f"{scenario.name:55} {scenario.title}", highlight=False, soft_wrap=True)
    return 0


async def _play(
    options: argparse.Namespace, console: Console, harness: Harness, scenarios: Sequence[Scenario]
) -> list[Played]:
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    told = options.command is demo
    before = durations.recorded(options.run_dir / "results")
    progress = report.Progress(console, scenarios, before, told=told)
    recorder = Recorder(progress)
    try:
        played = await play_all(harness, scenarios, seed, recorder, shuffled=not told)
        whole = await judge_run(harness, played)
        versions = await server_versions(harness.target, harness.toxiproxy)
    except asyncio.CancelledError:
        if recorder.played:
            whole = judge_interrupted()
            _conclude(
                options, console, progress, seed, recorder.played, whole, {}, interrupted=True
            )
        raise
    _conclude(options, console, progress, seed, played, whole, versions)
    return [*played, whole]


def _conclude(
    options: argparse.Namespace,
    console: Console,
    progress: report.Progress,
    seed: int,
    played: Sequence[Played],
    whole: Played,
    versions: Mapping[str, str],
    *,
    interrupted: bool = False,
) -> None:
    """Writes the result, and says what it is."""
    run_name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{seed}"
    invocation = _invocation(options, seed)
    content = result.result(run_name, invocation, played, whole, versions) | {
        "interrupted": interrupted
    }
    written = result.write_run(
        options.run_dir / "results" / run_name, content, result.recorded(played)
    )
    if progress.tabular:
        console.print(progress.table())
    console.print(report.line(whole), highlight=False, soft_wrap=True)
    console.print(report.summary(played, whole, invocation), highlight=False, soft_wrap=True)
    for text in report.where(written):
        console.print(text, highlight=False, soft_wrap=True, markup=False)


def _invocation(options: argparse.Namespace, seed: int) -> Invocation:
    """What was typed, and the seed that was drawn if none was."""
    command = {demo: "demo", matrix: "matrix"}.get(options.command, "run")
    names = getattr(options, "names", ())
    return Invocation(seed, command, names, getattr(options, "target", None))


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory


COMMANDS: Mapping[str, arguments.Run] = {
    "up": up,
    "demo": demo,
    "matrix": matrix,
    "run": run,
    "mutants": mutants,
    "soak": soak,
    "audit": reconcile,
    "list": list_scenarios,
}

if __name__ == "__main__":
    interruption.exit_with(main)
