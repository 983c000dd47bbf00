"""Negative controls: a stack with a planted bug must not pass."""

from pathlib import Path

import pytest

from chaos.run import WRAPPED, open_theatre
from chaos.scenarios import SCENARIOS
from chaos.verdict import Verdict

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize(
    ("service", "factory"),
    [
        ("order_service", "tests.chaos.planted.new_key_for_each_retry:order"),
        ("billing_service", "tests.chaos.planted.no_unique_constraint:billing"),
    ],
)
async def test_a_planted_bug_is_caught(tmp_path: Path, service: str, factory: str) -> None:
    """With the bug a lost response costs the shopper twice, and the verdict says fail; without it, it passes."""
    scenario = next(s for s in SCENARIOS if s.name == "disconnect/response_lost/exactly_once")
    async with open_theatre(
        tmp_path, lambda _: None, usual_ports=False, factories={**WRAPPED, service: factory}
    ) as theatre:
        cell = await theatre.play(scenario)
    assert cell.verdict is Verdict.FAIL
    assert cell.measured.effects == 2
