"""How often the judge kills on arrival: until a kill has met a request, but not for ever. The real kills are in `test_services.py`."""

from types import SimpleNamespace
from typing import Any

import pytest

from judge.cases import crashes
from judge.evidence import Evidence, clock

(ARRIVAL,) = (case for case in crashes.CASES if case.name == "kill-arrival")
FAST_S, SLOW_S = 0.3, 1.6


@pytest.mark.parametrize(
    ("start_s", "met"),
    [
        pytest.param(FAST_S, [3, 4], id="a service that starts fast is killed twice"),
        pytest.param(FAST_S, [0, 4], id="one of two is enough"),
        pytest.param(SLOW_S, [2], id="a service that starts slowly is killed once"),
        pytest.param(SLOW_S, [0, 0, 1], id="again while everything had been answered"),
        pytest.param(FAST_S, [0, 0, 0, 0, 4], id="up to five times"),
    ],
)
async def test_until_a_kill_has_met_a_request(
    monkeypatch: pytest.MonkeyPatch, start_s: float, met: list[int]
) -> None:
    """The witness says how many kills met requests."""
    kills = sum(each > 0 for each in met)
    (witness,) = (await _played(monkeypatch, start_s, met)).witnesses
    assert witness.seen
    assert f"({kills} of {len(met)} kills, {sum(met)} requests)" in witness.claim


async def test_a_service_that_had_always_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five kills that met nothing are no evidence."""
    (witness,) = (await _played(monkeypatch, FAST_S, [0] * 5)).witnesses
    assert not witness.seen


async def _played(monkeypatch: pytest.MonkeyPatch, start_s: float, met: list[int]) -> Evidence:
    """The evidence of the case. `met` has, kill by kill, the requests that had no answer; each of its kills must come."""
    left = iter(met)

    async def strike(*_: Any) -> int:
        return next(left)

    monkeypatch.setattr(crashes, "_strike", strike)
    evidence = Evidence(clock())
    bench: Any = SimpleNamespace(
        service=SimpleNamespace(start_s=start_s), latency_s=0.1, headroom=1000
    )
    play: Any = SimpleNamespace(bench=bench, evidence=evidence)
    await ARRIVAL.play(play)
    assert next(left, None) is None, "a kill is missing"
    return evidence
