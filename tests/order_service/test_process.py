"""What one process of order_service is put together from, and what it says of an order and of a failure."""

import asyncio
import json
import random
import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import httpx
import pytest
import structlog
from fastapi import FastAPI, Request
from pydantic import SecretStr, ValidationError

import order_service.app
from order_service import problems, process
from order_service.dispatcher import Dispatcher
from order_service.process import OrderProcess
from order_service.settings import Settings
from order_service.statements.recording import prove_writable, seal
from order_service.wire import Delivery, Order, Status
from service_kit.bounded_pool import BoundedPool, DatabaseTrouble, LockWaitTooLong, ReadsFull
from service_kit.group_commit import usual_bounds
from service_kit.problem_details import Problem

Made = dict[str, tuple[tuple[Any, ...], dict[str, Any]]]
PARTS = ("BoundedPool", "GroupedWrites", "Peers", "DeliveryContext", "Backoff", "RetryBudget")


def settings(**changes: Any) -> Settings:
    """Each with a value of its own, so that none can stand for another."""
    values = {
        "database_url": SecretStr("postgresql://x:drawn@127.0.0.1:9/x"),
        "database_password": SecretStr("drawn-by-lot"),
        "billing_url": "http://127.0.0.1:9/billing",
        "billing_token": SecretStr("token-for-billing-01"),
        "notification_url": "http://127.0.0.1:9/notification",
        "notification_token": SecretStr("token-for-notification"),
        "pool_size_max": 20,
        "transaction_timeout_s": 4.0,
        "attempt_timeout_s": 1.5,
        "lease_s": 11.0,
        "window_max": 103,
        "backoff_base_s": 0.3,
        "backoff_cap_s": 3.0,
        "retry_after_max_s": 7.0,
        "retry_budget": 13,
        "retry_refill_per_s": 5.0,
        "attempts_in_flight_max": 17,
        **changes,
    }
    return Settings(**values)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    """What the parts were made with, by the names of their classes."""
    found: Made = {}
    for name in PARTS:
        real = getattr(process, name)

        def make(*arguments: Any, _name: str = name, _real: Any = real, **named: Any) -> Any:
            found[_name] = (arguments, named)
            return _real(*arguments, **named)

        monkeypatch.setattr(process, name, make)
    return found


def nowhere() -> httpx.MockTransport:
    """A transport to peers that are never asked."""
    return httpx.MockTransport(lambda _: httpx.Response(500))


def test_its_name() -> None:
    """Each process has its own, also on one machine and after a start: leases are known by it."""
    names = {OrderProcess(settings(), nowhere).owner for _ in range(3)}
    assert len(names) == 3


async def test_the_pool(made: Made) -> None:
    """It connects under the name of the service, with the password that is not in the URL; no wait takes longer than a transaction."""
    orders = OrderProcess(settings(), nowhere)
    assert made["BoundedPool"] == (
        ("postgresql://x:drawn@127.0.0.1:9/x",),
        {
            "password": "drawn-by-lot",
            "application": "order_service",
            "size_max": 20,
            "deadline_s": 4.0,
            "lock_timeout_s": 4.0,
            "idle_in_transaction_timeout_s": 4.0,
            "observe_wait": orders.metrics.pool_wait_seconds.observe,
        },
    )


@pytest.mark.parametrize(("connections", "of_a_kind"), [(20, 5), (11, 2), (4, 1), (3, 1)])
async def test_the_connections_are_shared_out(made: Made, connections: int, of_a_kind: int) -> None:
    """Each of the four kinds of writes has a quarter of them, and at least one."""
    orders = OrderProcess(settings(pool_size_max=connections), nowhere)
    assert made["GroupedWrites"] == (
        (orders.pool, orders.owner),
        {"lease_s": 11.0, "window_max": 103, "bounds": usual_bounds(of_a_kind, 4.0)},
    )


async def test_what_deliveries_share(made: Made) -> None:
    """Each bound of the settings reaches the part that keeps it; time and chance are the real ones."""
    orders = OrderProcess(settings(), nowhere)
    async with orders.running():
        pass
    ((_,), peers) = made["Peers"]
    assert peers == {
        "billing_url": "http://127.0.0.1:9/billing",
        "billing_token": "token-for-billing-01",
        "notification_url": "http://127.0.0.1:9/notification",
        "notification_token": "token-for-notification",
        "attempt_timeout_s": 1.5,
    }
    assert made["Backoff"] == ((0.3, 3.0, 7.0, random.uniform), {})
    loop = asyncio.get_running_loop()
    assert made["RetryBudget"] == ((13, 5.0, time.monotonic, loop.call_later), {})
    _, context = made["DeliveryContext"]
    shared = {name: getattr(orders, name) for name in ("pool", "writes", "settings", "metrics")}
    assert {name: context[name] for name in shared} == shared
    assert (context["owner"], context["sleep"]) == (orders.owner, asyncio.sleep)
    assert context["clock"] is time.monotonic
    assert context["slots"]._value == 17


def test_a_lease_outlasts_a_round() -> None:
    """By however little: a process that takes all its time in each part of a round keeps its orders."""
    assert settings(takeover_poll_s=1.0, lease_s=9.6).lease_s == 9.6
    with pytest.raises(ValidationError) as refused:
        settings(takeover_poll_s=1.0, lease_s=9.5)
    assert (
        "ORDER_LEASE_S is 9.5 but must be more than 9.5, the sum of ORDER_ATTEMPT_TIMEOUT_S, "
        "ORDER_BACKOFF_CAP_S, ORDER_TRANSACTION_TIMEOUT_S and ORDER_TAKEOVER_POLL_S"
    ) in str(refused.value)


async def test_its_own_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection to billing and one to notification for each attempt that may be under way."""
    asked: list[int] = []

    def opened(connections_max: int) -> httpx.MockTransport:
        asked.append(connections_max)
        return nowhere()

    monkeypatch.setattr(process, "open_transport", opened)
    async with OrderProcess(settings(), None).running():
        pass
    assert asked == [34]


async def test_a_process_that_stops_takes_nothing_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """First it looks for no more orders; then it ends what it has."""
    done: list[str] = []

    async def run(_: Dispatcher) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            done.append("looking ended")

    async def stop(_: Dispatcher) -> None:
        done.append("deliveries ended")

    monkeypatch.setattr(Dispatcher, "run", run)
    monkeypatch.setattr(Dispatcher, "stop", stop)
    async with OrderProcess(settings(), nowhere).running():
        await asyncio.create_task(_turn())
    assert done == ["looking ended", "deliveries ended"]


async def _turn() -> None:
    """Lets what was begun begin."""


async def test_the_address_of_the_problems() -> None:
    """Each type is a page of the service under its public address; the retention is told there."""
    catalogue = OrderProcess(settings(public_url="https://shop.example"), nowhere).catalogue
    document = json.loads(catalogue.render(Problem(problems.UNAVAILABLE, "")))
    assert document["type"] == "https://shop.example/problems/unavailable"
    assert catalogue.retention == problems.RETENTION != ""


async def test_readiness_asks_the_database_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is named; a process that misses nothing can record orders."""
    proofs: list[Any] = []

    async def missing(self: BoundedPool, prove: Any, confirm: Any) -> str | None:
        proofs.append((prove, confirm))
        return "it cannot be reached" if len(proofs) == 1 else None

    monkeypatch.setattr(BoundedPool, "missing", missing)
    orders = OrderProcess(settings(), nowhere)
    assert await orders.missing() == "the database: it cannot be reached"
    assert await orders.missing() is None
    assert proofs == [(prove_writable, seal)] * 2


async def test_what_is_read_at_each_scrape() -> None:
    """Orders in hand and connections in use, each with what it means."""
    orders = OrderProcess(settings(), nowhere)
    async with orders.running():
        found = {
            metric.name: (metric.documentation, [sample.value for sample in metric.samples])
            for metric in orders.metrics.registry.collect()
        }
    assert found["order_deliveries_in_hand"] == ("Orders being delivered", [0.0])
    assert found["order_pool_connections_in_use"][0] == "Connections in use"


def order(status: Status, answer: dict[str, Any] | None = None) -> Order:
    return Order(
        order_id=UUID(int=1),
        customer="alice",
        item="book",
        amount_cents=5,
        delivery=Delivery.EXACTLY_ONCE,
        status=status,
        sequence_key=7,
        attempts=[],
        answer=answer,
        notification=None,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        settled_at=None,
    )


@pytest.mark.parametrize("replayed", [False, True])
@pytest.mark.parametrize(
    ("status", "code", "retry_after"),
    [
        (Status.BILLED, 201, None),
        (Status.PENDING, 202, "1"),
        # No attempt follows, so there is nothing to wait for.
        (Status.UNKNOWN, 202, None),
    ],
)
def test_an_order_is_shown(
    status: Status, code: int, retry_after: str | None, replayed: bool
) -> None:
    """As it is, with its address; marked when the customer's key named it already; only a pending one asks to come again."""
    shown = order(status)
    response = order_service.app._answer(
        OrderProcess(settings(), nowhere), shown, replayed=replayed
    )
    assert (response.status_code, response.headers["content-type"]) == (code, "application/json")
    assert Order.model_validate_json(bytes(response.body)) == shown
    assert response.headers["Location"] == f"/orders/{UUID(int=1)}"
    assert response.headers.get("Retry-After") == retry_after
    assert response.headers.get("Idempotency-Replayed") == ("?1" if replayed else None)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (Status.DECLINED, problems.ORDER_DECLINED),
        (Status.FAILED, problems.ORDER_FAILED),
        (Status.CANCELLED, problems.ORDER_CANCELLED),
    ],
)
@pytest.mark.parametrize("answer", [None, {"detail": "what billing said"}])
def test_an_order_that_ended_otherwise(
    status: Status, kind: Any, answer: dict[str, Any] | None
) -> None:
    """A problem that holds the order; its sentence is billing's own, if there is one."""
    response = order_service.app._answer(
        OrderProcess(settings(), nowhere), order(status, answer), replayed=True
    )
    document = json.loads(bytes(response.body))
    assert (response.status_code, document["title"]) == (kind.status, kind.title)
    assert document["type"].endswith(f"/problems/{kind.slug}")
    assert document["detail"] == (kind.title if answer is None else "what billing said")
    assert document["order"]["order_id"] == str(UUID(int=1))
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["Location"] == f"/orders/{UUID(int=1)}"
    assert response.headers["Idempotency-Replayed"] == "?1"


@pytest.mark.parametrize(
    ("trouble", "detail", "logged"),
    [
        (DatabaseTrouble("gone"), "The database did not answer in time.", True),
        (LockWaitTooLong("held"), "The database did not answer in time.", True),
        (ReadsFull("full"), "Too many reads are waiting. Nothing was begun.", False),
    ],
)
async def test_what_may_have_happened(trouble: Exception, detail: str, logged: bool) -> None:
    """503, with when to ask again and a line in the log; a read that was not begun says so, and logs nothing."""
    app = FastAPI()
    app.state.process = OrderProcess(settings(), nowhere)
    request = cast(Request, SimpleNamespace(app=app, url=SimpleNamespace(path="/orders")))
    with structlog.testing.capture_logs() as lines:
        response = await order_service.app._outcome_unknown(request, trouble)
    document = json.loads(bytes(response.body))
    assert (response.status_code, document["detail"]) == (503, detail)
    assert document["type"].endswith("/problems/unavailable")
    assert response.headers["Retry-After"] == "1"
    line = {"event": "the outcome is unknown", "path": "/orders", "reason": str(trouble)}
    assert lines == [{**line, "log_level": "warning"}] * logged
