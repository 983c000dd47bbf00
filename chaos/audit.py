"""Reconciliation: compares orders with withdrawals with balances, of any stack that stack.json describes.

Guarantee: one snapshot of the whole database is judged, so a charge in flight is never taken for a lost one; each row of
the report is a fact of Postgres, not of a log.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import asyncpg

from chaos.verdict import Verdict

# An order that is pending for longer than this is stuck: several times what any single outage of a test lasts.
STUCK_AFTER_S = 60.0
CLIENT = "order_service"
_CONNECT_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Finding:
    """One thing that should not be: its kind, and which order, key or account it is."""

    kind: str
    subject: str
    detail: str


@dataclass(frozen=True)
class Audit:
    """The result. `harm` are duplicates of at_least_once, which exists to show them; they are no findings."""

    orders: int
    withdrawals: int
    pending: int
    harm: int
    findings: Sequence[Finding]

    @property
    def verdict(self) -> Verdict:
        """Fail when anything was found."""
        return Verdict.FAIL if self.findings else Verdict.PASS

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {"verdict": self.verdict, **asdict(self)}


async def audit(owner_url: str, stuck_after_s: float = STUCK_AFTER_S) -> Audit:
    """Audits one database; the URL is that of a role that may read all three schemas."""
    connection = await asyncpg.connect(owner_url, timeout=_CONNECT_TIMEOUT_S)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            findings = [
                *await _found(connection, "double", _DOUBLE),
                *await _found(connection, "lost", _LOST, CLIENT),
                *await _found(connection, "stuck", _STUCK, stuck_after_s),
                *await _found(connection, "unexplained", _UNEXPLAINED, CLIENT),
                *await _found(connection, "wrong amount", _WRONG_AMOUNT),
                *await _found(connection, "balance", _BALANCE),
                *await _found(connection, "key gap", _KEY_GAP),
                *await _found(connection, "notified twice", _NOTIFIED_TWICE),
            ]
            row = await connection.fetchrow(_COUNTS)
    finally:
        await connection.close()
    if row is None:
        raise RuntimeError("an aggregate without a row")
    return Audit(row["orders"], row["withdrawals"], row["pending"], row["harm"], findings)


async def _found(
    connection: "asyncpg.Connection[asyncpg.Record]", kind: str, sql: str, *parameters: Any
) -> list[Finding]:
    rows = await connection.fetch(sql, *parameters)
    return [Finding(kind, row["subject"], row["detail"]) for row in rows]


_DOUBLE = """
    SELECT o.order_id::text AS subject, format('%s withdrawals, delivery %s', count(*), o.delivery) AS detail
    FROM orders.orders o JOIN billing.ledger l USING (order_id)
    WHERE o.delivery <> 'at_least_once'
    GROUP BY o.order_id
    HAVING count(*) > 1
"""
# A charge of another client that happens to name the order's id is none of the order's.
_LOST = """
    SELECT o.order_id::text AS subject, format('billed under key %s, never withdrawn', o.sequence_key) AS detail
    FROM orders.orders o
    WHERE o.status = 'billed'
      AND NOT EXISTS (SELECT FROM billing.ledger l WHERE l.order_id = o.order_id AND l.client = $1)
"""
_STUCK = """
    SELECT o.order_id::text AS subject,
           format('pending for %s s, %s attempts', round(extract(epoch FROM now() - o.created_at)), o.attempts) AS detail
    FROM orders.orders o
    WHERE o.status = 'pending' AND o.created_at < now() - make_interval(secs => $1)
"""
# Money that left an account without an order that says so: no such order, or one that ended without a charge.
_UNEXPLAINED = """
    SELECT l.charge_id::text AS subject,
           format('%s cents of %s for order %s, which is %s', l.amount_cents, l.account, l.order_id,
                  coalesce(o.status, 'not there')) AS detail
    FROM billing.ledger l LEFT JOIN orders.orders o USING (order_id)
    WHERE l.client = $1
      AND (o.order_id IS NULL OR o.status IN ('declined', 'cancelled')
           OR (o.status = 'failed' AND o.delivery <> 'at_least_once'))
"""
_WRONG_AMOUNT = """
    SELECT o.order_id::text AS subject,
           format('ordered %s cents of %s, withdrawn %s of %s', o.amount_cents, o.customer, l.amount_cents, l.account) AS detail
    FROM orders.orders o JOIN billing.ledger l USING (order_id)
    WHERE (o.amount_cents, o.customer) <> (l.amount_cents, l.account)
"""
_BALANCE = """
    SELECT a.account AS subject,
           format('%s cents are gone, the ledger explains %s', a.opening_balance_cents - a.balance_cents,
                  coalesce(sum(l.amount_cents), 0)) AS detail
    FROM billing.accounts a LEFT JOIN billing.ledger l USING (account)
    GROUP BY a.account
    HAVING a.opening_balance_cents - a.balance_cents <> coalesce(sum(l.amount_cents), 0)
"""
# at_least_once leaves the keys of its earlier attempts in the attempts; a key of one that crashed is nowhere else.
_KEY_GAP = """
    SELECT k::text AS subject, 'handed out, but no order has it' AS detail
    FROM orders.sequence_counter c, generate_series(1, c.last_key) AS k
    WHERE NOT EXISTS (SELECT FROM orders.orders o WHERE o.sequence_key = k)
      AND NOT EXISTS (SELECT FROM orders.attempts a WHERE a.sequence_key = k)
"""
_NOTIFIED_TWICE = """
    SELECT n.order_id::text AS subject, format('%s notifications', count(*)) AS detail
    FROM notifications.arrivals n
    WHERE n.client = 'order_service'
    GROUP BY n.order_id
    HAVING count(*) > 1
"""
_COUNTS = """
    SELECT (SELECT count(*) FROM orders.orders) AS orders,
           (SELECT count(*) FROM orders.orders WHERE status = 'pending') AS pending,
           (SELECT count(*) FROM billing.ledger) AS withdrawals,
           (SELECT coalesce(sum(n - 1), 0)::bigint
            FROM (SELECT count(*) AS n FROM orders.orders o JOIN billing.ledger l USING (order_id)
                  WHERE o.delivery = 'at_least_once' GROUP BY o.order_id) AS per_order) AS harm
"""
