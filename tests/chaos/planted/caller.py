"""Bugs planted into order_service."""

from types import MappingProxyType
from typing import Any

import httpx
from starlette.types import ASGIApp

import chaos.sabotage
from billing_service.wire import Charge
from notification_service.wire import Notification
from order_service import courier, delivery, orders, peers
from order_service.delivery import Pending, Steps
from order_service.peers import Acknowledged, Outcome, Peers, Refused
from order_service.wire import Delivery

_charge = Peers.charge
_notify = Peers.notify
_record = orders.record


def _exactly_once_is(semantics: Any) -> None:
    changed = {**delivery.SEMANTICS, Delivery.EXACTLY_ONCE: semantics}
    vars(courier)["SEMANTICS"] = MappingProxyType(changed)


def new_key_for_each_retry() -> ASGIApp:
    _exactly_once_is(delivery.at_least_once)
    return chaos.sabotage.order()


def unknown_is_failure() -> ASGIApp:
    def outcome_of_failure(exc: httpx.TransportError) -> Outcome:
        return Refused(f"{type(exc.__cause__ or exc).__name__}", {"detail": "it failed"})

    vars(peers)["_outcome_of_failure"] = outcome_of_failure
    return chaos.sabotage.order()


def unknown_is_success() -> ASGIApp:
    def outcome_of_failure(exc: httpx.TransportError) -> Outcome:
        return Acknowledged(201, {}, f"{type(exc.__cause__ or exc).__name__}")

    vars(peers)["_outcome_of_failure"] = outcome_of_failure
    return chaos.sabotage.order()


def notification_retried() -> ASGIApp:
    async def notify(self: Peers, notification: Notification) -> Outcome:
        outcome = await _notify(self, notification)
        return outcome if isinstance(outcome, Acknowledged) else await _notify(self, notification)

    Peers.notify = notify  # type: ignore[method-assign]
    return chaos.sabotage.order()


def key_acknowledged_too_early() -> ASGIApp:
    async def charge(
        self: Peers, charge: Charge, sequence_key: int, *, retry: bool, first_incomplete: int
    ) -> Outcome:
        return await _charge(self, charge, sequence_key, retry=retry, first_incomplete=sequence_key)

    Peers.charge = charge  # type: ignore[method-assign]
    return chaos.sabotage.order()


def no_deadline() -> ASGIApp:
    create = Peers.__init__

    def init(self: Peers, *arguments: Any, **named: Any) -> None:
        create(self, *arguments, **{**named, "attempt_timeout_s": 3600.0})

    Peers.__init__ = init  # type: ignore[method-assign]
    return chaos.sabotage.order()


def flag_forgotten() -> ASGIApp:
    async def charge(
        self: Peers, charge: Charge, sequence_key: int, *, retry: bool, first_incomplete: int
    ) -> Outcome:
        return await _charge(
            self, charge, sequence_key, retry=False, first_incomplete=first_incomplete
        )

    Peers.charge = charge  # type: ignore[method-assign]
    return chaos.sabotage.order()


def keys_with_gaps() -> ASGIApp:
    async def record(connection: Any, *arguments: Any) -> orders.PendingOrder:
        await connection.execute("UPDATE orders.sequence_counter SET last_key = last_key + 1")
        return await _record(connection, *arguments)

    vars(orders)["record"] = record
    return chaos.sabotage.order()


def sent_after_the_answer() -> ASGIApp:
    async def once_more(order: Pending, steps: Steps) -> Outcome:
        outcome = await delivery.exactly_once(order, steps)
        await steps.send(order.attempts + 2, order.sequence_key, retry=True)
        return outcome

    _exactly_once_is(once_more)
    return chaos.sabotage.order()
