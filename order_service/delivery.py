"""The three delivery semantics. They differ in two things only: where the key is minted, and whether the caller resends.

Guarantee: `exactly_once` sends one key until it has an answer, and never another; `at_most_once` sends once, and never
again. `at_least_once` shows the harm of a fresh key for each attempt.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from order_service.outcomes import Acknowledged, Outcome, Refused, Unknown, may_be_lifted
from order_service.wire import Delivery


class Pending(Protocol):
    """What delivery has to know of a pending order."""

    @property
    def sequence_key(self) -> int:
        """The key of the latest attempt, committed before it was sent."""

    @property
    def attempts(self) -> int:
        """Attempts begun, the latest one included."""

    @property
    def taken_over(self) -> bool:
        """Another process began the latest attempt and died: whether it was sent is unknown."""


class Steps(Protocol):
    """What delivery does; each step is durable before the next one."""

    async def send(self, attempt: int, sequence_key: int, *, retry: bool) -> Outcome:
        """Sends one attempt that was begun."""

    async def make_sure(self, sequence_key: int, refused: Refused) -> Outcome:
        """Turns a refusal into a fact about the key: it is voided now, or an earlier attempt was executed."""

    async def pause(self, attempt: int, outcome: Outcome) -> None:
        """Records how the latest attempt ended, and backs off."""

    async def begin(self, attempt: int) -> None:
        """Commits that an attempt with the same key begins."""

    async def begin_with_fresh_key(self, attempt: int) -> int:
        """Commits that an attempt with a new key begins, and returns the key."""


async def at_most_once(order: Pending, steps: Steps) -> Outcome:
    """Sends one attempt. The charge may be lost; it never happens twice."""
    if order.taken_over:
        return Unknown("the process died; whether it had sent is unknown")
    return await steps.send(order.attempts, order.sequence_key, retry=False)


async def at_least_once(order: Pending, steps: Steps) -> Outcome:
    """Resends until there is an answer, each time under a fresh key: the receiver cannot recognise a retry."""
    attempt, sequence_key = order.attempts, order.sequence_key
    if order.taken_over:
        attempt += 1
        sequence_key = await steps.begin_with_fresh_key(attempt)
    while True:
        outcome = await steps.send(attempt, sequence_key, retry=False)
        if is_final(outcome):
            return outcome
        await steps.pause(attempt, outcome)
        attempt += 1
        sequence_key = await steps.begin_with_fresh_key(attempt)


async def exactly_once(order: Pending, steps: Steps) -> Outcome:
    """Resends the same key until there is an answer: sent at least once, with the effect exactly once.

    A refusal counts only when nothing that was sent can still be executed. An earlier attempt that is delayed in the network
    could be, after the order was declared failed. So could a copy that the network made of the refused attempt itself, when
    billing refused it for an account that is opened meanwhile. In both cases the key is voided first.
    """
    attempt, sequence_key = order.attempts, order.sequence_key
    one_may_be_under_way = order.taken_over
    if order.taken_over:
        attempt += 1
        await steps.begin(attempt)
    while True:
        outcome = await steps.send(attempt, sequence_key, retry=attempt > 1)
        if (
            isinstance(outcome, Refused)
            and is_final(outcome)
            and (one_may_be_under_way or may_be_lifted(outcome))
        ):
            outcome = await steps.make_sure(sequence_key, outcome)
        if is_final(outcome):
            return outcome
        one_may_be_under_way = one_may_be_under_way or isinstance(outcome, Unknown)
        await steps.pause(attempt, outcome)
        attempt += 1
        await steps.begin(attempt)


def is_final(outcome: Outcome) -> bool:
    """Whether sending again can change nothing: an answer came, or a refusal of the request itself."""
    match outcome:
        case Acknowledged():
            return True
        case Refused(answer=answer):
            return answer is not None
        case Unknown():
            return False


SEMANTICS: Mapping[Delivery, Callable[[Pending, Steps], Awaitable[Outcome]]] = {
    Delivery.AT_MOST_ONCE: at_most_once,
    Delivery.AT_LEAST_ONCE: at_least_once,
    Delivery.EXACTLY_ONCE: exactly_once,
}
