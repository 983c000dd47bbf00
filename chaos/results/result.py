"""result.json: a run for machines.

Guarantee: every figure in it was measured in the run that it names; `effects_expected` alone is computed. Where there is
no figure it is null.
"""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from chaos.promises.verdict import Verdict, worst
from chaos.runner.play import Played
from chaos.soak.endurance import Endured
from report import history
from report.command import Invocation
from report.saved import render

_PACKAGES = ("fastapi", "uvicorn", "httpx", "aiohttp", "asyncpg", "toxiproxy-python")


def result(
    run: str,
    invocation: Invocation,
    played: Sequence[Played],
    whole: Played,
    servers: Mapping[str, str],
) -> dict[str, Any]:
    """The whole of result.json. `servers` are the versions that Postgres and Toxiproxy themselves reported."""
    return {
        "run": run,
        "seed": invocation.seed,
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in _PACKAGES},
            **servers,
        },
        "verdict": worst([cell.verdict for cell in (*played, whole)]),
        "scenarios": [scenario(cell, invocation) for cell in played],
        "whole": scenario(whole, invocation),
    }


def write(directory: Path, content: dict[str, Any]) -> Path:
    """Writes result.json at once: a reader finds the whole of it or none."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "result.json"
    draft = directory / "result.json.tmp"
    draft.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(draft, path)
    return path


def write_run(
    directory: Path, content: dict[str, Any], events: Sequence[dict[str, Any]]
) -> list[Path]:
    """Writes all that a run leaves behind; the paths, for people the most telling one last."""
    written = [write(directory, content), history.write(directory, events)]
    return [*written, *render(directory, content, events)]


def write_soak(directory: Path, run: str, seed: int, endured: Endured) -> str | None:
    """Writes result.json of a soak, and plan.json when it did not pass: its path as one would type it."""
    content = {
        "run": run,
        "seed": seed,
        "verdict": endured.verdict,
        "rounds": endured.rounds,
        "orders": endured.accepted,
        "attempts": endured.attempts,
        "failures": endured.failures,
    }
    write(directory, content)
    if endured.verdict is Verdict.PASS:
        return None
    plan = endured.smallest or endured.last.plan
    path = directory / "plan.json"
    path.write_text(json.dumps(plan.as_json(), indent=2) + "\n", encoding="utf-8")
    return os.path.relpath(path)


def recorded(played: Sequence[Played]) -> list[dict[str, Any]]:
    """What happened in each scenario, for history.jsonl; times in milliseconds since the scenario began."""
    return [
        {
            "scenario": cell.scenario.name,
            "at_ms": round((event.at_ns - cell.since_ns) / 1e6, 3),
            "service": event.service,
            "pid": event.pid,
            "seam": event.seam,
            "account": event.account,
            **event.fields,
        }
        for cell in played
        for event in cell.events
    ]


def scenario(cell: Played, invocation: Invocation) -> dict[str, Any]:
    """One entry of result.json."""
    order = cell.first
    return {
        "name": cell.scenario.name,
        "title": cell.scenario.title,
        "situation": cell.scenario.situation.name if cell.scenario.situation else None,
        # The run as a whole has no steps, and so neither a delivery nor a connection of its own.
        "delivery": cell.scenario.delivery if cell.scenario.steps else None,
        "family": cell.scenario.family,
        "connection": cell.scenario.connection if cell.scenario.steps else None,
        "verdict": cell.verdict,
        "caller_saw": cell.caller_saw,
        "attempts": len(order.order.attempts) if order and order.order else 0,
        # Where no service is wrapped, the number of arrivals is not known.
        "arrivals": len(order.arrivals("billing_service")) if order and order.journaled else None,
        "commits": order.last.commits if order else 0,
        "effects_expected": cell.scenario.effects,
        "effects_measured": None if cell.effects is None else _whole(cell.effects),
        "witnesses": [{"claim": witness.claim, "seen": witness.seen} for witness in cell.witnesses],
        "promises": [
            {
                "name": finding.promise,
                "claim": finding.claim,
                "kind": finding.kind,
                "kept": finding.kept,
                "detail": finding.detail,
            }
            for finding in cell.findings
        ],
        "reproduce": invocation.one(cell.scenario.name)
        if cell.scenario.steps
        else invocation.all(),
        "seconds": cell.seconds,
    }


def _whole(effects: float) -> int | float:
    return int(effects) if effects.is_integer() else effects
