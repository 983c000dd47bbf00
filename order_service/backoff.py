"""How long to wait before the next attempt: exponential, capped, with full jitter.

Guarantee: no pause is longer than its cap, and callers that failed together do not come back together ("Exponential
Backoff And Jitter", M. Brooker, AWS Architecture Blog, 2015).
"""

from collections.abc import Callable
from dataclasses import dataclass

# 2 ** 30 is above every cap; without a limit a long outage would make the power a huge number.
_EXPONENT_MAX = 30


@dataclass(frozen=True)
class Backoff:
    """`draw(low, high)` is a uniform random number, `random.uniform` in production."""

    base_s: float
    cap_s: float
    retry_after_max_s: float
    draw: Callable[[float, float], float]

    def pause_s(self, attempts: int, retry_after_s: float = 0.0) -> float:
        """Seconds to wait after `attempts` attempts; never less than what the peer asked for, within its maximum."""
        exponent = min(attempts - 1, _EXPONENT_MAX)
        bound_s = min(self.cap_s, self.base_s * 2.0**exponent)
        return min(retry_after_s, self.retry_after_max_s) + self.draw(0.0, bound_s)
