"""How long scenarios take, from the results of earlier runs and from this run so far: an estimate of what is left.

Guarantee: a result that cannot be read costs the estimate and never the run.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

# Enough for the last whole run behind a few short ones; a folder may hold hundreds.
_RESULTS_READ_MAX = 10


def recorded(results: Path) -> dict[str, float]:
    """Seconds of each scenario in the newest of the results that played it."""
    found: dict[str, float] = {}
    try:
        # `latest` is a link to one of them.
        runs = [path for path in results.glob("*/result.json") if not path.parent.is_symlink()]
        newest = sorted(runs, reverse=True)[:_RESULTS_READ_MAX]
    except OSError:
        return {}
    for path in newest:
        for name, seconds in _of(path).items():
            found.setdefault(name, seconds)
    return found


def _of(path: Path) -> dict[str, float]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {str(each["name"]): float(each["seconds"]) for each in content["scenarios"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def left_s(
    remaining: Iterable[str], measured: Mapping[str, float], before: Mapping[str, float]
) -> float | None:
    """Seconds for what remains; None when nothing is known.

    A scenario takes what it took before, made longer or shorter as this run is so far; one that is new takes the mean.
    """
    known = [name for name in measured if name in before]
    before_s = sum(before[name] for name in known)
    pace = sum(measured[name] for name in known) / before_s if before_s else 1.0
    seconds = [*measured.values()] or [*before.values()]
    if not seconds:
        return None
    mean_s = sum(seconds) / len(seconds)
    return sum(before[name] * pace if name in before else mean_s for name in remaining)
