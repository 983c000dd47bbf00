"""Completes stored answers that do not name their order.

Guarantee: a replayed answer names its order. Releases before migration 0007 stored answers without it; a replay adds the
order and changes nothing else. One exception: an old decline that is read without its payload names no order, because
the ledger holds no declines.
"""

import json
from typing import Any
from uuid import UUID

from billing_service.outcomes import CHARGED, Answer
from service_kit.bounded_pool import BoundedPool, Connection

# The colon tells the field from an account that is called order_id.
_NAME = '"order_id":'


def naming(order_id: UUID, body: str) -> str:
    """The body of an answer to this order's charge, in the current form."""
    if _NAME in body:
        return body
    members: dict[str, Any] = {}
    old = json.loads(body)
    for name, value in old.items():
        if name == "account":
            members["order_id"] = str(order_id)
        members[name] = value
    # A charge was stored as compact JSON, a problem with spaces.
    separators = (",", ":") if "charge_id" in old else None
    return json.dumps(members, separators=separators)


async def whole(pool: BoundedPool, answer: Answer) -> str:
    """The body of a stored answer that is read without its payload. Raises `DatabaseTrouble`."""
    if _NAME in answer.body or answer.status != CHARGED:
        return answer.body
    charge_id = UUID(json.loads(answer.body)["charge_id"])
    async with pool.connection() as connection:
        order_id = await read_order_of(connection, charge_id)
    return answer.body if order_id is None else naming(order_id, answer.body)


def charge_named_by(body: str) -> dict[str, Any]:
    """Order, account and amount in cents; the order is None when an old decline names none."""
    members = json.loads(body)
    return {
        "order_id": members.get("order_id"),
        "account": members["account"],
        "amount_cents": members["amount_cents"],
    }


async def read_order_of(connection: Connection, charge_id: UUID) -> UUID | None:
    """The order that the ledger names for a charge; None when there is no such charge."""
    order_id: UUID | None = await connection.fetchval(
        "SELECT order_id FROM billing.ledger WHERE charge_id = $1", charge_id
    )
    return order_id
