"""Planted bug: exactly_once mints a new key for each retry."""

from types import MappingProxyType

from starlette.types import ASGIApp

import chaos.sabotage
from order_service import courier, delivery
from order_service.wire import Delivery


def order() -> ASGIApp:
    """order_service with the bug."""
    semantics = {**delivery.SEMANTICS, Delivery.EXACTLY_ONCE: delivery.at_least_once}
    vars(courier)["SEMANTICS"] = MappingProxyType(semantics)
    return chaos.sabotage.order()
