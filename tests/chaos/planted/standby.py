"""Bugs planted into what all services do with a synchronous standby."""

from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp

import chaos.faults.wrapped_services
from service_kit.bounded_pool import BoundedPool, pool
from service_kit.bounded_pool.warnings import Warnings

_open = BoundedPool.open

_SERVICES: dict[str, Callable[[], ASGIApp]] = {
    "order": chaos.faults.wrapped_services.order,
    "billing": chaos.faults.wrapped_services.billing,
    "notification": chaos.faults.wrapped_services.notification,
}


def _deadline_sends_a_cancel() -> None:
    def leave_to_asyncpg(_: object) -> None:
        """The connection is closed by nothing: asyncpg cancels the statement and keeps the connection."""

    vars(pool)["_throw_away"] = leave_to_asyncpg


def _warning_ignored() -> None:
    def nothing(_: Warnings) -> None:
        """Whatever was heard."""

    setattr(Warnings, "raise_if_any", nothing)  # noqa: B010


def _commit_without_the_standby() -> None:
    async def open_pool(self: BoundedPool) -> None:
        settings: dict[str, Any] = vars(self)["_session_settings"]
        settings["synchronous_commit"] = "local"
        await _open(self)

    BoundedPool.open = open_pool  # type: ignore[method-assign]


def _sessions_that_only_read_are_kept() -> None:
    vars(pool)["ends_session"] = lambda exc: not isinstance(exc, Exception)


_BUGS = {
    "deadline_sends_a_cancel": _deadline_sends_a_cancel,
    "warning_ignored": _warning_ignored,
    "commit_without_the_standby": _commit_without_the_standby,
    "sessions_that_only_read_are_kept": _sessions_that_only_read_are_kept,
}


def _planted(bug: str, service: str) -> Callable[[], ASGIApp]:
    def factory() -> ASGIApp:
        _BUGS[bug]()
        return _SERVICES[service]()

    return factory


for _bug in _BUGS:
    for _service in _SERVICES:
        globals()[f"{_bug}_in_{_service}"] = _planted(_bug, _service)
