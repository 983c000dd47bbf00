"""What is taken away from the services in the lab comes back."""

from typing import Any

import asyncpg
import pytest

from lab.challenge import PROTECTIONS, place, set_second_net

STATE = "SELECT tgenabled FROM pg_trigger WHERE tgname = 'processed_keys_answer_stays'"


async def test_the_second_net(database: Any) -> None:
    """Postgres keeps stored answers from changing, but for as long as a bug is planted that would be caught by it."""
    owner = await asyncpg.connect(database.owner)
    try:
        states = [await owner.fetchval(STATE)]
        for on in (False, True):
            await set_second_net(database.owner, on=on)
            states.append(await owner.fetchval(STATE))
        assert states == [b"O", b"D", b"O"]
    finally:
        await owner.close()


@pytest.mark.parametrize("protection", PROTECTIONS, ids=lambda each: each.bug)
def test_the_place_of_a_protection(protection: Any) -> None:
    """A line of the source that is there."""
    path, _, line = place(protection.code).partition(":")
    assert path == protection.code.partition(":")[0]
    assert int(line) > 0


def test_a_place_that_is_gone() -> None:
    """A function that was renamed is noticed."""
    with pytest.raises(LookupError, match="has no nothing_of_the_kind"):
        place("order_service/peers.py:nothing_of_the_kind")
