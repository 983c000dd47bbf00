"""result.json: a run for machines.

Guarantee: every figure in it was measured in the run that it names; `effects_expected` alone is computed.
"""

import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from chaos.play import Played
from chaos.verdict import worst

_PACKAGES = ("fastapi", "uvicorn", "httpx", "aiohttp", "asyncpg", "toxiproxy-python")


def result(run: str, seed: int, played: list[Played], servers: Mapping[str, str]) -> dict[str, Any]:
    """The whole of result.json. `servers` are the versions that Postgres and Toxiproxy themselves reported."""
    return {
        "run": run,
        "seed": seed,
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in _PACKAGES},
            **servers,
        },
        "verdict": worst([cell.verdict for cell in played]),
        "scenarios": [_scenario(cell) for cell in played],
    }


def write(directory: Path, content: dict[str, Any]) -> Path:
    """Writes result.json at once: a reader finds the whole of it or none."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "result.json"
    draft = directory / "result.json.tmp"
    draft.write_text(json.dumps(content, indent=2) + "\n")
    os.replace(draft, path)
    return path


def _scenario(cell: Played) -> dict[str, Any]:
    measured = cell.measured
    return {
        "name": cell.scenario.name,
        "situation": cell.scenario.situation.name,
        "delivery": cell.scenario.delivery,
        "family": cell.scenario.family,
        "connection": cell.scenario.connection,
        "verdict": cell.verdict,
        "caller_saw": measured.caller_saw,
        "attempts": measured.attempts,
        "arrivals": measured.arrivals,
        "commits": measured.commits,
        "effects_expected": cell.expected,
        "effects_measured": _whole(measured.effects),
        "witnesses": [
            {"claim": witness.claim, "seen": witness.seen} for witness in measured.witnesses
        ],
        "seconds": cell.seconds,
    }


def _whole(effects: float) -> int | float:
    return int(effects) if effects.is_integer() else effects
