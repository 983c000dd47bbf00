"""An order as its process works on it: what the statements take and give back.

Guarantee: the values of an order never change; equal fingerprints mean the same order under one customer key.
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
    """Another process delivers the order now, or it is settled, or this process stops: it must send nothing more."""


class WindowFull(Exception):
    """The window of unsettled orders is full. Nothing was recorded and no sequence key was spent."""


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
    """An order to record, with the client that places it; empty when the service knows no clients."""

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
    """An attempt that is to begin under the key of the attempt before it."""

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
    """The same order as a process delivers it; an attempt that has begun and not ended is not counted."""
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
