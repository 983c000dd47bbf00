"""When a round is over: its orders are settled, and nothing of it is held or struck any more."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from chaos.harness.harness import AMOUNT_CENTS
from lab import watching
from lab.columns import COLUMNS
from lab.history import History
from lab.ledger import Reading
from lab.rounds import Lane, Round
from lab.watching import Watch
from order_service.wire import Fate, Status
from stack.waiting import until
from tests.service_kit.http_guard.connection import next_turn


class Ledger:
    """Says of each account what the test says; counts how often it was asked."""

    def __init__(self) -> None:
        self.status = Status.PENDING
        self.asked = 0

    async def read(self, accounts: Any) -> Any:
        self.asked += 1
        reading = Reading(AMOUNT_CENTS, (1,), self.status, (), 1, "x", Fate.ACKNOWLEDGED)
        return dict.fromkeys(accounts, reading)

    async def close(self) -> None:
        """Nothing is open."""


async def test_a_round_ends_when_it_may(tmp_path: Path, monkeypatch: Any) -> None:
    """Not before its orders are settled, and not while something of it is held; then once."""
    monkeypatch.setattr(watching, "_LEDGER_PAUSE_S", 0)
    monkeypatch.setattr(watching, "_QUIET_PAUSE_S", 0)
    ledger, may_end, ended = Ledger(), [False], []
    played = Round(1, {column.name: Lane(column, column.name) for column in COLUMNS}, "", {})

    def over(each: Round) -> None:
        each.over = True
        ended.append(each.number)

    journal = SimpleNamespace(path=tmp_path / "journal", note=lambda *_, **__: None)
    harness: Any = SimpleNamespace(journal=journal, target=SimpleNamespace(owner=""))
    history = History(dict)
    watch = Watch(harness, history, lambda: [played], lambda _: may_end[0], over)
    watch._ledger = cast(Any, ledger)
    watch.start(cast(Any, None))
    try:
        await _looks(ledger)
        assert ended == []
        ledger.status = Status.BILLED
        await _looks(ledger)
        assert ended == []
        may_end[0] = True

        async def is_over() -> bool:
            return played.over

        async with asyncio.timeout(60):
            await until(is_over, 30, "the round is over")
        await _looks(ledger)
        assert ended == [1]
    finally:
        await watch.close()


async def _looks(ledger: Ledger) -> None:
    """Returns after some more looks at the accounts."""
    enough = ledger.asked + 10
    async with asyncio.timeout(60):
        while ledger.asked < enough:
            await next_turn()
