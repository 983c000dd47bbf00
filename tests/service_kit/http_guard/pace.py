"""How fast this core is now, against a usual one: so a bound for what a service computes holds on every machine.

Guarantee: a core that is shared, lent or old makes both the service and this piece of work slower, so their ratio stays.
"""

import time

# What a core of 2026 that has nothing else to do needs for a piece.
_PIECE_S = 0.0015


def compute(usual_s: float) -> None:
    """Computes for so many seconds of a usual core."""
    for _ in range(max(1, round(usual_s / _PIECE_S))):
        number = 0
        for each in range(20_000):
            number += each * each


def slowness() -> float:
    """How many times as long as a usual core this one needs, in its processor time; 1 for a faster one."""
    begun_s = time.thread_time()
    compute(_PIECE_S)
    return max(1.0, (time.thread_time() - begun_s) / _PIECE_S)
