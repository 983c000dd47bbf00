"""Group commit: writes that arrive while another one runs wait together, and share the next transaction.

Guarantee: a write starts at once when none is running; a caller gets the result of its own item, and only after the commit;
every wait has a bound.
"""

from service_kit.group_commit.group import Alone, Bounds, Group, Later, usual_bounds
from service_kit.group_commit.queue import Queue, QueueFull, Waiting

__all__ = [
    "Alone",
    "Bounds",
    "Group",
    "Later",
    "Queue",
    "QueueFull",
    "Waiting",
    "usual_bounds",
]
