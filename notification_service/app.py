"""notification_service over HTTP: its routes and answers.

Guarantee: 202 is sent only after the arrival is committed; 503 means that the arrival may or may not be stored.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.security import HTTPBearer
from starlette.applications import Starlette

from notification_service import arrivals, problems
from notification_service.arrivals import Arriving
from notification_service.process import Notifications
from notification_service.settings import Settings
from notification_service.wire import Arrivals, Notification, Shown, Text
from service_kit import (
    environment,
    garbage_collector,
    problem_details,
    telemetry,
)
from service_kit.assembly import assembled
from service_kit.bounded_pool import DatabaseTrouble, LockWaitTooLong, ReadsFull
from service_kit.direct_route import (
    DirectRoute,
    documented_body,
    read_body,
)
from service_kit.problem_details import (
    HOST_UNKNOWN,
    ORIGIN_FOREIGN,
    VALIDATION,
    Problem,
    documented,
)
from service_kit.strict_input import SHOWN, CanonicalUUID
from service_kit.strict_input.url import require_documented_url

log = structlog.get_logger()

TOO_MANY_READS = "Too many reads are waiting. Nothing was begun."


def create(settings: Settings | None = None) -> Starlette:
    """The ASGI application; configured from the environment unless `settings` are given."""
    notifications = Notifications(settings or environment.read(Settings))
    telemetry.configure_logs("notification_service")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await notifications.pool.open()
        garbage_collector.spare_the_program()
        yield
        await notifications.drain()
        await notifications.pool.close()

    return assembled(
        notifications,
        name="notification_service",
        description="Shows each message that arrives. A message that arrives twice is listed twice.",
        lifespan=lifespan,
        routers=(_hot, _router),
        handlers={DatabaseTrouble: _outcome_unknown, LockWaitTooLong: _outcome_unknown},
    )


def _notifications(request: Request) -> Notifications:
    notifications: Notifications = request.app.state.process
    return notifications


def _client(request: Request) -> str:
    client = _notifications(request).tokens.client(request.headers.getlist("authorization"))
    if client is None:
        raise Problem(
            problems.TOKEN_WRONG,
            "Send the header Authorization: Bearer <token>.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return client


def _token_in_production(request: Request) -> None:
    """The list holds messages to all customers: reading it needs a token in production, and none in development."""
    if _notifications(request).settings.in_production:
        _client(request)


class _ShownNotification(Notification):
    """A notification as it is read: each character of its texts is visible."""

    customer: Annotated[Text, SHOWN]
    text: Annotated[Text, SHOWN]


_OF_EVERY_REQUEST = documented(problems.TOKEN_WRONG, ORIGIN_FOREIGN, HOST_UNKNOWN)
_router = APIRouter(tags=["notifications"], responses=_OF_EVERY_REQUEST)
# Called thousands of times a second.
_hot = APIRouter(tags=["notifications"], responses=_OF_EVERY_REQUEST, route_class=DirectRoute)


@_hot.post(
    "/notifications",
    status_code=202,
    response_model=Shown,
    summary="Show a message to a customer",
    responses=documented(*problems.OF_A_NOTIFICATION),
    dependencies=[Depends(HTTPBearer())],
    openapi_extra={"requestBody": documented_body(Notification)},
)
async def post_notification(request: Request) -> Response:
    notifications = _notifications(request)
    client = _client(request)
    notification = await read_body(request, _ShownNotification)
    await notifications.show(Arriving(client, notification))
    shown = Shown(notification_id=notification.notification_id)
    return Response(shown.model_dump_json(), 202, media_type="application/json")


@_router.get(
    "/notifications",
    summary="List the arrivals of one order, or the newest 100; needs a token in production",
    responses=documented(VALIDATION, problems.UNAVAILABLE),
    dependencies=[
        Depends(HTTPBearer(auto_error=False)),
        Depends(_token_in_production),
        Depends(require_documented_url),
    ],
)
async def get_notifications(
    request: Request, order_id: Annotated[CanonicalUUID | None, Query()] = None
) -> Arrivals:
    async with _notifications(request).pool.reads.connection() as connection:
        if order_id is None:
            return Arrivals(notifications=await arrivals.latest(connection))
        return Arrivals(notifications=await arrivals.of_order(connection, order_id))


async def _outcome_unknown(request: Request, exc: Exception) -> Response:
    # Logging each rejected read would add load to an overloaded process.
    if not isinstance(exc, ReadsFull):
        log.warning("outcome unknown", path=request.url.path, reason=str(exc))
    return problem_details.answer(
        _notifications(request).catalogue,
        Problem(
            problems.UNAVAILABLE,
            TOO_MANY_READS
            if isinstance(exc, ReadsFull)
            else "The database did not answer in time.",
            headers={"Retry-After": "1"},
        ),
    )
