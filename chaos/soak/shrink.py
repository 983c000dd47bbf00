"""Makes a failing plan small: the smallest one that still fails is what a person wants to read.

Guarantee: the result has failed itself, in a trial of its own; it is never a guess.
"""

from collections.abc import Awaitable, Callable

from chaos.soak.plan import Plan

# Each trial is a start of the stack and a round: ten seconds or so.
TRIALS_MAX = 24
REPLAYS = 10
# Fewer orders than this cannot be told from none.
_ORDERS_MIN = 2

Fails = Callable[[Plan], Awaitable[bool]]


async def shrink(plan: Plan, fails: Fails, trials_max: int = TRIALS_MAX) -> Plan:
    """Takes strikes away one by one, then halves the orders, for as long as what is left still fails."""
    trials = 0

    async def still_fails(smaller: Plan) -> bool:
        nonlocal trials
        trials += 1
        return await fails(smaller)

    index = len(plan.strikes) - 1
    while index >= 0 and trials < trials_max:
        if await still_fails(plan.without(index)):
            plan = plan.without(index)
        index -= 1
    while plan.orders // 2 >= _ORDERS_MIN and trials < trials_max:
        if not await still_fails(plan.shorter()):
            break
        plan = plan.shorter()
    return plan


async def replay(plan: Plan, fails: Fails, times: int = REPLAYS) -> int:
    """How often a plan fails in so many trials: the operating system's schedule is not part of the seed."""
    return sum([await fails(plan) for _ in range(times)])
