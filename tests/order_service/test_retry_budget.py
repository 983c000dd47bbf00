"""Retries are a trickle while nothing is answered, and free while everything is."""

from order_service.retry_budget import RetryBudget


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_the_burst_is_free_and_then_it_trickles() -> None:
    """As many as the capacity at once, then each one waits for its token."""
    budget = RetryBudget(3, 2.0, Clock())
    assert [budget.take() for _ in range(6)] == [0, 0, 0, 0.5, 1.0, 1.5]


def test_time_refills_it_up_to_its_capacity() -> None:
    """A long quiet time saves no more than the capacity."""
    clock = Clock()
    budget = RetryBudget(3, 2.0, clock)
    for _ in range(3):
        budget.take()
    clock.now_s = 0.5
    assert budget.tokens == 1.0
    clock.now_s = 1000.0
    assert budget.tokens == 3.0


def test_an_answer_gives_a_token_back() -> None:
    """While billing answers, retries flow as fast as answers come."""
    budget = RetryBudget(1, 0.001, Clock())
    for _ in range(100):
        assert budget.take() == 0
        budget.give()
    budget.give()
    assert budget.tokens == 1.0
