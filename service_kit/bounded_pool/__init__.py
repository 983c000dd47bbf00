"""An asyncpg pool in which every wait has a bound and every trouble of the database has one name.

`service_kit.group_commit` writes together what waits to be written.

Guarantee: no call waits longer than its deadline, not even on a network that is silent; and an exception of this
package answers the question "could it have been committed?".
"""

from service_kit.bounded_pool.errors import (
    DatabaseTrouble,
    LockWaitTooLong,
    ReadsFull,
    SessionRefused,
    translated,
)
from service_kit.bounded_pool.pool import BoundedPool, Connection, Connections

__all__ = [
    "BoundedPool",
    "Connection",
    "Connections",
    "DatabaseTrouble",
    "LockWaitTooLong",
    "ReadsFull",
    "SessionRefused",
    "translated",
]
