"""Retries are a trickle while nothing is answered, and flow as fast as answers when there are any."""

import asyncio
from collections.abc import Callable

import pytest

from order_service.retry_budget import RetryBudget


class Time:
    """A clock, and the calls that it owes."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.calls: list[tuple[float, Callable[[], None]]] = []

    def later(self, delay_s: float, call: Callable[[], None]) -> None:
        self.calls.append((self.now_s + delay_s, call))

    async def pass_to(self, then_s: float) -> None:
        """Time goes on, and whatever is due meanwhile is called at its moment."""
        while due := [each for each in self.calls if each[0] <= then_s]:
            first = min(due, key=lambda each: each[0])
            self.calls.remove(first)
            self.now_s = first[0]
            first[1]()
        self.now_s = then_s
        await _settle()


async def _settle() -> None:
    """Lets every task that can go on do so."""
    loop = asyncio.get_running_loop()
    for _ in range(5):
        turn = loop.create_future()
        loop.call_soon(turn.set_result, None)
        await turn


class Waiters:
    """Retries that ask for a token, in their order."""

    def __init__(self, capacity: int, refill_per_s: float) -> None:
        self.time = Time()
        self.budget = RetryBudget(capacity, refill_per_s, lambda: self.time.now_s, self.time.later)
        self.tasks: list[asyncio.Task[None]] = []

    async def ask(self, retries: int) -> None:
        self.tasks += [asyncio.create_task(self.budget.take()) for _ in range(retries)]
        await _settle()

    @property
    def went(self) -> int:
        return sum(task.done() and not task.cancelled() for task in self.tasks)


@pytest.fixture
def waiters() -> Waiters:
    return Waiters(3, 2.0)


async def test_the_burst_is_free_and_then_it_trickles(waiters: Waiters) -> None:
    """As many as the capacity go at once, then one for each refilled token, in the order of arrival."""
    await waiters.ask(6)
    # All that wait share one timer.
    assert len(waiters.time.calls) == 1
    went = [waiters.went]
    for then_s in (0.49, 0.5, 1.0, 1.49, 1.5):
        await waiters.time.pass_to(then_s)
        went.append(waiters.went)
    assert went == [3, 3, 4, 5, 5, 6]
    assert [task.done() for task in waiters.tasks] == [True] * 6


async def test_time_refills_it_up_to_its_capacity(waiters: Waiters) -> None:
    """A long quiet time saves no more than the capacity."""
    await waiters.ask(3)
    await waiters.time.pass_to(0.5)
    assert waiters.budget.tokens == 1.0
    await waiters.time.pass_to(1000.0)
    assert waiters.budget.tokens == 3.0


async def test_a_long_queue_is_drained_at_the_speed_of_answers() -> None:
    """Each answer lets two go: a thousand retries need ten rounds of answers and no second of time."""
    waiters = Waiters(10_000, 0.001)
    await waiters.ask(10_000 + 1000)
    assert waiters.went == 10_000
    answered, rounds = 0, 0
    waiters.budget.give()
    await _settle()
    while waiters.went < 11_000:
        under_way = waiters.went - 10_000 - answered
        answered += under_way
        for _ in range(under_way):
            waiters.budget.give()
        await _settle()
        rounds += 1
    assert rounds <= 10
    assert waiters.time.now_s == 0.0


async def test_who_gives_up_takes_no_token(waiters: Waiters) -> None:
    """A retry that is cancelled while it waits leaves its token to the next one."""
    await waiters.ask(5)
    waiters.tasks[3].cancel()
    await _settle()
    await waiters.time.pass_to(0.5)
    assert [task.done() for task in waiters.tasks] == [True] * 5
    assert waiters.went == 4


async def test_a_second_outage_trickles_as_the_first_one(waiters: Waiters) -> None:
    """An answer admits the last caller before its refilled token came; a caller that comes later is still called."""
    await waiters.ask(4)
    waiters.budget.give()
    await waiters.time.pass_to(10.0)
    assert waiters.went == 4
    await waiters.ask(5)
    assert waiters.went == 7
    await waiters.time.pass_to(11.0)
    assert waiters.went == 9


async def test_answers_fill_it_up_to_its_capacity(waiters: Waiters) -> None:
    """However many answers there were before, an outage begins with the burst and no more."""
    for _ in range(100):
        waiters.budget.give()
    assert waiters.budget.tokens == 3.0
    await waiters.ask(10)
    assert waiters.went == 3


async def test_they_go_in_the_order_of_their_arrival(waiters: Waiters) -> None:
    """The caller that has waited longest goes first, for a refilled token as for one of an answer."""
    await waiters.ask(6)
    await waiters.time.pass_to(0.5)
    assert [task.done() for task in waiters.tasks] == [True] * 4 + [False] * 2
    waiters.budget.give()
    await waiters.time.pass_to(0.5)
    assert [task.done() for task in waiters.tasks] == [True] * 6
