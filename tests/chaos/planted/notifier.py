"""Bugs planted into notification_service."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from starlette.types import ASGIApp

import chaos.faults.wrapped_services
import notification_service.problems
from notification_service.arrivals import Arriving
from notification_service.process import Notifications
from service_kit.bounded_pool import DatabaseTrouble
from service_kit.group_commit import Group

_put = Group.put
_store_all = vars(Notifications)["_store_all"]
_STORING: set[asyncio.Task[None]] = set()


def shown_before_it_is_stored() -> ASGIApp:
    async def put(self: Group[Arriving, None], item: Arriving) -> None:
        storing = asyncio.ensure_future(_put(self, item))
        _STORING.add(storing)
        storing.add_done_callback(_STORING.discard)

    Group.put = put  # type: ignore[method-assign,assignment]
    return chaos.faults.wrapped_services.notification()


def ambiguity_is_a_refusal() -> ASGIApp:
    problems = vars(notification_service.problems)
    problems["UNAVAILABLE"] = replace(problems["UNAVAILABLE"], slug="validation", status=422)
    return chaos.faults.wrapped_services.notification()


def stored_again_in_doubt() -> ASGIApp:
    async def store_all(self: Notifications, arriving: Sequence[Arriving]) -> list[None]:
        while True:
            try:
                stored: list[None] = await _store_all(self, arriving)
                return stored
            except DatabaseTrouble:
                continue

    setattr(Notifications, "_store_all", store_all)  # noqa: B010
    return chaos.faults.wrapped_services.notification()
