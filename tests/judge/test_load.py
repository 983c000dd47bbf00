"""Requests of the judge that are in flight together, against a service that answers at once."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from judge.caller import Caller, Hold, Sending
from judge.cases.load import Load
from judge.evidence import Attempt
from judge.requests import Rendered
from tests.evidence import BOUND_S
from tests.judge.scripted import scripted


@pytest.fixture
async def play() -> AsyncIterator[Any]:
    """What a load needs of a play: it sends to a service of this process, and keeps every attempt."""
    attempts: list[Attempt] = []
    with scripted() as service:
        caller = Caller(service.url, lambda: 0.0)

        async def send(values: int, label: str, *, sending: Sending) -> Attempt:
            request = Rendered("POST", "/charges", (), str(values).encode(), str(values))
            attempts.append(Attempt(len(attempts), label, "direct", request, 0.0))
            return await caller.send(attempts[-1], sending)

        yield SimpleNamespace(
            new=itertools.count().__next__,
            send=send,
            start=asyncio.create_task,
            bench=SimpleNamespace(deadline_s=BOUND_S),
            attempts=attempts,
        )


async def test_all_at_the_same_moment(play: Any) -> None:
    """All are sent, and all are complete before anything else happens."""
    load = Load(play, 6)
    await load.send(6)
    assert len(load.complete) == 6
    await load.ended()
    assert load.answers == 6


async def test_a_stream(play: Any) -> None:
    """Each answer lets one more go, so that requests are in flight until the last one is sent."""
    load = Load(play, 6)
    await load.send(2)
    await load.completed(5)
    assert load.answers >= 3
    await load.ended()
    assert (load.answers, sorted(load.complete)) == (6, list(range(6)))


async def test_a_stream_that_is_stopped(play: Any) -> None:
    """What was sent ends, and nothing else is sent."""
    load = Load(play, 100)
    await load.send(2)
    await load.completed(3)
    load.stop()
    sent = len(load.tasks)
    await load.ended()
    assert len(play.attempts) == len(load.complete) == load.answers == sent < 100


async def test_one_of_those_that_go_together_cannot_be_sent() -> None:
    """The others do not wait for it."""
    hold = Hold(2)
    request = Rendered("POST", "/charges", (), b"1", "1")
    with scripted() as service:
        there, nowhere = Caller(service.url, lambda: 0.0), Caller("http://127.0.0.1:1", lambda: 0.0)
        attempts = [Attempt(n, "twin", "direct", request, 0.0) for n in range(2)]
        sending = Sending(BOUND_S, hold=hold)
        both = asyncio.gather(there.send(attempts[0], sending), nowhere.send(attempts[1], sending))
        async with asyncio.timeout(BOUND_S):
            await hold.all_held.wait()
            hold.released.set()
            await both
    assert [attempt.status for attempt in attempts] == [201, 0]
