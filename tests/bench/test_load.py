"""A measurement in which one request failed or was refused is none."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from bench import load
from bench.load import Load, LoadFailed

CLEAN: dict[str, Any] = {
    "requests": 9,
    "seconds": 3.0,
    "failed": 0,
    "not_2xx": 0,
    "p50_ms": 1.0,
    "p99_ms": 2.0,
    "max_ms": 3.0,
}


async def measured(monkeypatch: pytest.MonkeyPatch, output: str) -> Load:
    async def ends(*_: Any) -> Any:
        return SimpleNamespace(output=output)

    monkeypatch.setattr("shutil.which", lambda name: name)
    monkeypatch.setattr(load, "run_to_end", ends)
    return await load.run("http://127.0.0.1:9", "charges.lua", 1, 3)


async def test_a_clean_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its figures are those of wrk."""
    found = await measured(monkeypatch, f"Running 3s test\nRESULT {json.dumps(CLEAN)}\n")
    assert found == Load(**CLEAN)
    assert found.per_second == 3.0


@pytest.mark.parametrize(
    "output",
    [
        f"RESULT {json.dumps(CLEAN | {'failed': 1})}",
        f"RESULT {json.dumps(CLEAN | {'not_2xx': 1})}",
        "unable to connect",
    ],
    ids=["failed", "refused", "no result"],
)
async def test_a_run_that_was_not_clean(monkeypatch: pytest.MonkeyPatch, output: str) -> None:
    """One request is enough: what was refused cost nothing, and would look fast."""
    with pytest.raises(LoadFailed):
        await measured(monkeypatch, output)
