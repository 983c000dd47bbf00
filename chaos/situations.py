"""The five things that can happen to a first attempt: the rows of the headline table.

Guarantee: the cells are computed from the two middle columns, what was executed and what was answered, and from
nothing else.
"""

from dataclasses import dataclass

from order_service.wire import Delivery


@dataclass(frozen=True)
class Situation:
    """A row of the headline table: what happened to the first attempt."""

    name: str
    title: str
    executed: bool
    answered: bool


SITUATIONS = (
    Situation("success", "success", executed=True, answered=True),
    Situation("response_lost", "response lost", executed=True, answered=False),
    Situation(
        "crash_after_execution",
        "crash after executing, before responding",
        executed=True,
        answered=False,
    ),
    Situation("crash_before_execution", "crash before executing", executed=False, answered=False),
    Situation("request_lost", "request never received", executed=False, answered=False),
)


def effects_computed(*, executed: bool, answered: bool, delivery: Delivery) -> int:
    """The cell of the headline table, from what happened to the first attempt.

    At most once: nothing is sent again, so the effect is that of the first attempt. At least once with a fresh key:
    what is sent again is executed again. Exactly once: executed once, by the first attempt or by a later one.
    """
    match delivery:
        case Delivery.AT_MOST_ONCE:
            return int(executed)
        case Delivery.AT_LEAST_ONCE:
            return int(executed) + int(not answered)
        case Delivery.EXACTLY_ONCE:
            return 1
