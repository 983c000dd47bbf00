"""An order as its process works on it: what the statements take and give back.

Guarantee: the values of an order never change; two orders under one customer key are the same exactly when their fingerprints are.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from order_service.wire import (
    Attempt,
    Delivery,
    Fate,
    NewOrder,
    Order,
    Status,
    without_balance,
)


class LeaseLost(Exception):
    """Another process works on the order now, or it is settled: this one must send nothing more."""


class WindowFull(Exception):
    """As many orders are unsettled as may be. Nothing was recorded and no sequence key was spent."""


class CustomerKeyTaken(Exception):
    """The customer's key already names an order. Nothing was recorded and no sequence key was spent."""


@dataclass(frozen=True)
class PendingOrder:
    """An order that this process holds the lease of."""

    order_id: UUID
    customer: str
    item: str
    amount_cents: int
    delivery: Delivery
    sequence_key: int
    attempts: int
    created_at: datetime
    taken_over: bool = False


@dataclass(frozen=True)
class Recording:
    """An order that is to be recorded, for the client that places it; empty when clients are not known."""

    order_id: UUID
    order: NewOrder
    customer_key: str | None
    client: str = ""

    def pending(self, sequence_key: int, created_at: datetime) -> PendingOrder:
        """The order, now that it is recorded."""
        return PendingOrder(
            order_id=self.order_id,
            customer=self.order.customer,
            item=self.order.item,
            amount_cents=self.order.amount_cents,
            delivery=self.order.delivery,
            sequence_key=sequence_key,
            attempts=1,
            created_at=created_at,
        )


@dataclass(frozen=True)
class Beginning:
    """An attempt that is to begin under the key of the one before."""

    order_id: UUID
    attempt: int


@dataclass(frozen=True)
class Settlement:
    """The final state of an order, and the attempt that led to it."""

    order_id: UUID
    attempt: Attempt | None
    status: Status
    answer: dict[str, Any] | None
    notification: Fate | None


def stored(answer: dict[str, Any] | None) -> str | None:
    """An answer of billing as it is kept: JSON, without any balance."""
    return None if answer is None else json.dumps(without_balance(answer))


def pending(order: Order) -> PendingOrder:
    """The same order, for one who works on it; the attempts begun are not in it."""
    return PendingOrder(
        order_id=order.order_id,
        customer=order.customer,
        item=order.item,
        amount_cents=order.amount_cents,
        delivery=order.delivery,
        sequence_key=order.sequence_key,
        attempts=max(1, len(order.attempts)),
        created_at=order.created_at,
    )


def fingerprint(order: NewOrder) -> bytes:
    """Tells orders under one customer key apart by what they mean: SHA-256, 32 bytes."""
    canonical = json.dumps(order.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).digest()
