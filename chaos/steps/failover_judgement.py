"""The step that judges a failover: what was told is looked up on the new primary, and everything is sent again.

Guarantee: what was told is looked up before anything is sent again, which would bring back what was lost.
"""

import asyncio
from dataclasses import dataclass
from typing import ClassVar

import asyncpg
import httpx

from chaos.evidence.readings import Check
from chaos.harness.context import Context
from chaos.harness.failover import CENTS, CLIENT, Failover
from chaos.harness.harness import OPENING_CENTS
from chaos.steps.step import STANDBY, Needs

PROMISE = "F1"
CLAIM = "whatever was told as final is there on the new primary"


@dataclass(frozen=True)
class JudgeFailover:
    """Everything is sent again; then nothing that was told as final may be missing, and nothing may be there twice."""

    needs: ClassVar[Needs] = STANDBY

    async def perform(self, context: Context) -> None:
        failover = context.failover
        connection = await failover.connect()
        try:
            # First of all: what is sent again would bring back what was lost.
            await _judge_told(context, connection)
            executed = await _executed(context)
            await asyncio.gather(
                *(failover.charge(each, failover.billing[0], "?1") for each in failover.charges),
                failover.charge(failover.voided, failover.billing[0]),
                failover.charge(failover.forgotten, failover.billing[0]),
            )
            await _judge_told(context, connection)
            settled = await context.until(
                lambda: _settled(connection, failover.customer), "the orders are settled"
            )
            doubled = await _doubled(connection, failover) if executed else ""
        finally:
            await connection.close()
        claim = "after a failover a key is charged once, and its money has moved once"
        context.checks.append(Check("X1", claim, not doubled, doubled))
        claim = (
            "after a failover everything that is sent again is executed, and every order settled"
        )
        late = "a charge has no final answer, or an order is still pending"
        context.checks.append(Check("L1", claim, executed and settled, late, liveness=True))


async def _judge_told(context: Context, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    lost = await context.failover.told.lost(connection)
    shown = "; ".join(map(str, lost))
    context.checks.append(Check(PROMISE, CLAIM, not lost, f"lost: {shown}"))


async def _executed(context: Context) -> bool:
    """Sends everything again, and what has no final answer once more; says whether all of it has one in the end."""
    failover = context.failover
    charges, keys = list(failover.charges), list(failover.customer_keys)

    async def none_is_left() -> bool:
        charged = await asyncio.gather(
            *(
                failover.charge(each, failover.billing[place % len(failover.billing)], "?1")
                for place, each in enumerate(charges)
            )
        )
        placed = await asyncio.gather(
            *(
                failover.place(key, failover.orders[place % len(failover.orders)])
                for place, key in enumerate(keys)
            )
        )
        charges[:] = [each for each, answer in zip(charges, charged, strict=True) if _open(answer)]
        keys[:] = [key for key, answer in zip(keys, placed, strict=True) if _open(answer)]
        return not charges and not keys

    return await context.until(none_is_left, "every charge and every order is executed")


def _open(answer: httpx.Response | None) -> bool:
    return answer is None or answer.status_code != httpx.codes.CREATED


async def _settled(connection: "asyncpg.Connection[asyncpg.Record]", customer: str) -> bool:
    pending: int = await connection.fetchval(
        "SELECT count(*) FROM orders.orders WHERE customer = $1 AND status = 'pending'", customer
    )
    return pending == 0


async def _doubled(connection: "asyncpg.Connection[asyncpg.Record]", failover: Failover) -> str:
    """What moved otherwise than once, as a clause; empty when all is well."""
    accounts = sorted({each.account for each in failover.charges})
    rows = await connection.fetch(
        """
        SELECT account, $2 - balance_cents AS moved_cents,
               (SELECT coalesce(sum(amount_cents), 0)::bigint FROM billing.ledger WHERE ledger.account = accounts.account) AS ledger_cents,
               (SELECT count(*) - count(DISTINCT (client, sequence_key)) FROM billing.ledger WHERE ledger.account = accounts.account) AS twice
        FROM billing.accounts WHERE account = ANY ($1)
        """,
        accounts,
        OPENING_CENTS,
    )
    wrong = [
        f"{row['account']} moved {row['moved_cents']} cents, its ledger says {row['ledger_cents']}, {row['twice']} keys twice"
        for row in rows
        if row["moved_cents"] != row["ledger_cents"] or row["twice"]
    ]
    charged = await connection.fetchval(
        "SELECT count(*) FROM billing.ledger WHERE client = $1 AND account = ANY ($2) AND amount_cents = $3",
        CLIENT,
        accounts,
        CENTS,
    )
    # The voided and the forgotten key may have been charged instead, when their refusal was never told.
    least = len(failover.charges)
    if not least <= charged <= least + 2:
        wrong.append(f"{least} keys were charged, in {charged} withdrawals")
    return "; ".join(wrong)
