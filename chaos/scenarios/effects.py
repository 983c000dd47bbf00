"""What a cell of the headline table must be.

Guarantee: it is computed from the two middle columns, what was executed and what was answered, and from nothing else.
"""

from order_service.wire import Delivery


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
