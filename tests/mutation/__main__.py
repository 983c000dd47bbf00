"""`make mutation`: plants mutants in copies of the tree, plays the tests that execute them, and prints what survived."""

from stack import early_signals

if __name__ == "__main__":
    early_signals.end_at_once()

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg

from stack import interruption
from stack.processes import StackError, exit_with_parent
from tests.mutation import equivalents, selection, table
from tests.mutation.choice import BUDGET_S, Choice
from tests.mutation.mutant import Mutant
from tests.mutation.net import Cache, Net, files_of_tests
from tests.mutation.play import measure, play
from tests.mutation.pool import Worker, workers
from tests.mutation.schema_mutants import schema_mutants
from tests.mutation.verdict import EQUIVALENT, Verdict

PROJECT = Path(__file__).resolve().parent.parent.parent
FOLDER = PROJECT / ".run" / "mutation"
RESULT = FOLDER / "result.json"
# So many verdicts may be lost when the run is killed.
_KEPT_AFTER = 20
# The exit code of a score that is too low; 2 is a command that could not do its work.
TOO_LOW = 1


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says. Ends the process with code 2 when that is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutation", description=(__doc__ or "").strip()
    )
    parser.add_argument(
        "--sample", type=_sample, default=40, metavar="N", help="mutants of each package, or all"
    )
    parser.add_argument("--seed", type=_whole, default=1, metavar="N", help="of the sample")
    parser.add_argument(
        "--package", default="", metavar="PATHS", help="packages or modules, with commas"
    )
    parser.add_argument(
        "--changed", default="", metavar="BASE", help="only what differs from this branch"
    )
    parser.add_argument(
        "--only", choices=("python", "sql", "survivors"), help="the last: of the last result"
    )
    parser.add_argument(
        "--tests", default="", metavar="PATHS", help="only these files of tests, with commas"
    )
    parser.add_argument("--workers", type=_whole, default=2, metavar="N", help="at the same time")
    parser.add_argument(
        "--budget",
        type=float,
        default=BUDGET_S,
        metavar="SECONDS",
        help="of tests for one mutant",
    )
    parser.add_argument(
        "--exit-with-parent", action="store_true", help="end when the caller is gone"
    )
    return parser.parse_args(argv)


def _whole(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 upwards")
    return number


def _sample(text: str) -> int | None:
    return None if text == "all" else _whole(text)


class Run:
    """One run: its mutants, its verdicts so far, and its line of progress."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.verdicts: list[Verdict] = []
        self._options = options
        self._started_s = time.monotonic()
        self._total = 0
        # Of tests that were played without any mutant: the name of the one that failed, or nothing.
        self._controls: list[str] = []

    async def main(self) -> int:
        """Returns the exit code."""
        options = self._options
        prefixes = [each for each in options.package.split(",") if each]
        print(
            "Mutation tests: small bugs planted by rules, one at a time, each against the tests that execute its line.",
            flush=True,
        )
        earlier = _survivors_before() if options.only == "survivors" else None
        found = selection.in_files(PROJECT, prefixes)
        listed = equivalents.read(equivalents.LIST.read_text(encoding="utf-8"))
        async with workers(PROJECT, options.workers) as pool:
            if selection.wants_schema(prefixes):
                found += await _schema(pool[0])
            if not prefixes:
                _refuse_stale(equivalents.stale(listed, found))
            chosen = self._chosen(found, earlier)
            excused = [Verdict(each, EQUIVALENT) for each in chosen if each.key in listed]
            self.verdicts += excused
            mutants = [each for each in chosen if each.key not in listed]
            if mutants:
                await self._play(pool, mutants)
        return self._end()

    def _chosen(self, found: list[Mutant], earlier: set[str] | None) -> list[Mutant]:
        options = self._options
        if earlier is not None:
            return [mutant for mutant in found if mutant.id in earlier]
        if options.only == "sql":
            found = selection.statements_of(found)
        elif options.only == "python":
            found = [each for each in found if each not in set(selection.statements_of(found))]
        if options.changed:
            touched = selection.changed(PROJECT, options.changed)
            found = [mutant for mutant in found if touched.has(mutant)]
        return selection.sampled(found, options.sample, options.seed)

    async def _play(self, pool: Sequence[Worker], mutants: list[Mutant]) -> None:
        files = files_of_tests(PROJECT, [each for each in self._options.tests.split(",") if each])
        if not files:
            raise selection.SelectionError(f"no file of tests begins with {self._options.tests}.")
        net = await measure(files, Cache(PROJECT, FOLDER / "net"), pool, self._measured)
        _say_refused(net)
        print(f"{len(net.tests)} tests are the net; {len(mutants)} mutants are played.", flush=True)
        self._total = len(mutants)
        self._started_s = time.monotonic()
        choice = Choice(PROJECT, net, self._options.budget)
        await play(mutants, choice, pool, self._judged, self._controls)

    def _measured(self, file: str, done: int, total: int) -> None:
        pace_s = (time.monotonic() - self._started_s) / done
        print(f"{done:5}/{total}  {_left(pace_s * (total - done))}  lines of {file}", flush=True)

    def _judged(self, verdict: Verdict) -> None:
        self.verdicts.append(verdict)
        done = sum(each.outcome != EQUIVALENT for each in self.verdicts)
        pace_s = (time.monotonic() - self._started_s) / done
        left = _left(pace_s * (self._total - done))
        place = f"{verdict.mutant.path}:{verdict.mutant.line}"
        print(f"{done:5}/{self._total}  {left}  {verdict.outcome:9} {place}", flush=True)
        if not verdict.caught:
            print(verdict.mutant.diff(), flush=True)
        if done % _KEPT_AFTER == 0:
            self._keep()

    def _end(self) -> int:
        self.report()
        failed = [name for name in self._controls if name]
        print(
            f"Controls without any mutant: {len(self._controls)}, of which failed: {len(failed)}."
        )
        for name in failed:
            print(f"  failed by itself: {name}")
        low = table.below(self.verdicts)
        for sentence in low:
            print(sentence)
        return TOO_LOW if low else 0

    def report(self) -> None:
        """Prints the survivors and the table, and writes result.json."""
        self._keep()
        survived = table.survivors(self.verdicts)
        if survived:
            print(f"\nSurvivors\n\n{survived}\n")
        print(f"\n{table.table(self.verdicts)}")
        print(f"Result: {RESULT.relative_to(PROJECT)}", flush=True)

    def _keep(self) -> None:
        """Writes result.json: also a run that is killed keeps what it has measured."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        options = self._options
        result = {
            "seed": options.seed,
            "sample": options.sample or "all",
            "package": options.package,
            "changed": options.changed,
            "only": options.only or "",
            "budget_s": options.budget,
            "planned": self._total,
            "controls": self._controls,
            "mutants": [verdict.as_json() for verdict in self.verdicts],
        }
        RESULT.write_text(json.dumps(result, indent=1), encoding="utf-8")


async def _schema(worker: Worker) -> list[Mutant]:
    connection = await asyncpg.connect(worker.cluster.url(worker.server.template))
    try:
        return await schema_mutants(connection)
    finally:
        await connection.close()


def _survivors_before() -> set[str]:
    try:
        result: dict[str, Any] = json.loads(RESULT.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise selection.SelectionError(
            f"there is no earlier result in {RESULT.relative_to(PROJECT)}."
        ) from exc
    return {each["id"] for each in result["mutants"] if each["outcome"] in ("survived", "no test")}


def _refuse_stale(entries: list[equivalents.Equivalent]) -> None:
    if entries:
        places = "; ".join(f"{entry.path} {entry.scope}: {entry.added}" for entry in entries)
        raise equivalents.ListError(
            f"the list of equivalents names mutants that do not exist: {places}."
        )


def _say_refused(net: Net) -> None:
    for name in net.refused:
        print(f"not part of the net, it failed without any mutant: {name}", flush=True)


def _left(seconds: float) -> str:
    return f"{seconds // 60:3.0f}:{seconds % 60:02.0f} left"


def main() -> int:
    """Returns the exit code: 1 when too many mutants survived, 2 when the run was not possible."""
    options = arguments()
    if options.exit_with_parent:
        exit_with_parent()
    run = Run(options)
    try:
        return asyncio.run(interruption.until_signalled(run.main()))
    except (equivalents.ListError, selection.SelectionError, StackError) as exc:
        sys.stderr.write(f"mutation: {exc}\n")
        return interruption.UNKNOWN
    except asyncio.CancelledError:
        run.report()
        print("Interrupted: the table holds what was measured before.", flush=True)
        return interruption.INTERRUPTED


if __name__ == "__main__":
    interruption.exit_with(main)
