"""`python -m stack.bootstrap FOLDER`: makes the virtual environment. Needs nothing but the standard library.

Guarantee: two at once do not mix; the stamp comes last, so an interrupted one does not count and is begun anew; what the
person has set for pip decides where packages come from, never where they are installed.
"""

from stack import early_signals

if __name__ == "__main__":
    early_signals.end_at_once()

import argparse
import asyncio
import sys
from pathlib import Path

from stack import environ, interruption
from stack.processes import StackError
from stack.programs import alone, run_to_end

PROJECT = Path(__file__).resolve().parent.parent
STAMP = ".complete"
_LINES_SHOWN = 15
_IS_THERE = "import importlib.util as i, sys; sys.exit(i.find_spec(sys.argv[1]) is None)"


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m stack.bootstrap", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lock", type=Path, default=PROJECT / "requirements.lock")
    parser.add_argument("--proof", default="pytest", help="a module that must be there afterwards")
    options = parser.parse_args()
    making = make(options.folder, options.lock, options.proof)
    try:
        return asyncio.run(interruption.until_signalled(making))
    except StackError as exc:
        sys.stderr.write(f"{exc}\n")
    except OSError as exc:
        sys.stderr.write(f"{exc.filename} cannot be written: {exc.strerror}.\n")
    return interruption.UNKNOWN


async def make(folder: Path, lock: Path, proof: str) -> int:
    """Makes it unless it is there and newer than the lock file. Raises `StackError`."""
    stamp = folder / STAMP
    async with alone(
        folder.with_name(folder.name + ".lock"), lambda: _say("Another make is at it")
    ):
        if stamp.exists() and stamp.stat().st_mtime_ns > lock.stat().st_mtime_ns:
            return 0
        _say("Making the virtual environment (once, about a minute)")
        python = str(folder / "bin" / "python")
        await _step(
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            "The virtual environment could not be made: is the venv module installed (python3-venv)?",
        )
        await _step(
            # --no-user: a person's pip.conf may say otherwise.
            [
                python,
                *["-m", "pip", "install", "--quiet", "--no-user", "--require-hashes", "-r"],
                str(lock),
            ],
            "The packages could not be installed: is the package index reachable?",
        )
        await _step(
            [python, "-c", _IS_THERE, proof],
            "The packages are not in the virtual environment: does a pip.conf set target, prefix or root?",
        )
        stamp.touch()
    return 0


async def _step(argv: list[str], explanation: str) -> None:
    ended = await run_to_end(argv, environ.of_download())
    if ended.return_code != 0:
        raise StackError(f"{ended.end(_LINES_SHOWN)}\n{explanation}".strip())


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    interruption.exit_with(main)
