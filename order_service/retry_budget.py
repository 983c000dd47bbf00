"""A token bucket that keeps retries from becoming a storm.

Guarantee: while nothing is answered, no more than `capacity` retries and then `refill_per_s` a second are sent by one
process, however many orders wait; as soon as billing answers again, each answer admits two more, so that a long queue
drains at the speed of the answers and not of the refill. (The adaptive retry bucket of the AWS SDKs; M. Brooker,
"Fixing retries with token buckets", 2022. The growth is that of slow start, RFC 5681.)
"""

import asyncio
from collections import deque
from collections.abc import Callable

# One for the retry that was answered and one more, so that the number of retries under way doubles.
_TOKENS_OF_AN_ANSWER = 2.0


class RetryBudget:
    """`clock` gives seconds and never goes back; `later` calls a function after so many seconds."""

    def __init__(
        self,
        capacity: int,
        refill_per_s: float,
        clock: Callable[[], float],
        later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self._capacity = float(capacity)
        self._refill_per_s = refill_per_s
        self._clock = clock
        self._later = later
        self._tokens = float(capacity)
        self._filled_s = clock()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._called = False

    @property
    def tokens(self) -> float:
        """The tokens that are left."""
        self._fill()
        return self._tokens

    async def take(self) -> None:
        """Returns when there is a token for one retry, in the order of arrival. A cancelled caller takes none."""
        token: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(token)
        self._grant()
        await token

    def give(self) -> None:
        """Adds the tokens of an attempt that was answered: billing can bear more."""
        self._fill()
        self._tokens = min(self._capacity, self._tokens + _TOKENS_OF_AN_ANSWER)
        self._grant()

    def _grant(self) -> None:
        self._fill()
        while self._waiting and self._tokens >= 1.0:
            token = self._waiting.popleft()
            if not token.done():
                token.set_result(None)
                self._tokens -= 1.0
        if self._waiting and not self._called:
            self._called = True
            self._later((1.0 - self._tokens) / self._refill_per_s, self._called_back)

    def _called_back(self) -> None:
        self._called = False
        self._grant()

    def _fill(self) -> None:
        now_s = self._clock()
        refilled = (now_s - self._filled_s) * self._refill_per_s
        self._tokens = min(self._capacity, self._tokens + refilled)
        self._filled_s = now_s
