"""The three columns: the same order under three semantics, each over a proxy and a billing process of its own.

Guarantee: a fault that strikes one column cannot strike another one, because they share no connection.
"""

from dataclasses import dataclass

from order_service.wire import Delivery


@dataclass(frozen=True)
class Column:
    """`letter` names the column in a plan; `number` is that of its billing process."""

    letter: str
    number: int
    delivery: Delivery
    title: str

    @property
    def name(self) -> str:
        """As in the API of the services."""
        return str(self.delivery)

    @property
    def proxy(self) -> str:
        """The Toxiproxy proxy between the order service and this column's billing process."""
        return f"lab-{self.name.replace('_', '-')}"


COLUMNS = (
    Column("m", 0, Delivery.AT_MOST_ONCE, "at most once"),
    Column("l", 1, Delivery.AT_LEAST_ONCE, "at least once, a fresh key each time"),
    Column("k", 2, Delivery.EXACTLY_ONCE, "at least once + sequence key"),
)
BY_NAME = {column.name: column for column in COLUMNS}
BY_LETTER = {column.letter: column for column in COLUMNS}
# The column that keeps the promise, and that the challenge is about.
SAFE = COLUMNS[2]
