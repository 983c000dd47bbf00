"""notification_service over HTTP.

Guarantee: 202 leaves after the arrival is committed; what could not be stored is answered 503 and may have arrived.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.security import HTTPBearer
from prometheus_client import CollectorRegistry, Counter

from notification_service import arrivals
from notification_service.arrivals import Arriving
from notification_service.settings import Settings
from notification_service.wire import Arrivals, Notification, Shown
from service_kit import environment, garbage_collector, http_guard, problem_details, telemetry
from service_kit.bearer_tokens import BearerTokens
from service_kit.bounded_pool import BoundedPool, DatabaseTrouble, LockWaitTooLong, ReadsFull
from service_kit.direct_route import DirectAPI, DirectRoute, documented_body, read_body
from service_kit.group_commit import Bounds, Group
from service_kit.problem_details import (
    BODY_TOO_LARGE,
    BODY_UNREADABLE,
    HOST_UNKNOWN,
    MEDIA_TYPE_UNSUPPORTED,
    ORIGIN_FOREIGN,
    VALIDATION,
    BodyLimit,
    HostCheck,
    Problem,
    ProblemCatalogue,
    ProblemType,
    documented,
)
from service_kit.strict_input import CanonicalUUID
from service_kit.strict_input.url import require_documented_url

log = structlog.get_logger()

# A commit costs the same for a hundred.
_TOGETHER_MAX = 100
# Ten commits' worth; then 503, and whoever promises at most once does not come back.
_QUEUE_MAX = 1_000

TOO_MANY_READS = "Too many reads are waiting. Nothing was begun by this one."

TOKEN_WRONG = ProblemType(
    "token-wrong",
    401,
    "The bearer token is missing or wrong",
    "Who calls is known from the header Authorization: Bearer <token>. Nothing was shown to anybody.",
)
UNAVAILABLE = ProblemType(
    "unavailable",
    503,
    "It could not be found out",
    "The database is gone, busy or silent. The notification may or may not have been shown; whoever promises at most "
    "once does not send it again.",
)


class Notifications:
    """What one process of the service holds: settings, pool, problems, metrics."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tokens = BearerTokens(settings.tokens)
        self.catalogue = ProblemCatalogue.of(
            (TOKEN_WRONG, UNAVAILABLE), public_url=settings.public_url
        )
        self.pool = BoundedPool(
            settings.database_url.get_secret_value(),
            password=settings.database_password.get_secret_value(),
            application="notification_service",
            size_max=settings.pool_size_max,
            deadline_s=settings.transaction_timeout_s,
            lock_timeout_s=settings.transaction_timeout_s,
            idle_in_transaction_timeout_s=settings.transaction_timeout_s,
        )
        self.arriving: Group[Arriving, None] = Group(
            self._store_all,
            self._store,
            Bounds(_TOGETHER_MAX, settings.pool_size_max, _QUEUE_MAX),
        )
        self.registry = CollectorRegistry()
        self.shown = Counter(
            "notification_arrivals", "Notifications that arrived, twins too", registry=self.registry
        )

    async def _store_all(self, arriving: Sequence[Arriving]) -> list[None]:
        async with self.pool.connection() as connection:
            await arrivals.insert_all(connection, arriving)
        return [None] * len(arriving)

    async def _store(self, arriving: Arriving) -> None:
        await self._store_all([arriving])

    async def missing(self) -> str | None:
        """What keeps the service from doing its job."""
        missing = await self.pool.missing(arrivals.prove_writable)
        return None if missing is None else f"the database: {missing}"


def create(settings: Settings | None = None) -> FastAPI:
    """The ASGI application; configured from the environment unless `settings` are given."""
    notifications = Notifications(settings or environment.read(Settings))
    telemetry.configure_logs("notification_service")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await notifications.pool.open()
        garbage_collector.spare_the_program()
        yield
        await notifications.arriving.drain()
        await notifications.pool.close()

    app = DirectAPI(
        title="notification_service",
        version="1",
        description="Shows what arrives. Called at most once; a second arrival would be listed too.",
        lifespan=lifespan,
        # In front of the pages and probes that are installed below, because routes are tried one after the other.
        routes=[*_hot.routes, *_router.routes],
    )
    app.state.notifications = notifications
    notifications.catalogue = problem_details.install(
        app, notifications.catalogue, http_guard.REFUSALS
    )
    http_guard.install(
        app, environment.read, notifications.catalogue.public_url, notifications.registry
    )
    app.add_exception_handler(DatabaseTrouble, _could_not_find_out)
    app.add_exception_handler(LockWaitTooLong, _could_not_find_out)
    app.add_middleware(BodyLimit, catalogue=lambda: notifications.catalogue)
    app.add_middleware(
        HostCheck,
        catalogue=lambda: notifications.catalogue,
        hosts=notifications.settings.hosts,
        public_url=notifications.settings.public_url,
        probes=telemetry.PROBES,
    )
    telemetry.install(
        app,
        service="notification_service",
        registry=notifications.registry,
        ready=notifications.missing,
    )
    return app


def _notifications(request: Request) -> Notifications:
    notifications: Notifications = request.app.state.notifications
    return notifications


def _client(request: Request) -> str:
    client = _notifications(request).tokens.client(request.headers.getlist("authorization"))
    if client is None:
        raise Problem(
            TOKEN_WRONG,
            "Send the header Authorization: Bearer <token>.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return client


def _known_in_production(request: Request) -> None:
    """Messages to all customers are listed to everyone on a development machine, and to clients alone elsewhere."""
    if _notifications(request).settings.in_production:
        _client(request)


_OF_EVERY_REQUEST = documented(TOKEN_WRONG, ORIGIN_FOREIGN, HOST_UNKNOWN)
_router = APIRouter(tags=["notifications"], responses=_OF_EVERY_REQUEST)
# What is asked thousands of times a second.
_hot = APIRouter(tags=["notifications"], responses=_OF_EVERY_REQUEST, route_class=DirectRoute)


@_hot.post(
    "/notifications",
    status_code=202,
    response_model=Shown,
    summary="Show a message to a customer",
    responses=documented(
        BODY_UNREADABLE,
        TOKEN_WRONG,
        BODY_TOO_LARGE,
        MEDIA_TYPE_UNSUPPORTED,
        VALIDATION,
        UNAVAILABLE,
    ),
    dependencies=[Depends(HTTPBearer(auto_error=False))],
    openapi_extra={"requestBody": documented_body(Notification)},
)
async def post_notification(request: Request) -> Response:
    notifications = _notifications(request)
    client = _client(request)
    notification = await read_body(request, Notification)
    await notifications.arriving.put(Arriving(client, notification))
    notifications.shown.inc()
    shown = Shown(notification_id=notification.notification_id)
    return Response(shown.model_dump_json(), 202, media_type="application/json")


@_router.get(
    "/notifications",
    summary="What arrived: of one order, or the newest 100; in production with a token",
    responses=documented(VALIDATION, UNAVAILABLE),
    dependencies=[
        Depends(HTTPBearer(auto_error=False)),
        Depends(_known_in_production),
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


async def _could_not_find_out(request: Request, exc: Exception) -> Response:
    # A line for each read that is too many would be a load of its own.
    if not isinstance(exc, ReadsFull):
        log.warning("could not find out", path=request.url.path, reason=str(exc))
    return problem_details.answer(
        _notifications(request).catalogue,
        Problem(
            UNAVAILABLE,
            TOO_MANY_READS
            if isinstance(exc, ReadsFull)
            else "The database did not answer in time.",
            headers={"Retry-After": "1"},
        ),
    )
