"""Exponential back-off with full jitter."""

from hypothesis import given
from hypothesis import strategies as st

from order_service.backoff import Backoff


def longest(low: float, high: float) -> float:
    return high


def test_the_bound_doubles_up_to_the_cap() -> None:
    """Full jitter draws from zero to a bound that doubles with each attempt and stops at the cap."""
    backoff = Backoff(0.1, 1.0, 30.0, longest)
    assert [backoff.pause_s(n) for n in range(1, 7)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_the_peers_wish_is_the_least() -> None:
    """Retry-After is honoured, and the jitter comes on top of it."""
    assert Backoff(0.1, 1.0, 30.0, lambda low, high: low).pause_s(1, retry_after_s=5.0) == 5.0
    assert Backoff(0.1, 1.0, 30.0, longest).pause_s(1, retry_after_s=5.0) == 5.1


def test_the_peers_wish_does_not_grow() -> None:
    """A caller that was told "in a second" a hundred times comes back after a second, plus jitter within its bound."""
    backoff = Backoff(0.1, 1.0, 30.0, longest)
    assert [backoff.pause_s(n, retry_after_s=1.0) for n in (1, 5, 100)] == [1.1, 2.0, 2.0]


@given(
    attempts=st.integers(1, 10**9),
    retry_after_s=st.floats(0, 1e9),
    share=st.floats(0, 1),
)
def test_no_pause_is_longer_than_its_cap(attempts: int, retry_after_s: float, share: float) -> None:
    """Whatever the attempt and whatever the peer asks for, the pause stays within both caps."""
    backoff = Backoff(0.1, 2.0, 30.0, lambda low, high: low + (high - low) * share)
    assert 0 <= backoff.pause_s(attempts, retry_after_s) <= 32.0
