"""What the exactly-once charge is compared with: endpoints of the same shape, on the same server, that promise less.

*Typical* baselines are FastAPI endpoints as they are usually written. *Fair* ones do the same over the direct route and with
the garbage-collector tuning that billing_service has.

Guarantee: every baseline does less than billing_service for a request: it checks no token and no key, and writes no log
and no metrics.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import UUID, uuid4

import asyncpg
import httpx
from fastapi import APIRouter, FastAPI, Request, Response
from starlette.applications import Starlette

from billing_service.wire import Charge, Charged
from notification_service.wire import Notification, Shown
from order_service.peers import Transport, exchange, open_transport
from order_service.wire import NewOrder
from service_kit import garbage_collector
from service_kit.direct_route import (
    DirectRoute,
    application,
    documented_body,
    read_body,
    served,
)

# billing_service has as many by default, so no contender has more of Postgres.
_CONNECTIONS = 10


def nothing() -> FastAPI:
    """Typical: `POST /charges` that reads and checks its body, does nothing, and answers."""
    app = FastAPI()

    @app.post("/charges", status_code=201)
    async def post_charge(charge: Charge) -> Charged:
        return _charged(charge, uuid4(), 0)

    return app


def fair_nothing() -> Starlette:
    """Fair: as `nothing`, over a direct route and with a tuned garbage collector."""

    async def post_charge(request: Request) -> Response:
        charge = await read_body(request, Charge)
        return _created(_charged(charge, uuid4(), 0))

    return _direct(post_charge, _no_resources)


def unprotected() -> FastAPI:
    """Typical: `POST /charges` that moves the money and writes the ledger in one statement; sent twice, it charges twice."""
    pool = _Pool()
    app = FastAPI(lifespan=pool.opened)

    @app.post("/charges", status_code=201)
    async def post_charge(charge: Charge) -> Charged:
        return _charged(charge, *await withdraw(pool.pool, charge))

    return app


def fair_unprotected() -> Starlette:
    """Fair: as `unprotected`, over a direct route and with a tuned garbage collector."""
    pool = _Pool()

    async def post_charge(request: Request) -> Response:
        charge = await read_body(request, Charge)
        return _created(_charged(charge, *await withdraw(pool.pool, charge)))

    return _direct(post_charge, pool.opened)


class _Pool:
    """The connections of one process; they exist while its lifespan lasts."""

    def __init__(self) -> None:
        self._pools: list[asyncpg.Pool[asyncpg.Record]] = []

    @property
    def pool(self) -> "asyncpg.Pool[asyncpg.Record]":
        return self._pools[0]

    @asynccontextmanager
    async def opened(self, _: Starlette) -> AsyncIterator[None]:
        async with asyncpg.create_pool(
            os.environ["BILLING_DATABASE_URL"], max_size=_CONNECTIONS
        ) as pool:
            self._pools.append(pool)
            yield


@asynccontextmanager
async def _no_resources(_: Starlette) -> AsyncIterator[None]:
    yield


def _direct(
    post_charge: Callable[[Request], Awaitable[Response]],
    resources: Callable[[Starlette], AbstractAsyncContextManager[None]],
) -> Starlette:
    """`POST /charges` as billing_service registers it, and its tuning once the resources are there."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with resources(app):
            garbage_collector.spare_the_program()
            yield

    router = APIRouter(route_class=DirectRoute)
    router.add_api_route(
        "/charges",
        post_charge,
        methods=["POST"],
        status_code=201,
        response_model=Charged,
        openapi_extra={"requestBody": documented_body(Charge)},
    )
    return served(application(lifespan=lifespan, routes=router.routes))


def _charged(charge: Charge, charge_id: UUID, balance_cents: int) -> Charged:
    return Charged(
        charge_id=charge_id,
        order_id=charge.order_id,
        account=charge.account,
        amount_cents=charge.amount_cents,
        balance_cents=balance_cents,
    )


def _created(charged: Charged) -> Response:
    return Response(charged.model_dump_json(), 201, media_type="application/json")


async def withdraw(pool: "asyncpg.Pool[asyncpg.Record]", charge: Charge) -> tuple[UUID, int]:
    """One INSERT and one UPDATE in one statement, which is one transaction."""
    row = await pool.fetchrow(
        """
        WITH withdrawn AS (
          UPDATE billing.accounts
          SET balance_cents = balance_cents - $2
          WHERE account = $1
          RETURNING balance_cents
        )
        INSERT INTO billing.ledger (client, sequence_key, order_id, account, amount_cents, balance_cents)
        SELECT 'unprotected', 0, $3, $1, $2, balance_cents
        FROM withdrawn
        RETURNING charge_id, balance_cents
        """,
        charge.account,
        charge.amount_cents,
        charge.order_id,
    )
    if row is None:
        raise RuntimeError(f"there is no account {charge.account}")
    return row["charge_id"], row["balance_cents"]


def chain() -> FastAPI:
    """`POST /orders` that calls a billing and a notification that do nothing, over the transport of order_service.

    As in order_service, the answer waits for billing alone, and the notification is sent after it.
    """
    transports: list[Transport] = []
    notifying: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        transport = open_transport(_CHAIN_CONNECTIONS)
        transports.append(transport)
        yield
        if notifying:
            await asyncio.wait(notifying)
        await transport.aclose()

    app = FastAPI(lifespan=lifespan)

    @app.post("/orders", status_code=201)
    async def post_order(order: NewOrder) -> Charged:
        charge = Charge(order_id=uuid4(), account=order.customer, amount_cents=order.amount_cents)
        charged = Charged.model_validate(
            await _post(transports[0], os.environ["ORDER_BILLING_URL"] + "/charges", charge)
        )
        task = asyncio.create_task(_notify(transports[0], charge.order_id, order))
        notifying.add(task)
        task.add_done_callback(notifying.discard)
        return charged

    return app


# As many as order_service has: twice its attempts in flight.
_CHAIN_CONNECTIONS = 128


async def _notify(transport: Transport, order_id: UUID, order: NewOrder) -> None:
    text = f"Your order of {order.item} is billed."
    notification = Notification(
        notification_id=uuid4(), order_id=order_id, customer=order.customer, text=text
    )
    await _post(transport, os.environ["ORDER_NOTIFICATION_URL"] + "/notifications", notification)


async def _post(transport: Transport, url: str, body: Charge | Notification) -> object:
    headers = {"Content-Type": "application/json"}
    request = httpx.Request("POST", url, content=body.model_dump_json(), headers=headers)
    received = await exchange(transport, request)
    if received.status >= 400:
        raise RuntimeError(f"answered {received.status}")
    return json.loads(received.content)


def silent_notification() -> FastAPI:
    """`POST /notifications` that reads and checks its body, does nothing, and answers."""
    app = FastAPI()

    @app.post("/notifications", status_code=202)
    async def post_notification(notification: Notification) -> Shown:
        return Shown(notification_id=notification.notification_id)

    return app
