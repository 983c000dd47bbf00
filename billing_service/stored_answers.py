"""What a stored answer says of the charge that it is for.

Guarantee: an answer names its order. Those that were stored by a release before migration 0007 named none: they get the name
when they are given again, and nothing else of them changes. Only an old decline that is asked for without its payload has
no name, because the ledger holds charges alone.
"""

import json
from typing import Any
from uuid import UUID

from billing_service import ledger
from billing_service.keys import CHARGED, Answer
from service_kit.bounded_pool import BoundedPool

# With its colon, because an account may be called order_id, too.
_NAME = '"order_id":'


def naming(order_id: UUID, body: str) -> str:
    """The body of an answer to this order's charge, in the form that it has today."""
    if _NAME in body:
        return body
    members: dict[str, Any] = {}
    old = json.loads(body)
    for name, value in old.items():
        if name == "account":
            members["order_id"] = str(order_id)
        members[name] = value
    # A charge is written compactly, a problem is not.
    separators = (",", ":") if "charge_id" in old else None
    return json.dumps(members, separators=separators)


async def whole(pool: BoundedPool, answer: Answer) -> str:
    """The body of a stored answer whose charge nobody repeats here. Raises `DatabaseTrouble`."""
    if _NAME in answer.body or answer.status != CHARGED:
        return answer.body
    order_id = await ledger.order_of(pool, UUID(json.loads(answer.body)["charge_id"]))
    return answer.body if order_id is None else naming(order_id, answer.body)


def charge_named_by(body: str) -> dict[str, Any]:
    """Order, account and amount in cents; the order is None where an old decline names none."""
    members = json.loads(body)
    return {
        "order_id": members.get("order_id"),
        "account": members["account"],
        "amount_cents": members["amount_cents"],
    }
