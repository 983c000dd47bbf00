"""order_service over HTTP.

Guarantee: an order that was acknowledged, with 201, 202 or 402, is recorded and will be settled; a shopper who retries
with the same key gets the same order.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated
from uuid import UUID, uuid4

import structlog
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.security import HTTPBearer

import environment
import garbage_collector
import problem_details
import structured_fields
import telemetry
from bounded_pool import DatabaseTrouble, LockWaitTooLong
from direct_route import DirectAPI, DirectRoute, documented_body, read_body
from order_service import listing, orders, problems
from order_service.clients import Client, client_of
from order_service.peers import Transport, Unknown
from order_service.process import OrderDesk
from order_service.settings import Settings
from order_service.wire import (
    KEY_HEADER,
    SHOPPER_KEY_LENGTH_MAX,
    Delivery,
    NewOrder,
    Order,
    Orders,
    Status,
)
from problem_details import (
    BODY_TOO_LARGE,
    BODY_UNREADABLE,
    HOST_UNKNOWN,
    ORIGIN_FOREIGN,
    VALIDATION,
    BodyLimit,
    HostCheck,
    Problem,
    documented,
)
from structured_fields import MalformedItem

log = structlog.get_logger()

# A shopper who comes back after a second finds most orders settled.
RETRY_AFTER_S = 1
# A page that a person can look over.
PAGE_LENGTH_MAX = 100


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
        # This service has its own metrics, logs and traces; FastAPI would ask OpenTelemetry in each request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.desk = desk
    desk.catalogue = problem_details.install(app, desk.catalogue)
    app.add_exception_handler(DatabaseTrouble, _could_not_find_out)
    app.add_exception_handler(LockWaitTooLong, _could_not_find_out)
    app.add_middleware(BodyLimit, catalogue=lambda: desk.catalogue)
    app.add_middleware(
        HostCheck,
        catalogue=lambda: desk.catalogue,
        hosts=desk.settings.hosts,
        public_url=desk.settings.public_url,
        probes=telemetry.PROBES,
    )
    telemetry.install(
        app, service="order_service", registry=desk.metrics.registry, ready=desk.missing
    )
    return app


_OF_EVERY_REQUEST = documented(problems.TOKEN_WRONG, ORIGIN_FOREIGN, HOST_UNKNOWN)
_router = APIRouter(tags=["orders"], responses=_OF_EVERY_REQUEST)
# What is asked thousands of times a second.
_hot = APIRouter(tags=["orders"], responses=_OF_EVERY_REQUEST, route_class=DirectRoute)


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
            problems.KEY_REUSED,
            problems.ORDER_FAILED,
            problems.DELIVERY_REFUSED,
            VALIDATION,
            problems.ORDER_CANCELLED,
            problems.WINDOW_FULL,
            problems.UNAVAILABLE,
        ),
    },
    dependencies=[Depends(HTTPBearer(auto_error=False))],
    openapi_extra={
        "requestBody": documented_body(NewOrder),
        "parameters": [
            {
                "in": "header",
                "name": KEY_HEADER,
                "required": False,
                "description": "the shopper's own key: an RFC 9651 String of 1 to 255 characters",
                "schema": {"type": "string", "minLength": 3, "maxLength": 257},
                "example": '"a7f3"',
            }
        ],
    },
)
async def post_order(request: Request) -> Response:
    desk = _desk(request)
    client = client_of(request)
    new = await read_body(request, NewOrder)
    shopper_key = _shopper_key(request)
    if new.delivery is not Delivery.EXACTLY_ONCE and not desk.settings.unsafe_delivery:
        raise Problem(problems.DELIVERY_REFUSED, f"{new.delivery} needs ORDER_UNSAFE_DELIVERY=1.")
    try:
        recorded = await desk.books.record(orders.Recording(uuid4(), new, shopper_key, client))
    except orders.WindowFull as exc:
        raise Problem(
            problems.WINDOW_FULL,
            f"{desk.settings.window_max} orders are unsettled.",
            headers={"Retry-After": str(RETRY_AFTER_S)},
        ) from exc
    except orders.ShopperKeyTaken:
        return await _known_order(desk, client, new, shopper_key or "")
    settled = desk.dispatcher.start(recorded)
    await asyncio.wait((settled,), timeout=desk.settings.wait_budget_s)
    order = settled.result() if settled.done() else None
    return _answer(desk, order or await _read(desk, client, recorded.order_id))


@_router.get(
    "/orders/{order_id}",
    summary="An order with its attempts and what became of its notification",
    responses=documented(problems.ORDER_UNKNOWN, VALIDATION, problems.UNAVAILABLE),
)
async def get_order(order_id: UUID, request: Request, client: Client) -> Order:
    return await _read(_desk(request), client, order_id)


@_router.get(
    "/orders",
    summary="The client's orders, the newest first",
    responses=documented(problems.ORDER_UNKNOWN, VALIDATION, problems.UNAVAILABLE),
)
async def get_orders(
    request: Request,
    client: Client,
    before: Annotated[UUID | None, Query(description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_LENGTH_MAX)] = PAGE_LENGTH_MAX,
) -> Orders:
    if before is not None:
        # Nothing is older than an order that is not there: an empty page would look like the end.
        await _read(_desk(request), client, before)
    async with _desk(request).pool.connection() as connection:
        # One more than asked for tells whether there is a next page.
        found = await listing.newest(connection, client, before, limit + 1)
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
async def cancel_order(order_id: UUID, request: Request, client: Client) -> Order:
    desk = _desk(request)
    order = await _read(desk, client, order_id)
    if order.status is Status.PENDING:
        if order.delivery is not Delivery.EXACTLY_ONCE:
            raise Problem(problems.CANCEL_IMPOSSIBLE, f"The delivery is {order.delivery}.")
        outcome = await desk.dispatcher.cancel(orders.pending(order))
        order = await _read(desk, client, order_id)
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


async def _known_order(desk: OrderDesk, client: str, new: NewOrder, shopper_key: str) -> Response:
    """The order that the shopper's key named before; waits for it as for a new one while it is in this process."""
    async with desk.pool.connection() as connection:
        known = await listing.find_by_shopper_key(connection, client, new.customer, shopper_key)
    if known is None:
        raise DatabaseTrouble("the order of this key is not visible yet")
    order_id, fingerprint = known
    if fingerprint != orders.fingerprint(new):
        raise Problem(problems.KEY_REUSED, "This key was used for another order.")
    await desk.dispatcher.wait(order_id, desk.settings.wait_budget_s)
    return _answer(desk, await _read(desk, client, order_id))


async def _read(desk: OrderDesk, client: str, order_id: UUID) -> Order:
    """The client's order; that of another client is not there."""
    async with desk.pool.connection() as connection:
        order = await listing.find(connection, client, order_id)
    if order is None:
        raise Problem(problems.ORDER_UNKNOWN, f"There is no order {order_id}.")
    return order


def _answer(desk: OrderDesk, order: Order) -> Response:
    location = {"Location": f"/orders/{order.order_id}"}
    match order.status:
        case Status.BILLED:
            return _whole(order, 201, location)
        case Status.PENDING:
            return _whole(order, 202, {**location, "Retry-After": str(RETRY_AFTER_S)})
        case Status.UNKNOWN:
            # At most once: nobody will send again, so there is nothing to come back for.
            return _whole(order, 202, location)
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


def _shopper_key(request: Request) -> str | None:
    try:
        value = structured_fields.item(request.headers.getlist(KEY_HEADER))
    except MalformedItem as exc:
        raise Problem(problems.KEY_MALFORMED, f"{KEY_HEADER} is not an RFC 9651 item.") from exc
    if value is None:
        return None
    if type(value) is not str or not 1 <= len(value) <= SHOPPER_KEY_LENGTH_MAX:
        raise Problem(
            problems.KEY_MALFORMED,
            f"{KEY_HEADER} must be 1 to {SHOPPER_KEY_LENGTH_MAX} characters in double quotes.",
        )
    return value


async def _could_not_find_out(request: Request, exc: Exception) -> Response:
    log.warning("could not find out", path=request.url.path, reason=str(exc))
    return problem_details.answer(
        _desk(request).catalogue,
        Problem(
            problems.UNAVAILABLE,
            "The database did not answer in time.",
            headers={"Retry-After": str(RETRY_AFTER_S)},
        ),
    )
