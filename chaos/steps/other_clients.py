"""Another client of billing, whose sequence keys are independent of the order service's.

Guarantee: its charges use an account of their own; the order is not touched.
"""

import uuid
from dataclasses import dataclass
from typing import ClassVar

import httpx

from chaos.evidence.readings import Check
from chaos.harness.context import ONLY, Context
from chaos.harness.harness import AMOUNT_CENTS
from chaos.steps.observations import is_collected
from chaos.steps.step import PROCESSES, Needs
from report.numbers import was

_CLIENT = "curl"
# Keys up to here are those that this step takes from orders; other charges of the same client use higher ones.
NUMBERS_OF_ORDERS = 1_000_000


@dataclass(frozen=True)
class ChargeUnderSameKey:
    """Another client charges under the number of the order's key, and retries once that key is forgotten."""

    needs: ClassVar[Needs] = PROCESSES
    held: str
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        harness = context.harness
        placed = context.orders[self.label]
        order = await context.read(placed)
        if order is None:
            context.witness("there is an order whose key has a number", seen=False)
            return
        number = order.sequence_key
        account = await harness.open_account("other-client")
        body = {"order_id": str(uuid.uuid4()), "account": account, "amount_cents": AMOUNT_CENTS}
        first = await harness.charge(body, f'"{number}"', _CLIENT)
        harness.journal.note(
            "other client",
            placed.account,
            text=f"another client charges under key {number}: {_told(first)}",
        )
        # Only now: a key that arrives below the mark is kept until the mark moves again.
        context.rules[self.held].release()
        await context.settled(placed)
        gone = await context.until(
            lambda: is_collected(context, number), "the order's key is collected"
        )
        context.witness(
            "the order's own key had been deleted before the other client's retry", seen=gone
        )
        again = await harness.charge(body, f'"{number}"', _CLIENT, retry="?1")
        harness.journal.note(
            "other client", placed.account, text=f"it comes again with key {number}: {_told(again)}"
        )
        effects, commits = await harness.money(account, _CLIENT)
        told = f"{first.status_code} and then {_told(again)}"
        context.checks.append(
            Check(
                "X1",
                "a client's key is its own, and remembered, whatever becomes of the same number of another client",
                (first.status_code, again.content, effects, commits) == (201, first.content, 1, 1),
                f"another client's charge under number {number} {was('executed', commits)}, and answered {told}",
            )
        )


def _told(response: httpx.Response) -> str:
    return (
        f"{response.status_code}{' replayed' if 'Idempotency-Replayed' in response.headers else ''}"
    )
