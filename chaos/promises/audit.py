"""Reconciliation: compares orders with withdrawals with balances, of any stack that stack.json describes.

Guarantee: one snapshot of the whole database is judged, so a charge in flight is never taken for a lost one; each row of
the report is a fact of Postgres, not of a log. An order is compared with the withdrawals of the order service alone: whatever
another client charges, and whichever order it names, is no withdrawal of that order. Balances are followed from charge to
charge, of all clients.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import asyncpg

from chaos.promises.verdict import Verdict

# An order that is pending for longer than this is stuck: several times what any single outage of a test lasts.
STUCK_AFTER_S = 60.0
CLIENT = "order_service"
_CONNECT_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Finding:
    """One inconsistency: its kind, and the order, key or account that it concerns."""

    kind: str
    subject: str
    detail: str


@dataclass(frozen=True)
class Audit:
    """The result. `withdrawals` are the order service's. `harm` are duplicates of at_least_once, which exists to show them; they are no findings."""

    orders: int
    withdrawals: int
    pending: int
    harm: int
    findings: Sequence[Finding]

    @property
    def verdict(self) -> Verdict:
        """Fail when there is any finding."""
        return Verdict.FAIL if self.findings else Verdict.PASS

    def as_json(self) -> dict[str, Any]:
        """As JSON-compatible values."""
        return {"verdict": self.verdict, **asdict(self)}


async def audit(owner_url: str, stuck_after_s: float = STUCK_AFTER_S) -> Audit:
    """Audits one database; the URL is that of a role that may read all three schemas."""
    connection = await asyncpg.connect(owner_url, timeout=_CONNECT_TIMEOUT_S)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            findings = [
                *await _found(connection, "double", _DOUBLE, CLIENT),
                *await _found(connection, "lost", _LOST, CLIENT),
                *await _found(connection, "stuck", _STUCK, stuck_after_s),
                *await _found(connection, "unexplained", _UNEXPLAINED, CLIENT),
                *await _found(connection, "wrong amount", _WRONG_AMOUNT, CLIENT),
                *await _found(connection, "wrong key", _WRONG_KEY, CLIENT),
                *await _found(connection, "wrong answer", _WRONG_ANSWER, CLIENT),
                *await _found(connection, "key twice", _KEY_TWICE),
                *await _found(connection, "balance", _BALANCE),
                *await _found(connection, "chain", _CHAIN),
                *await _found(connection, "key gap", _KEY_GAP),
                *await _found(connection, "notified twice", _NOTIFIED_TWICE, CLIENT),
            ]
            row = await connection.fetchrow(_COUNTS, CLIENT)
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
    WHERE l.client = $1 AND o.delivery <> 'at_least_once'
    GROUP BY o.order_id
    HAVING count(*) > 1
"""
# A charge by another client that names the order's id does not belong to the order.
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
    WHERE l.client = $1 AND (o.amount_cents, o.customer) <> (l.amount_cents, l.account)
"""
# An order's only key is known, but for at_least_once, whose keys of a crashed attempt are nowhere else.
_WRONG_KEY = """
    SELECT o.order_id::text AS subject,
           format('withdrawn under key %s, its own is %s', l.sequence_key, o.sequence_key) AS detail
    FROM orders.orders o JOIN billing.ledger l USING (order_id)
    WHERE l.client = $1 AND o.delivery <> 'at_least_once' AND l.sequence_key <> o.sequence_key
"""
# Billed with the answer to another charge, or with an answer that is none: there is a withdrawal, and another one is named.
_WRONG_ANSWER = """
    SELECT o.order_id::text AS subject,
           format('billed with the answer of charge %s', coalesce(o.answer ->> 'charge_id', 'unknown')) AS detail
    FROM orders.orders o
    WHERE o.status = 'billed'
      AND EXISTS (SELECT FROM billing.ledger l WHERE l.order_id = o.order_id AND l.client = $1)
      AND NOT EXISTS (SELECT
                      FROM billing.ledger l
                      WHERE l.order_id = o.order_id AND l.client = $1 AND l.charge_id::text = o.answer ->> 'charge_id')
"""
# Of every client: a key is executed once, also for one that has no orders to be compared with.
_KEY_TWICE = """
    SELECT l.sequence_key::text AS subject, format('%s withdrawals of %s under one key', count(*), l.client) AS detail
    FROM billing.ledger l
    GROUP BY l.client, l.sequence_key
    HAVING count(*) > 1
"""
_BALANCE = """
    SELECT a.account AS subject,
           format('%s cents are gone, the ledger explains %s', a.opening_balance_cents - a.balance_cents,
                  coalesce(sum(l.amount_cents), 0)) AS detail
    FROM billing.accounts a LEFT JOIN billing.ledger l USING (account)
    GROUP BY a.account
    HAVING a.opening_balance_cents - a.balance_cents <> coalesce(sum(l.amount_cents), 0)
"""
# Each charge takes its amount from what the one before it left. Amounts are positive, so balances only fall: the charges of an
# account in the order of falling balances are the only chain that there can be. Its first break is named; where two left the
# same balance, one of them was not seen by the other. The end of the chain is the balance of the account.
_CHAIN = """
    WITH links AS (
      SELECT account, charge_id::text AS charge, amount_cents, balance_cents FROM billing.ledger
      UNION ALL
      SELECT account, NULL, 0, balance_cents FROM billing.accounts
    ), followed AS (
      SELECT links.*,
             lag(links.balance_cents, 1, accounts.opening_balance_cents) OVER in_order AS before_cents,
             row_number() OVER in_order AS place
      FROM links JOIN billing.accounts USING (account)
      WINDOW in_order AS (PARTITION BY links.account ORDER BY links.balance_cents DESC, links.charge NULLS LAST)
    )
    SELECT DISTINCT ON (account)
           account AS subject,
           CASE
             WHEN charge IS NULL
             THEN format('the last charge leaves %s cents, and the balance is %s', before_cents, balance_cents)
             ELSE format('charge %s takes %s cents from %s and leaves %s', charge, amount_cents, before_cents, balance_cents)
           END AS detail
    FROM followed
    WHERE before_cents - amount_cents <> balance_cents
    ORDER BY account, place
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
    WHERE n.client = $1
    GROUP BY n.order_id
    HAVING count(*) > 1
"""
_COUNTS = """
    SELECT (SELECT count(*) FROM orders.orders) AS orders,
           (SELECT count(*) FROM orders.orders WHERE status = 'pending') AS pending,
           (SELECT count(*) FROM billing.ledger WHERE client = $1) AS withdrawals,
           (SELECT coalesce(sum(n - 1), 0)::bigint
            FROM (SELECT count(*) AS n FROM orders.orders o JOIN billing.ledger l USING (order_id)
                  WHERE l.client = $1 AND o.delivery = 'at_least_once' GROUP BY o.order_id) AS per_order) AS harm
"""
