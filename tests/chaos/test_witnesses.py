"""What steps witness is what they saw: of this scenario, and in this order."""

from types import SimpleNamespace
from typing import Any

import pytest

from chaos.evidence.readings import Snapshot
from chaos.steps.observations import AwaitTruncatedRequest, SendCopy
from chaos.steps.transactions import TerminateSession


class Context:
    """The parts of a scenario's context that these steps use; `seen` are its witnesses."""

    def __init__(self, **parts: Any) -> None:
        self.seen: list[bool] = []
        self.probes: list[Any] = []
        self.since_ns = 100
        self.orders = {"the order": SimpleNamespace(account="alice")}
        vars(self).update(parts)

    async def order(self, _: str = "") -> Any:
        return self.orders["the order"]

    async def until(self, question: Any, _: str) -> bool:
        return bool(await question())

    def witness(self, _: str, *, seen: bool) -> None:
        self.seen.append(seen)

    def first_account(self) -> str:
        return "alice"


async def test_half_a_request_of_an_earlier_scenario() -> None:
    """It is no witness of this one."""
    asked: list[tuple[str, int]] = []

    def has_broken_arrival(service: str, since_ns: int) -> bool:
        asked.append((service, since_ns))
        return False

    journal = SimpleNamespace(has_broken_arrival=has_broken_arrival)
    context: Any = Context(journal=journal)
    await AwaitTruncatedRequest().perform(context)
    assert (asked, context.seen) == ([("billing_service", 100)], [False])


@pytest.mark.parametrize("moves", [False, True])
async def test_what_a_copy_has_moved(moves: bool) -> None:
    """The money is read before the copy is sent, and after it was answered."""
    effects = 1

    async def charge(*_: Any) -> Any:
        nonlocal effects
        effects += moves
        return SimpleNamespace(status_code=201)

    async def snapshot(_: Any) -> Snapshot:
        return Snapshot(1, effects, effects, 1)

    async def settled(_: Any) -> Any:
        return SimpleNamespace(sequence_key=7, order_id="x")

    context: Any = Context(
        harness=SimpleNamespace(charge=charge),
        journal=SimpleNamespace(note=lambda *_, **__: None),
        snapshot=snapshot,
        settled=settled,
    )
    context.orders = dict.fromkeys((SendCopy("X4", "", 201).label,), SimpleNamespace(account="a"))
    await SendCopy("X4", "nothing moved", 201).perform(context)
    (probe,) = context.probes
    assert (probe.moved, probe.status, probe.expected) == (moves, 201, 201)


@pytest.mark.parametrize(("ended", "seen"), [(0, False), (1, True), (2, False)])
async def test_the_session_that_was_ended(ended: int, seen: bool) -> None:
    """Exactly the one that held the charge."""

    async def fetchval(_: str) -> int:
        return ended

    context: Any = Context(
        pausing=SimpleNamespace(fetchval=fetchval),
        journal=SimpleNamespace(note=lambda *_, **__: None),
    )
    await TerminateSession().perform(context)
    assert context.seen == [seen]
