"""The order in which a failover is judged: what was told is looked up while nothing has been sent again."""

from types import SimpleNamespace
from typing import Any

import pytest

from chaos.steps import failover_judgement
from chaos.steps.failover_judgement import JudgeFailover


async def test_what_was_told_is_looked_up_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """And again at the end. What is sent again would bring back what the failover has lost."""
    done: list[str] = []

    def does(name: str, answer: Any = True) -> Any:
        async def do(*_: Any) -> Any:
            done.append(name)
            return answer

        return do

    monkeypatch.setattr(failover_judgement, "_judge_told", does("told"))
    monkeypatch.setattr(failover_judgement, "_executed", does("sent again"))
    monkeypatch.setattr(failover_judgement, "_doubled", does("counted", ""))
    connection = SimpleNamespace(close=does("closed"))
    failover = SimpleNamespace(
        connect=does("connected", connection),
        charge=does("sent again"),
        charges=[1],
        voided=2,
        forgotten=3,
        billing=["url"],
        customer="alice",
    )
    context: Any = SimpleNamespace(failover=failover, until=does("settled"), checks=[])
    await JudgeFailover().perform(context)
    assert done == [
        "connected",
        "told",
        *["sent again"] * 4,
        "told",
        "settled",
        "counted",
        "closed",
    ]
    assert [(check.promise, check.kept) for check in context.checks] == [("X1", True), ("L1", True)]
