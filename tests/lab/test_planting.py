"""What the lab says is planted, and when: a restart that fails leaves no lie."""

from types import SimpleNamespace
from typing import Any

import pytest

from lab import challenge
from lab.held import NotPossible
from lab.planting import Planting

BUG = challenge.PROTECTIONS[0].bug


@pytest.mark.parametrize("fails", [False, True])
async def test_it_is_planted_when_its_services_have_it(
    monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """Not before, and not when one of them could not be started again."""
    said: list[str] = []

    async def exchange(*_: Any) -> None:
        said.append(planting.bug)
        if fails:
            raise NotPossible("it did not start")

    async def set_second_net(*_: Any, **__: Any) -> None:
        said.append(planting.bug)

    async def attempt(doing: Any) -> Any:
        return await doing

    monkeypatch.setattr(challenge, "set_second_net", set_second_net)
    setup: Any = SimpleNamespace(
        harness=SimpleNamespace(target=SimpleNamespace(owner="")),
        services=SimpleNamespace(exchange=exchange),
    )
    repair: Any = SimpleNamespace(attempt=attempt)
    planting = Planting(setup, repair)
    if fails:
        with pytest.raises(NotPossible):
            await planting.plant(BUG)
    else:
        await planting.plant(BUG)
    assert set(said) == {""}
    assert planting.bug == ("" if fails else BUG)
