"""A process that was struck: it counts only when it died as it was ordered to, and what its work had done is looked at."""

from types import SimpleNamespace
from typing import Any

import pytest

from chaos.faults.wrapped_services import KILLED
from lab.columns import COLUMNS
from lab.plans import Seam
from lab.rounds import Attempt, Lane
from lab.strikes import Strikes
from stack.processes import Death


@pytest.mark.parametrize(
    ("code", "executed", "seam", "seen"),
    [
        (KILLED, True, Seam.REPLY, [True, True]),
        (KILLED, False, Seam.REPLY, [True, False]),
        (KILLED, False, Seam.ARRIVAL, [True, True]),
        (KILLED, True, Seam.ARRIVAL, [True, False]),
        (KILLED, False, Seam.SEND, [True]),
        (-9, True, Seam.REPLY, [False, True]),
        (1, True, Seam.REPLY, [False, True]),
        (0, True, Seam.REPLY, [False, True]),
    ],
)
async def test_a_process_that_died(code: int, executed: bool, seam: Seam, seen: list[bool]) -> None:
    """Of its own trouble, or by another hand: then it was not the strike."""

    async def process(*_: Any) -> Any:
        return child

    async def ready(*_: Any) -> None:
        """It is there again."""

    child = SimpleNamespace(name="billing_service-1", pid=8, deaths=[Death(7, code)])
    lane, attempt = Lane(COLUMNS[2], "account"), Attempt(1, 7, retry=False, span="s")
    attempt.executed = executed
    attempt.ended.set()
    strikes: Any = object.__new__(Strikes)
    strikes._setup = SimpleNamespace(process=process, services=SimpleNamespace(ready_after=ready))
    strikes._history = SimpleNamespace(changed=lambda: None, note=lambda *_, **__: None)
    strikes._complain = lambda _: None
    strikes.down = set()
    await strikes._see_death(lane, attempt, seam, 7)
    assert [each for _, each in attempt.witnesses] == seen
    assert attempt.over.is_set()
    assert strikes.down == set()
