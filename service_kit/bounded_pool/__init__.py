"""An asyncpg pool in which every wait has a bound and every database failure has one name.

`service_kit.group_commit` puts waiting writes into one transaction.

Guarantee: no call waits longer than its deadline, not even when the network drops all packets; every exception of this
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
