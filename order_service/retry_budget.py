"""A token bucket that keeps retries from becoming a storm.

Guarantee: while nothing is answered, no more than `capacity` retries and then `refill_per_s` a second are sent by one
process, however many orders wait; while billing answers, retries flow freely, because each answer gives a token back.
(The adaptive retry bucket of the AWS SDKs; M. Brooker, "Fixing retries with token buckets", 2022.)
"""

from collections.abc import Callable


class RetryBudget:
    """`clock` gives seconds and never goes back."""

    def __init__(self, capacity: int, refill_per_s: float, clock: Callable[[], float]) -> None:
        self._capacity = float(capacity)
        self._refill_per_s = refill_per_s
        self._clock = clock
        self._tokens = float(capacity)
        self._filled_s = clock()

    @property
    def tokens(self) -> float:
        """What is left; below zero for retries that were promised a token of the future."""
        self._fill()
        return self._tokens

    def take(self) -> float:
        """Takes a token for one retry; seconds to wait for it, 0 when it was there."""
        self._fill()
        self._tokens -= 1.0
        return max(0.0, -self._tokens / self._refill_per_s)

    def give(self) -> None:
        """An attempt was answered: billing can bear more."""
        self._fill()
        self._tokens = min(self._capacity, self._tokens + 1.0)

    def _fill(self) -> None:
        now_s = self._clock()
        refilled = (now_s - self._filled_s) * self._refill_per_s
        self._tokens = min(self._capacity, self._tokens + refilled)
        self._filled_s = now_s
