"""order_service over HTTP.

Guarantee: an order that was acknowledged, with 201, 202 or 402, is recorded and will be settled; a shopper who retries
with the same key gets the same order.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Annotated
from uuid import UUID, uuid4

import structlog
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response

import environment
import garbage_collector
import http_guard
import problem_details
import telemetry
from bounded_pool import BoundedPool, Connections, DatabaseTrouble, LockWaitTooLong, ReadsFull
from direct_route import DirectAPI, DirectRoute, documented_body, read_body
from order_service import headers, listing, orders, problems
from order_service.backoff import Backoff
from order_service.books import Books
from order_service.courier import Surroundings
from order_service.dispatcher import Dispatcher
from order_service.metrics import Metrics
from order_service.outcomes import Unknown
from order_service.peers import Peers, Transport, open_transport
from order_service.retry_budget import RetryBudget
from order_service.settings import Settings
from order_service.wire import (
    REPLAYED_HEADER,
    Delivery,
    NewOrder,
    Order,
    Orders,
    Status,
)
from problem_details import (
    BODY_TOO_LARGE,
    BODY_UNREADABLE,
    MEDIA_TYPE_UNSUPPORTED,
    VALIDATION,
    BodyLimit,
    Problem,
    ProblemCatalogue,
    documented,
)
from strict_input import CanonicalInteger, CanonicalUUID
from strict_input.url import require_documented_url

log = structlog.get_logger()

# A shopper who comes back after a second finds most orders settled.
RETRY_AFTER_S = 1
TOO_MANY_READS = "Too many reads are waiting. Nothing was begun by this one."
# A page that a person can look over.
PAGE_LENGTH_MAX = 100


class OrderDesk:
    """What one process of the service holds: settings, pool, peers, dispatcher, problems, metrics."""

    def __init__(self, settings: Settings, transport: Callable[[], Transport] | None) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.open_transport = transport or (
            lambda: open_transport(settings.attempts_in_flight_max * 2)
        )
        self.catalogue = ProblemCatalogue.of(
            problems.ALL, public_url=settings.public_url, retention=problems.RETENTION
        )
        self.pool = BoundedPool(
            settings.database_url.get_secret_value(),
            password=settings.database_password.get_secret_value(),
            application="order_service",
            size_max=settings.pool_size_max,
            deadline_s=settings.transaction_timeout_s,
            lock_timeout_s=settings.transaction_timeout_s,
            idle_in_transaction_timeout_s=settings.transaction_timeout_s,
            observe_wait=self.metrics.pool_wait_seconds.observe,
        )
        self.owner = uuid4()
        self.books = Books(
            self.pool,
            self.owner,
            lease_s=settings.lease_s,
            window_max=settings.window_max,
            # Four kinds of writes; whichever is stuck leaves connections to the others.
            under_way_max=max(1, settings.pool_size_max // 4),
        )
        self.dispatcher: Dispatcher
        self.metrics.watch(
            "order_deliveries_in_hand", "Orders being delivered", lambda: self.dispatcher.in_hand
        )
        self.metrics.watch(
            "order_pool_connections_in_use", "Connections in use", lambda: self.pool.in_use
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Pool, peers and dispatcher, for as long as the process serves."""
        await self.pool.open()
        peers = Peers(
            self.open_transport(),
            billing_url=self.settings.billing_url,
            billing_token=self.settings.billing_token.get_secret_value(),
            notification_url=self.settings.notification_url,
            notification_token=self.settings.notification_token.get_secret_value(),
            attempt_timeout_s=self.settings.attempt_timeout_s,
        )
        self.dispatcher = Dispatcher(
            Surroundings(
                pool=self.pool,
                books=self.books,
                peers=peers,
                settings=self.settings,
                backoff=Backoff(
                    self.settings.backoff_base_s,
                    self.settings.backoff_cap_s,
                    self.settings.retry_after_max_s,
                    random.uniform,
                ),
                budget=RetryBudget(
                    self.settings.retry_budget,
                    self.settings.retry_refill_per_s,
                    time.monotonic,
                    asyncio.get_running_loop().call_later,
                ),
                metrics=self.metrics,
                sleep=asyncio.sleep,
                clock=time.monotonic,
                slots=asyncio.Semaphore(self.settings.attempts_in_flight_max),
                stopping=asyncio.Event(),
                owner=self.owner,
            )
        )
        takeover = asyncio.create_task(self.dispatcher.run(), name="take over")
        yield
        takeover.cancel()
        with suppress(asyncio.CancelledError):
            await takeover
        await self.dispatcher.stop()
        await self.books.drain()
        await peers.close()
        await self.pool.close()

    async def missing(self) -> str | None:
        """What keeps the service from doing its job. Billing is not: orders are recorded without it."""
        missing = await self.pool.missing(orders.prove_writable)
        return None if missing is None else f"the database: {missing}"


def create(
    settings: Settings | None = None, transport: Callable[[], Transport] | None = None
) -> FastAPI:
    """The ASGI application; configured from the environment unless `settings` are given.

    `transport` opens the HTTP transport to the peers, inside the event loop that will use it.
    """
    desk = OrderDesk(settings or environment.read(Settings), transport)
    telemetry.configure_logs("order_service")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with desk.running():
            garbage_collector.spare_the_program()
            yield

    app = DirectAPI(
        title="order_service",
        version="1",
        description=f"An order is billed once. {problems.RETENTION}",
        lifespan=lifespan,
        # In front of the pages and probes that are installed below, because routes are tried one after the other.
        routes=[*_hot.routes, *_router.routes],
    )
    app.state.desk = desk
    desk.catalogue = problem_details.install(app, desk.catalogue, http_guard.REFUSALS)
    http_guard.install(app, environment.read, desk.catalogue.public_url, desk.metrics.registry)
    app.add_exception_handler(DatabaseTrouble, _could_not_find_out)
    app.add_exception_handler(LockWaitTooLong, _could_not_find_out)
    app.add_middleware(BodyLimit, catalogue=lambda: desk.catalogue)
    telemetry.install(
        app, service="order_service", registry=desk.metrics.registry, ready=desk.missing
    )
    return app


_router = APIRouter(tags=["orders"], dependencies=[Depends(require_documented_url)])
# What is asked thousands of times a second.
_hot = APIRouter(tags=["orders"], route_class=DirectRoute)


def _desk(request: Request) -> OrderDesk:
    desk: OrderDesk = request.app.state.desk
    return desk


@_hot.post(
    "/orders",
    status_code=201,
    response_model=Order,
    summary="Place an order; it is billed once",
    responses={
        202: {"model": Order, "description": "Recorded; billing has not answered yet"},
        **documented(
            problems.KEY_MALFORMED,
            BODY_UNREADABLE,
            problems.ORDER_DECLINED,
            BODY_TOO_LARGE,
            MEDIA_TYPE_UNSUPPORTED,
            problems.KEY_REUSED,
            problems.ORDER_FAILED,
            problems.DELIVERY_REFUSED,
            VALIDATION,
            problems.ORDER_CANCELLED,
            problems.WINDOW_FULL,
            problems.UNAVAILABLE,
        ),
    },
    openapi_extra={
        "requestBody": documented_body(NewOrder),
        "parameters": headers.PARAMETERS,
    },
)
async def post_order(request: Request) -> Response:
    desk = _desk(request)
    new = await read_body(request, NewOrder)
    shopper_key = headers.shopper_key(request)
    if new.delivery is not Delivery.EXACTLY_ONCE and not desk.settings.unsafe_delivery:
        raise Problem(problems.DELIVERY_REFUSED, f"{new.delivery} needs ORDER_UNSAFE_DELIVERY=1.")
    try:
        recorded = await desk.books.record(orders.Recording(uuid4(), new, shopper_key))
    except orders.WindowFull as exc:
        raise Problem(
            problems.WINDOW_FULL,
            f"{desk.settings.window_max} orders are unsettled.",
            headers={"Retry-After": str(RETRY_AFTER_S)},
        ) from exc
    except orders.ShopperKeyTaken:
        return await _known_order(desk, new, shopper_key or "")
    settled = desk.dispatcher.start(recorded)
    await asyncio.wait((settled,), timeout=desk.settings.wait_budget_s)
    order = settled.result() if settled.done() else None
    return _answer(desk, order or await _read(desk.pool, recorded.order_id))


@_router.get(
    "/orders/{order_id}",
    summary="An order with its attempts and what became of its notification",
    responses=documented(problems.ORDER_UNKNOWN, VALIDATION, problems.UNAVAILABLE),
)
async def get_order(order_id: CanonicalUUID, request: Request) -> Order:
    return await _read(_desk(request).pool.reads, order_id)


@_router.get(
    "/orders",
    summary="Orders, the newest first",
    responses=documented(problems.ORDER_UNKNOWN, VALIDATION, problems.UNAVAILABLE),
)
async def get_orders(
    request: Request,
    before: Annotated[CanonicalUUID | None, Query(description="`next` of the page before")] = None,
    limit: Annotated[CanonicalInteger, Query(ge=1, le=PAGE_LENGTH_MAX)] = PAGE_LENGTH_MAX,
) -> Orders:
    if before is not None:
        # Nothing is older than an order that is not there: an empty page would look like the end.
        await _read(_desk(request).pool.reads, before)
    async with _desk(request).pool.reads.connection() as connection:
        # One more than asked for tells whether there is a next page.
        found = await listing.newest(connection, before, limit + 1)
    page = found[:limit]
    return Orders(orders=page, next=page[-1].order_id if len(found) > limit else None)


@_router.post(
    "/orders/{order_id}/cancel",
    summary="Cancel a pending order for sure, or learn that it is billed",
    responses=documented(
        problems.ORDER_UNKNOWN,
        problems.ORDER_SETTLED,
        problems.CANCEL_IMPOSSIBLE,
        VALIDATION,
        problems.CANCEL_UNKNOWN,
        problems.UNAVAILABLE,
    ),
)
async def cancel_order(order_id: CanonicalUUID, request: Request) -> Order:
    desk = _desk(request)
    order = await _read(desk.pool.reads, order_id)
    if order.status is Status.PENDING:
        if order.delivery is not Delivery.EXACTLY_ONCE:
            raise Problem(problems.CANCEL_IMPOSSIBLE, f"The delivery is {order.delivery}.")
        outcome = await desk.dispatcher.cancel(orders.pending(order))
        order = await _read(desk.pool, order_id)
        if order.status is Status.PENDING:
            wish_s = outcome.retry_after_s if isinstance(outcome, Unknown) else 0.0
            raise Problem(
                problems.CANCEL_UNKNOWN,
                f"Billing: {outcome.caller_saw}.",
                headers={"Retry-After": str(max(RETRY_AFTER_S, round(wish_s)))},
            )
    if order.status is Status.CANCELLED:
        return order
    raise Problem(
        problems.ORDER_SETTLED,
        f"The order is {order.status}.",
        order=order.model_dump(mode="json"),
    )


async def _known_order(desk: OrderDesk, new: NewOrder, shopper_key: str) -> Response:
    """The order that the shopper's key named before; waits for it as for a new one while it is in this process."""
    async with desk.pool.connection() as connection:
        known = await listing.find_by_shopper_key(connection, new.customer, shopper_key)
    if known is None:
        raise DatabaseTrouble("the order of this key is not visible yet")
    order_id, fingerprint = known
    if fingerprint != orders.fingerprint(new):
        raise Problem(problems.KEY_REUSED, "This key was used for another order.")
    await desk.dispatcher.wait(order_id, desk.settings.wait_budget_s)
    return _answer(desk, await _read(desk.pool, order_id), replayed=True)


async def _read(connections: Connections, order_id: UUID) -> Order:
    async with connections.connection() as connection:
        order = await listing.find(connection, order_id)
    if order is None:
        raise Problem(problems.ORDER_UNKNOWN, f"There is no order {order_id}.")
    return order


def _answer(desk: OrderDesk, order: Order, *, replayed: bool = False) -> Response:
    location = {"Location": f"/orders/{order.order_id}"}
    if replayed:
        location[REPLAYED_HEADER] = "?1"
    match order.status:
        case Status.BILLED:
            return _whole(order, 201, location)
        case Status.PENDING:
            return _whole(order, 202, {**location, "Retry-After": str(RETRY_AFTER_S)})
        case Status.UNKNOWN:
            return _whole(order, 202, location)  # Nobody will send again: nothing to come back for.
        case Status.DECLINED:
            kind = problems.ORDER_DECLINED
        case Status.FAILED:
            kind = problems.ORDER_FAILED
        case Status.CANCELLED:
            kind = problems.ORDER_CANCELLED
    detail = str((order.answer or {}).get("detail", kind.title))
    body = order.model_dump(mode="json")
    return problem_details.answer(
        desk.catalogue, Problem(kind, detail, headers=location, order=body)
    )


def _whole(order: Order, status: int, headers: dict[str, str]) -> Response:
    return Response(order.model_dump_json(), status, headers, "application/json")


async def _could_not_find_out(request: Request, exc: Exception) -> Response:
    # A line for each read that is too many would be a load of its own.
    if not isinstance(exc, ReadsFull):
        log.warning("could not find out", path=request.url.path, reason=str(exc))
    return problem_details.answer(
        _desk(request).catalogue,
        Problem(
            problems.UNAVAILABLE,
            TOO_MANY_READS
            if isinstance(exc, ReadsFull)
            else "The database did not answer in time.",
            headers={"Retry-After": str(RETRY_AFTER_S)},
        ),
    )
