"""`python -m report RUN_DIR`: renders a saved run again, from its result.json and history.jsonl.

Exit codes: 0 when the pages are written, 2 when the folder holds no run.
"""

import argparse
import sys
from pathlib import Path

from report.saved import NotARun, read, render


def main(words: list[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m report", description=__doc__)
    parser.add_argument(
        "directory", type=Path, metavar="RUN_DIR", help="a folder below .run/results"
    )
    directory = parser.parse_args(words).directory
    try:
        for path in render(directory, *read(directory)):
            print(f"Written: {path}")
    except (NotARun, OSError) as exc:
        print(f"report: {exc}.", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
