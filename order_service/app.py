"""The routes and answers of order_service.

Guarantee: an order that was acknowledged, with 201, 202 or 402, is recorded and will be settled; a retry with the same
customer key gets the same order.

Long because it holds all routes, with the answers and problems that each documents.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated
from uuid import UUID, uuid4

import structlog
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.security import HTTPBearer
from starlette.applications import Starlette

from order_service import headers, listing, orders, problems
from order_service.clients import Client, client_of
from order_service.outcomes import Unknown
from order_service.peers import Transport
from order_service.process import OrderProcess
from order_service.settings import Settings
from order_service.wire import (
    REPLAYED_HEADER,
    Delivery,
    Item,
    NewOrder,
    Order,
    Orders,
    Status,
)
from service_kit import (
    environment,
    garbage_collector,
    problem_details,
    telemetry,
)
from service_kit.assembly import assembled
from service_kit.bounded_pool import Connections, DatabaseTrouble, LockWaitTooLong, ReadsFull
from service_kit.direct_route import (
    DirectRoute,
    documented_body,
    read_body,
)
from service_kit.problem_details import (
    BODY_TOO_LARGE,
    BODY_UNREADABLE,
    HOST_UNKNOWN,
    MEDIA_TYPE_UNSUPPORTED,
    ORIGIN_FOREIGN,
    VALIDATION,
    Problem,
    documented,
)
from service_kit.strict_input import SHOWN, CanonicalInteger, CanonicalUUID
from service_kit.strict_input.url import require_documented_url

log = structlog.get_logger()

# After a second most orders are settled.
RETRY_AFTER_S = 1
TOO_MANY_READS = "Too many reads are waiting. Nothing was begun."
# As many orders as a person can look over.
PAGE_LENGTH_MAX = 100


def create(
    settings: Settings | None = None, transport: Callable[[], Transport] | None = None
) -> Starlette:
    """The ASGI application; configured from the environment unless `settings` are given.

    `transport` opens the HTTP transport to the peers, inside the event loop that will use it.
    """
    process = OrderProcess(settings or environment.read(Settings), transport)
    telemetry.configure_logs("order_service")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with process.running():
            garbage_collector.spare_the_program()
            yield

    return assembled(
        process,
        name="order_service",
        description=f"An order is billed once. {problems.RETENTION}",
        lifespan=lifespan,
        routers=(_hot, _router),
        handlers={DatabaseTrouble: _outcome_unknown, LockWaitTooLong: _outcome_unknown},
    )


class _ShownOrder(NewOrder):
    """An order as it is read: each character of its item is visible."""

    item: Annotated[Item, SHOWN]


_OF_EVERY_REQUEST = documented(problems.TOKEN_WRONG, ORIGIN_FOREIGN, HOST_UNKNOWN)
_router = APIRouter(
    tags=["orders"], responses=_OF_EVERY_REQUEST, dependencies=[Depends(require_documented_url)]
)
# Requests that come thousands of times a second.
_hot = APIRouter(tags=["orders"], responses=_OF_EVERY_REQUEST, route_class=DirectRoute)


def _process(request: Request) -> OrderProcess:
    process: OrderProcess = request.app.state.process
    return process


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
    dependencies=[Depends(HTTPBearer())],
    openapi_extra={
        "requestBody": documented_body(NewOrder),
        "parameters": headers.PARAMETERS,
    },
)
async def post_order(request: Request) -> Response:
    process = _process(request)
    client = client_of(request)
    new = await read_body(request, _ShownOrder)
    customer_key = headers.customer_key(request)
    if new.delivery is not Delivery.EXACTLY_ONCE and not process.settings.unsafe_delivery:
        raise Problem(problems.DELIVERY_REFUSED, f"{new.delivery} needs ORDER_UNSAFE_DELIVERY=1.")
    try:
        recorded = await process.writes.record(orders.Recording(uuid4(), new, customer_key, client))
    except orders.WindowFull as exc:
        raise Problem(
            problems.WINDOW_FULL,
            f"{process.settings.window_max} orders are unsettled.",
            headers={"Retry-After": str(RETRY_AFTER_S)},
        ) from exc
    except orders.CustomerKeyTaken:
        return await _known_order(process, client, new, customer_key or "")
    settled = process.dispatcher.start(recorded)
    await asyncio.wait((settled,), timeout=process.settings.wait_budget_s)
    order = settled.result() if settled.done() else None
    return _answer(process, order or await _read(process.pool, client, recorded.order_id))


@_router.get(
    "/orders/{order_id}",
    summary="An order with its attempts and the fate of its notification",
    responses=documented(problems.ORDER_UNKNOWN, VALIDATION, problems.UNAVAILABLE),
)
async def get_order(order_id: CanonicalUUID, request: Request, client: Client) -> Order:
    return await _read(_process(request).pool.reads, client, order_id)


@_router.get(
    "/orders",
    summary="The client's orders, the newest first",
    responses=documented(problems.ORDER_UNKNOWN, VALIDATION, problems.UNAVAILABLE),
)
async def get_orders(
    request: Request,
    client: Client,
    before: Annotated[CanonicalUUID | None, Query(description="`next` of the page before")] = None,
    limit: Annotated[CanonicalInteger, Query(ge=1, le=PAGE_LENGTH_MAX)] = PAGE_LENGTH_MAX,
) -> Orders:
    if before is not None:
        # An unknown cursor is 404: an empty page would look like the last one.
        await _read(_process(request).pool.reads, client, before)
    async with _process(request).pool.reads.connection() as connection:
        # One order more than asked for tells whether there is a next page.
        found = await listing.newest(connection, client, before, limit + 1)
    page = found[:limit]
    return Orders(orders=page, next=page[-1].order_id if len(found) > limit else None)


@_router.post(
    "/orders/{order_id}/cancel",
    summary="Cancel a pending order, or learn that it is billed",
    responses=documented(
        problems.ORDER_UNKNOWN,
        problems.ORDER_SETTLED,
        problems.CANCEL_IMPOSSIBLE,
        VALIDATION,
        problems.CANCEL_UNKNOWN,
        problems.UNAVAILABLE,
    ),
)
async def cancel_order(order_id: CanonicalUUID, request: Request, client: Client) -> Order:
    process = _process(request)
    order = await _read(process.pool.reads, client, order_id)
    if order.status is Status.PENDING:
        if order.delivery is not Delivery.EXACTLY_ONCE:
            raise Problem(problems.CANCEL_IMPOSSIBLE, f"The delivery is {order.delivery}.")
        outcome = await process.dispatcher.cancel(orders.pending(order))
        order = await _read(process.pool, client, order_id)
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


async def _known_order(
    process: OrderProcess, client: str, new: NewOrder, customer_key: str
) -> Response:
    """The order that the customer's key names already; waits for it as for a new one when this process delivers it."""
    async with process.pool.connection() as connection:
        known = await listing.find_by_customer_key(connection, client, new.customer, customer_key)
    if known is None:
        raise DatabaseTrouble("the order of this key is not visible yet")
    order_id, fingerprint = known
    if fingerprint != orders.fingerprint(new):
        raise Problem(problems.KEY_REUSED, "This key was used for another order.")
    await process.dispatcher.wait(order_id, process.settings.wait_budget_s)
    return _answer(process, await _read(process.pool, client, order_id), replayed=True)


async def _read(connections: Connections, client: str, order_id: UUID) -> Order:
    """The client's order. Raises `Problem` (404) for an unknown order and for that of another client."""
    async with connections.connection() as connection:
        order = await listing.find(connection, client, order_id)
    if order is None:
        raise Problem(problems.ORDER_UNKNOWN, f"There is no order {order_id}.")
    return order


def _answer(process: OrderProcess, order: Order, *, replayed: bool = False) -> Response:
    location = {"Location": f"/orders/{order.order_id}"}
    if replayed:
        location[REPLAYED_HEADER] = "?1"
    match order.status:
        case Status.BILLED:
            return _json(order, 201, location)
        case Status.PENDING:
            return _json(order, 202, {**location, "Retry-After": str(RETRY_AFTER_S)})
        case Status.UNKNOWN:
            return _json(order, 202, location)  # No attempt follows, so there is no Retry-After.
        case Status.DECLINED:
            kind = problems.ORDER_DECLINED
        case Status.FAILED:
            kind = problems.ORDER_FAILED
        case Status.CANCELLED:
            kind = problems.ORDER_CANCELLED
    detail = str((order.answer or {}).get("detail", kind.title))
    body = order.model_dump(mode="json")
    return problem_details.answer(
        process.catalogue, Problem(kind, detail, headers=location, order=body)
    )


def _json(order: Order, status: int, headers: dict[str, str]) -> Response:
    return Response(order.model_dump_json(), status, headers, "application/json")


async def _outcome_unknown(request: Request, exc: Exception) -> Response:
    # A log line for each refused read would add load to an overload.
    if not isinstance(exc, ReadsFull):
        log.warning("the outcome is unknown", path=request.url.path, reason=str(exc))
    return problem_details.answer(
        _process(request).catalogue,
        Problem(
            problems.UNAVAILABLE,
            TOO_MANY_READS
            if isinstance(exc, ReadsFull)
            else "The database did not answer in time.",
            headers={"Retry-After": str(RETRY_AFTER_S)},
        ),
    )
