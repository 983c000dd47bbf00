"""The messages of order_service on the wire.

Guarantee: an order never shows a balance; a body with an unknown member is refused.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

# An opaque RFC 9651 String of the customer, because a customer may retry too.
KEY_HEADER = "Idempotency-Key"
# RFC 9651 Boolean; ?1 on the answer of an order that the key had named before.
REPLAYED_HEADER = "Idempotency-Replayed"
CUSTOMER_KEY_LENGTH_MAX = 255
# Ten billion in a currency with cents: above any order, and a million of them still fit into a bigint.
AMOUNT_CENTS_MAX = 1_000_000_000_000

Customer = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", examples=["alice"], strict=True)
]
# As long as a long title. The service refuses whatever its reader would not see; of that, the pattern names the controls.
Item = Annotated[
    str,
    Field(
        strict=True,
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f-\x9f]*$",
        examples=["book"],
    ),
]
AmountCents = Annotated[int, Field(strict=True, ge=1, le=AMOUNT_CENTS_MAX, examples=[1999])]


class Delivery(StrEnum):
    """How an order's charge is delivered to billing."""

    AT_MOST_ONCE = "at_most_once"
    AT_LEAST_ONCE = "at_least_once"
    EXACTLY_ONCE = "exactly_once"


class Status(StrEnum):
    """The state of an order; all but `pending` are final."""

    PENDING = "pending"
    BILLED = "billed"
    DECLINED = "declined"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class Fate(StrEnum):
    """What became of a notification: `attempted` until its one attempt is over, or for ever when the process died."""

    ATTEMPTED = "attempted"
    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NewOrder(_Body):
    """Body of `POST /orders`."""

    customer: Customer
    amount_cents: AmountCents
    item: Item
    delivery: Delivery = Delivery.EXACTLY_ONCE


class Attempt(_Body):
    """One attempt that is over: `acknowledged`, `refused` (definitely not executed) or `unknown` (it may have been)."""

    attempt: int
    sequence_key: int
    retry: bool
    outcome: str
    caller_saw: str
    seconds: float


# The members of billing's answer that an order shows: the charge without the balance that it left, and a problem as RFC 9457
# names its members. A member that billing adds later is not shown until it is listed here.
_SHOWN = ("charge_id", "order_id", "account", "amount_cents", "type", "title", "status", "detail")
_DECLINED = "insufficient-funds"


def without_balance(answer: dict[str, Any] | None) -> dict[str, Any] | None:
    """An answer of billing as an order shows it: permission to read an order is not permission to read the balance."""
    if answer is None:
        return None
    shown = {name: answer[name] for name in _SHOWN if name in answer}
    if str(answer.get("type")).rpartition("/")[2] == _DECLINED:
        # Billing's own sentence names the balance.
        shown["detail"] = "The account has less than the order costs."
    return shown


class Order(_Body):
    """An order as `POST /orders` and `GET /orders/{order_id}` show it.

    `answer` is billing's final answer, without any balance: the charge, or the problem that declined or failed it.
    """

    order_id: UUID
    customer: str
    item: str
    amount_cents: int
    delivery: Delivery
    status: Status
    sequence_key: int
    attempts: list[Attempt]
    answer: Annotated[dict[str, Any] | None, AfterValidator(without_balance)]
    notification: Fate | None
    created_at: datetime
    settled_at: datetime | None


class Orders(_Body):
    """Body of `GET /orders`: the newest first; `next` is the cursor of the next page, null on the last one."""

    orders: list[Order]
    next: UUID | None
