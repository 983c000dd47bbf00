"""A bug planted into the sessions of all services: they do not wait until a commit is on disk."""

from typing import Any

from starlette.types import ASGIApp

import chaos.faults.wrapped_services
from service_kit.bounded_pool import BoundedPool

_open = BoundedPool.open


def _not_awaited() -> None:
    async def open_pool(self: BoundedPool) -> None:
        settings: dict[str, Any] = vars(self)["_session_settings"]
        settings["synchronous_commit"] = "off"
        await _open(self)

    BoundedPool.open = open_pool  # type: ignore[method-assign]


def commit_not_awaited_in_order() -> ASGIApp:
    _not_awaited()
    return chaos.faults.wrapped_services.order()


def commit_not_awaited_in_billing() -> ASGIApp:
    _not_awaited()
    return chaos.faults.wrapped_services.billing()


def commit_not_awaited_in_notification() -> ASGIApp:
    _not_awaited()
    return chaos.faults.wrapped_services.notification()
