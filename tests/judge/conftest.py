"""Runs the judge as its users do: as a process, with a judge.toml, against a real service."""

import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stack import ports
from tests import commands

PROJECT = Path(__file__).resolve().parent.parent.parent
PYTHON = f"{sys.executable} -E"


@dataclass(frozen=True)
class Judged:
    """How the judge ended. `document` is result.json, empty when there is none."""

    code: int
    output: str
    errors: str
    document: Mapping[str, Any]
    folder: Path

    @property
    def failed(self) -> dict[str, str]:
        """The cases that failed, with what was seen and the usual cause."""
        return self._of("fail")

    @property
    def unknown(self) -> dict[str, str]:
        """The cases that could not be told, and why."""
        return self._of("unknown")

    def _of(self, verdict: str) -> dict[str, str]:
        cases = self.document.get("cases", ())
        return {
            case["name"]: f"{case['sentence']} {case['cause']}"
            for case in cases
            if case["verdict"] == verdict
        }


Judge = Callable[..., Awaitable[Judged]]


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """Writes judge.toml into the test's folder and runs the judge with it."""

    async def run(toml: str, *arguments: str, environ: Mapping[str, str] | None = None) -> Judged:
        config = tmp_path / "judge.toml"
        config.write_text(toml, encoding="utf-8")
        out = tmp_path / "out"
        # The commands of judge.toml find the modules of the tests.
        own = {**os.environ, "PYTHONPATH": str(PROJECT), "NO_COLOR": "1", **(environ or {})}
        words = ("run", str(config), "--out", str(out), *arguments)
        ended = await commands.run("judge", *words, environ=own)
        file = out / "result.json"
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        return Judged(ended.code, ended.output, ended.errors, json.loads(text) if text else {}, out)

    return run


def smallest(url: str, start: str = "", probe: str = "GET /") -> str:
    """judge.toml with nothing but what it needs."""
    started = f'start = "{start}"' if start else ""
    return f"""
[service]
url = "{url}"
{started}
[request]
path = "/"
headers = {{ "Idempotency-Key" = "{{key}}" }}
[effect]
http = "{probe}"
value = "$.n"
step = 1
"""


def free_port() -> int:
    """A port that nothing listens at."""
    return ports.choose("", None)


def planted(name: str, folder: Path, expect: str = "") -> str:
    """judge.toml of a planted receiver, on a port and a database of its own."""
    port = free_port()
    return f"""
[service]
url = "http://127.0.0.1:{port}"
start = "{sys.executable} -m tests.judge.planted.{name} {port} {folder / "planted.db"}"
ready = "/healthz"

[request]
path = "/payments"
headers = {{ Authorization = "Bearer one-token", "Idempotency-Key" = "{{key}}" }}
json = {{ account = "alice", amount = 100, reference = "{{unique}}" }}
other = {{ amount = 101 }}
other_caller = {{ Authorization = "Bearer two-token" }}

[effect]
http = "GET /accounts/alice"
value = "$.balance"
step = -100

[expect]
{expect}
"""
