"""A process that was struck: it counts only when it died as it was ordered to, and what its work had done is looked at."""

import asyncio
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from chaos.faults.wrapped_services import KILLED
from lab.columns import COLUMNS
from lab.plans import Seam
from lab.rounds import Attempt, Lane, Round
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


@pytest.mark.parametrize(
    ("ended", "arrivals", "seen"), [(True, 1, True), (False, 1, False), (True, 0, False)]
)
async def test_a_message_that_came_late(ended: bool, arrivals: int, seen: bool) -> None:
    """Its caller had given up, and it arrived all the same: otherwise nothing was late."""
    closed: list[str] = []

    async def close_late(name: str, _: str) -> None:
        closed.append(name)

    lane, attempt = Lane(COLUMNS[2], "account", late=1), Attempt(1, 7, retry=False, span="s")
    attempt.status, attempt.arrivals = 201, arrivals
    if ended:
        attempt.ended.set()
    strikes: Any = object.__new__(Strikes)
    strikes._network = SimpleNamespace(close_late=close_late)
    await strikes._see_late(Round(1, {}, "", {}), lane, attempt, "proxy")
    assert [each for _, each in attempt.witnesses] == [seen]
    assert (lane.late, closed) == (0, ["proxy"])


async def test_a_copy_that_cannot_be_sent() -> None:
    """The account that was held for it is let go all the same."""
    done: list[str] = []

    def does(name: str, answer: Any = None) -> Any:
        async def do(*_: Any) -> Any:
            done.append(name)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return do

    lane, attempt = Lane(COLUMNS[2], "account"), Attempt(1, 7, retry=False, span="s")
    arrived = asyncio.Event()
    arrived.set()
    strikes: Any = object.__new__(Strikes)
    strikes.copies = {"account": arrived}
    strikes._send_copy = does("sent", httpx.ConnectError("refused"))
    lock: Any = SimpleNamespace(count_waiting=does("counted", 2), release=does("released"))
    await strikes._see_copy(lane, attempt, lock, SimpleNamespace(close=does("closed")))
    assert done[-1] == "closed"
    assert [each for _, each in attempt.witnesses] == [True, False]
    assert attempt.over.is_set()
    assert strikes.copies == {}
