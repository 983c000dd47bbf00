"""What was observed of one scenario: the only input of the verdict.

Guarantee: money is read from balances, past all proxies, in one snapshot with the keys that were processed; attempts
and arrivals come from the journal of the wrapped services, and from the orders themselves where there is no journal.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from chaos.evidence.journal import Event
from order_service.wire import Delivery, Order, Status

_CONNECT_TIMEOUT_S = 10.0
CLIENT = "order_service"
# The clients of the harness. Only what one of the others says it has withdrawn is no effect of an order: a withdrawal under
# any other name is one that nothing explains, and counts.
CLIENTS = (CLIENT, "curl")


@dataclass(frozen=True)
class Snapshot:
    """One reading of Postgres. `effects` is money moved divided by the order's amount; `keys` are processed ones."""

    at_ns: int
    effects: float
    commits: int
    keys: int


@dataclass(frozen=True)
class Witness:
    """Independent evidence that something happened, or its absence."""

    claim: str
    seen: bool


@dataclass(frozen=True)
class Observed:
    """One order of a scenario: what was ordered, how it ended, and all evidence of it.

    `acknowledged_ns` is when the customer was told that it is billed, if ever; `deadline_s` that of an attempt, if known. `journaled` is false where no service
    was wrapped: then `events` holds nothing of theirs. `ending` is how an accepted order has to end.
    """

    label: str
    account: str
    delivery: Delivery
    amount_cents: int
    accepted: bool
    order: Order | None
    acknowledged_ns: int | None
    events: Sequence[Event]
    snapshots: Sequence[Snapshot]
    withdrawn_cents: Sequence[int]
    notifications: int
    journaled: bool
    deadline_s: float | None = None
    ending: Status = Status.BILLED

    @property
    def last(self) -> Snapshot:
        """What was read when nothing was in flight any more."""
        return self.snapshots[-1]

    def sent(self, seam: str = "attempt") -> list[Event]:
        """Attempts of charges (or, with "notify", of notifications) that left the caller."""
        return [event for event in self.events if event.seam == seam]

    def arrivals(self, service: str) -> list[Event]:
        """Complete requests that reached a service, copies sent by the harness included."""
        return [
            event
            for event in self.events
            if (event.service, event.seam) == (service, "arrival") and event.fields.get("complete")
        ]


@dataclass(frozen=True)
class Evidence:
    """Everything of one scenario. `probes` are answers to requests that the harness itself sent, `checks` what steps have checked."""

    orders: Sequence[Observed]
    witnesses: Sequence[Witness]
    probes: Sequence["Probe"] = field(default=())
    checks: Sequence["Check"] = field(default=())


@dataclass(frozen=True)
class Probe:
    """A request of the harness's own, sent to test a promise; `moved` when money moved with it."""

    promise: str
    claim: str
    status: int
    expected: int
    moved: bool


@dataclass(frozen=True)
class Check:
    """A promise that a step has checked itself, because it speaks of a moment or of more than one order."""

    promise: str
    claim: str
    kept: bool
    detail: str = ""
    liveness: bool = False


async def connect(owner_url: str) -> "asyncpg.Connection[asyncpg.Record]":
    """A connection of the owner's, past all proxies unless the address is that of one. Raises `OSError`, `TimeoutError` or `asyncpg.PostgresError`."""
    return await asyncpg.connect(owner_url, timeout=_CONNECT_TIMEOUT_S)


async def read_snapshot(
    connection: "asyncpg.Connection[asyncpg.Record]",
    account: str,
    amount_cents: int,
    at_ns: int,
    client: str = CLIENT,
) -> Snapshot:
    """Money, withdrawals and processed keys of one account, in one statement and so of one moment.

    What another client withdrew, as the ledger says, is no effect of this one's. A key that was forgotten counts as processed when its order is billed: only then may it be forgotten.
    """
    row = await connection.fetchrow(
        """
        WITH used AS (
          SELECT sequence_key, status FROM orders.orders WHERE customer = $1
          UNION
          SELECT attempts.sequence_key, orders.status
          FROM orders.attempts JOIN orders.orders USING (order_id)
          WHERE customer = $1
        )
        SELECT opening_balance_cents - balance_cents
                 - (SELECT coalesce(sum(amount_cents), 0)::bigint
                    FROM billing.ledger
                    WHERE ledger.account = accounts.account AND ledger.client = ANY ($3)) AS moved_cents,
               (SELECT count(*)
                FROM billing.ledger
                WHERE ledger.account = accounts.account AND NOT ledger.client = ANY ($3)) AS commits,
               (SELECT count(*)
                FROM used LEFT JOIN billing.processed_keys
                  ON processed_keys.client = $2 AND processed_keys.sequence_key = used.sequence_key
                WHERE processed_keys.status = 201
                   OR (used.status = 'billed' AND processed_keys.sequence_key IS NULL
                       AND used.sequence_key < (SELECT first_incomplete FROM billing.clients WHERE client = $2))
               ) AS keys
        FROM billing.accounts
        WHERE account = $1
        """,
        account,
        client,
        _others(client),
    )
    if row is None:
        # It had been opened: whatever it paid is gone with it.
        return Snapshot(at_ns, 0.0, 0, 0)
    return Snapshot(at_ns, row["moved_cents"] / amount_cents, row["commits"], row["keys"])


def _others(client: str) -> list[str]:
    return [each for each in CLIENTS if each != client]


async def read_withdrawals(
    connection: "asyncpg.Connection[asyncpg.Record]", account: str
) -> list[int]:
    """The amounts that the order service withdrew from an account, in cents."""
    rows = await connection.fetch(
        "SELECT amount_cents FROM billing.ledger WHERE account = $1 AND NOT client = ANY ($2) ORDER BY charge_id",
        account,
        _others(CLIENT),
    )
    return [row["amount_cents"] for row in rows]


async def read_notifications(connection: "asyncpg.Connection[asyncpg.Record]", account: str) -> int:
    """How often the customer was told."""
    shown: int = await connection.fetchval(
        "SELECT count(*) FROM notifications.arrivals WHERE customer = $1 AND client = $2",
        account,
        CLIENT,
    )
    return shown


async def read_order_id(
    connection: "asyncpg.Connection[asyncpg.Record]", account: str
) -> Any | None:
    """The only order of an account; None when none was recorded."""
    return await connection.fetchval(
        "SELECT order_id FROM orders.orders WHERE customer = $1", account
    )
