"""`python -m bench`: measures everything and writes docs/bench.json and docs/bench.svg; about a quarter of an hour.

Guarantee: exit code 1 when a request failed or the money does not add up, 2 when the bench could not be run; only a
complete bench replaces the figures that the README shows.
"""

from stack import early_signals

if __name__ == "__main__":
    # The imports below take a second. Ctrl-C during them must not end in a traceback.
    early_signals.end_at_once()

import argparse
import asyncio
import json
import os
import platform
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import chart, measurements, page, standby
from bench.load import LoadFailed
from bench.measurements import Bench, Unexplained
from bench.testbed import Testbed
from stack import environ, interruption, output
from stack.processes import StackError

_CHARGES_OF_THE_MEMORY_RUN = 1_000_000
Part = Callable[[Bench], Awaitable[None]]
PARTS: dict[str, Part] = {
    "charges": measurements.charging,
    "replays": measurements.repeating,
    "orders": measurements.ordering,
    "history": measurements.history,
    "memory": lambda bench: measurements.lasting(bench, _CHARGES_OF_THE_MEMORY_RUN),
}
# Only by their names: docs/running.md has what it gave, and the README has no figure of it.
BY_NAME: dict[str, Part] = {"standby": standby.sealing}


def main() -> int:
    """Returns the exit code."""
    environ.settle_own()
    output.make_safe()
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="PART",
        help=f"one of {', '.join(PARTS)}; all of these by default; or {', '.join(BY_NAME)}",
    )
    parser.add_argument("--rounds", type=_count, default=5, help="runs of each contender (5)")
    parser.add_argument("--seconds", type=_count, default=5, help="length of one run (5)")
    options = parser.parse_args()
    known = PARTS | BY_NAME
    unknown = [name for name in options.parts if name not in known]
    if unknown:
        parser.error(f"there is no part {unknown[0]}; there are {', '.join(known)}")
    console = Console(stderr=True, highlight=False)
    names = [name for name in known if name in (options.parts or PARTS)]
    try:
        figures = asyncio.run(
            interruption.until_signalled(
                _measure(names, options.rounds, options.seconds, console.print)
            )
        )
    except (LoadFailed, Unexplained) as exc:
        console.print(f"bench: {exc}")
        return 1 if "missing" not in str(exc) else 2
    except StackError as exc:
        console.print(f"bench: {exc}")
        return 2
    Console(highlight=False).print(page.tables(figures), markup=False, soft_wrap=True)
    if names == list(PARTS):
        page.FIGURES.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        chart.PATH.write_text(chart.svg(figures), encoding="utf-8")
        page.write_readme()
        console.print(f"Written: {page.FIGURES.name}, {chart.PATH.name} and the README's section.")
    return 0


async def _measure(
    names: list[str], rounds: int, seconds: int, say: Callable[[str], None]
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        async with Testbed(Path(directory)).opened() as testbed:
            await measurements.open_accounts(testbed)
            bench = Bench(testbed, rounds, seconds, say)
            for name in names:
                say(f"--- {name}")
                await (PARTS | BY_NAME)[name](bench)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {_memory_gib()} GiB, {_processor()}, {platform.system()}",
        "python": platform.python_version(),
        "rounds": rounds,
        "seconds": seconds,
        "figures": bench.figures,
    }


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _memory_gib() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    interruption.exit_with(main)
