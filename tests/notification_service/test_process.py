"""What one process of notification is put together from, what it says of a failure, and how it ends."""

import json
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
import structlog
from fastapi import FastAPI, Request
from pydantic import SecretStr

import notification_service.app
from notification_service import arrivals, problems, process
from notification_service.arrivals import Arriving
from notification_service.process import Notifications
from notification_service.settings import Settings
from notification_service.wire import Notification
from service_kit.bounded_pool import BoundedPool, DatabaseTrouble, LockWaitTooLong, ReadsFull
from service_kit.group_commit import Bounds, usual_bounds
from service_kit.problem_details import Problem

ARRIVING = Arriving(
    "curl",
    Notification(
        notification_id=UUID(int=1), order_id=UUID(int=2), customer="alice", text="It is billed."
    ),
)


def settings(**changes: Any) -> Settings:
    """Each with a value of its own, so that none can stand for another."""
    values = {
        "database_url": SecretStr("postgresql://x:drawn@127.0.0.1:9/x"),
        "database_password": SecretStr("drawn-by-lot"),
        "tokens": {"curl": (SecretStr("token-of-client-curl"),)},
        "pool_size_max": 9,
        "transaction_timeout_s": 4.0,
        **changes,
    }
    return Settings(**values)


async def test_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """It connects under the name of the service, with the password that is not in the URL; no wait takes longer than a transaction."""
    made: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def make(*arguments: Any, **named: Any) -> BoundedPool:
        made.append((arguments, named))
        return BoundedPool(*arguments, **named)

    monkeypatch.setattr(process, "BoundedPool", make)
    Notifications(settings())
    assert made == [
        (
            ("postgresql://x:drawn@127.0.0.1:9/x",),
            {
                "password": "drawn-by-lot",
                "application": "notification_service",
                "size_max": 9,
                "deadline_s": 4.0,
                "lock_timeout_s": 4.0,
                "idle_in_transaction_timeout_s": 4.0,
            },
        )
    ]


async def test_the_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many at one time as there are connections, and each within a transaction's time."""
    made: list[Bounds] = []
    monkeypatch.setattr(process, "Group", lambda _, bounds: made.append(bounds))
    Notifications(settings())
    assert made == [usual_bounds(9, 4.0)]


async def test_the_address_of_the_problems() -> None:
    """Each type is a page of the service under its public address."""
    catalogue = Notifications(settings(public_url="https://shown.example")).catalogue
    document = json.loads(catalogue.render(Problem(problems.UNAVAILABLE, "")))
    assert document["type"] == "https://shown.example/problems/unavailable"


async def test_readiness_asks_the_database_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is named; a process that misses nothing can store an arrival."""
    proofs: list[Any] = []

    async def missing(self: BoundedPool, prove: Any, confirm: Any) -> str | None:
        proofs.append((prove, confirm))
        return "it cannot be reached" if len(proofs) == 1 else None

    monkeypatch.setattr(BoundedPool, "missing", missing)
    notifications = Notifications(settings())
    assert await notifications.missing() == "the database: it cannot be reached"
    assert await notifications.missing() is None
    assert proofs == [(arrivals.prove_writable, arrivals.seal)] * 2


async def test_an_arrival_after_the_end() -> None:
    """A process that has ended takes no more, and says why: nothing is stored."""
    app = notification_service.app.create(settings())
    async with app.router.lifespan_context(app):
        pass
    with pytest.raises(DatabaseTrouble) as refused:
        await app.state.process.show(ARRIVING)
    assert str(refused.value) == "This process is stopping."


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
    app.state.process = Notifications(settings())
    request = cast(Request, SimpleNamespace(app=app, url=SimpleNamespace(path="/notifications")))
    with structlog.testing.capture_logs() as lines:
        response = await notification_service.app._outcome_unknown(request, trouble)
    document = json.loads(bytes(response.body))
    assert (response.status_code, document["detail"]) == (503, detail)
    assert document["type"].endswith("/problems/unavailable")
    assert response.headers["Retry-After"] == "1"
    line = {"event": "outcome unknown", "path": "/notifications", "reason": str(trouble)}
    assert lines == [{**line, "log_level": "warning"}] * logged
