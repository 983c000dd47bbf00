"""What one process of billing is put together from: every bound of the settings reaches the part that keeps it."""

import asyncio
import json
import time
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr

import billing_service.charge
from billing_service import problems, process, readiness
from billing_service.batching.group_commit import GroupCommit
from billing_service.outcomes import AccountUnknown
from billing_service.process import Billing
from billing_service.settings import Settings
from billing_service.wire import Charge
from service_kit.bounded_pool import BoundedPool
from service_kit.group_commit import Bounds
from service_kit.problem_details import Problem
from tests.billing_service.replica import sample


def settings(**changes: Any) -> Settings:
    """Each with a value of its own, so that none can stand for another."""
    values = {
        "database_url": SecretStr("postgresql://x:drawn@127.0.0.1:9/x"),
        "database_password": SecretStr("drawn-by-lot"),
        "tokens": {"curl": (SecretStr("token-of-client-curl"),)},
        "pool_size_max": 9,
        "batch_size_max": 77,
        "queue_max": 103,
        "lock_timeout_s": 0.7,
        "batch_patience_s": 0.3,
        "transaction_timeout_s": 4.0,
        "idle_in_transaction_timeout_s": 5.0,
        "forget_pause_s": 6.0,
        "mark_leap_max": 777,
        "group_commit": True,
        **changes,
    }
    return Settings(**values)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[tuple[Any, ...], dict[str, Any]]]:
    """What the parts were made with, by the names of their classes."""
    found: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {}
    for name in ("BoundedPool", "Collector", "GroupCommit", "Admission"):
        real = getattr(process, name)

        def make(*arguments: Any, _name: str = name, _real: Any = real, **named: Any) -> Any:
            found[_name] = (arguments, named)
            return _real(*arguments, **named)

        monkeypatch.setattr(process, name, make)
    return found


async def test_the_pool(made: Any) -> None:
    """It connects under the name of the service, with the password that is not in the URL, and each wait has its own bound."""
    billing = Billing(settings())
    arguments, named = made["BoundedPool"]
    assert arguments == ("postgresql://x:drawn@127.0.0.1:9/x",)
    assert named == {
        "password": "drawn-by-lot",
        "application": "billing_service",
        "size_max": 9,
        "deadline_s": 4.0,
        "lock_timeout_s": 0.7,
        "idle_in_transaction_timeout_s": 5.0,
        "observe_wait": billing.metrics.pool_wait_seconds.observe,
    }


async def test_the_collector(made: Any) -> None:
    """It rests between its rounds, by the clock that never goes back."""
    billing = Billing(settings())
    arguments, named = made["Collector"]
    assert arguments == (billing.pool,)
    assert named == {
        "pause_s": 6.0,
        "leap_max": 777,
        "sleep": asyncio.sleep,
        "clock": time.monotonic,
        "metrics": billing.metrics,
    }


async def test_the_queue(made: Any) -> None:
    """A client may fill half of it and an account a quarter, rounded up: neither keeps out all others."""
    Billing(settings())
    assert made["Admission"] == ((103,), {"of_account_max": 26, "of_client_max": 52})


@pytest.mark.parametrize(
    "connections, batches, slow",
    [(1, 1, 1), (2, 1, 1), (3, 2, 1), (4, 2, 2), (9, 5, 4)],
)
async def test_the_connections_are_shared_out(
    made: Any, connections: int, batches: int, slow: int
) -> None:
    """Charges that wait for a lock take no more than half of them; batches have the rest, and each kind has at least one."""
    billing = Billing(settings(pool_size_max=connections))
    pool, body, bounds, metrics = made["GroupCommit"][0]
    assert (pool, body, metrics) == (billing.pool, billing.decline_body, billing.metrics)
    assert bounds == Bounds(
        size_max=77,
        under_way_max=batches,
        slow_max=slow,
        queue_max=103,
        wait_s=0.7,
        patience_s=0.3,
        side_by_side=2,
        parted_from=16,
    )


@pytest.mark.parametrize("group_commit", [True, False], ids=["in batches", "one by one"])
async def test_a_charge(monkeypatch: pytest.MonkeyPatch, group_commit: bool) -> None:
    """It is put into a batch; with group commit switched off, it goes through the single transaction, with all that was asked."""
    batched: list[tuple[Any, ...]] = []
    alone: list[tuple[Any, ...]] = []

    async def put(_: object, *arguments: Any) -> AccountUnknown:
        batched.append(arguments)
        return AccountUnknown()

    async def charge(*arguments: Any) -> AccountUnknown:
        alone.append(arguments)
        return AccountUnknown()

    monkeypatch.setattr(GroupCommit, "charge", put)
    monkeypatch.setattr("billing_service.charge.charge", charge)
    billing = Billing(settings(group_commit=group_commit))
    request = Charge(order_id=UUID(int=1), account="alice", amount_cents=5)

    def awaited() -> bool:
        return True

    assert await billing.charge("curl", 7, request, awaited) == AccountUnknown()
    asked = ("curl", 7, request)
    if group_commit:
        assert (batched, alone) == ([(*asked, awaited)], [])
    else:
        assert (batched, alone) == ([], [(billing.pool, *asked, billing.decline_body, awaited)])


async def test_a_decline_says_what_is_missing() -> None:
    """The order, the account, its balance and the amount: as members, and in one sentence."""
    billing = Billing(settings())
    request = Charge(order_id=UUID(int=1), account="alice", amount_cents=5)
    document = json.loads(billing.decline_body(request, 3))
    assert document["detail"] == "The account alice has 3 cents, the charge needs 5."
    assert document["status"] == 402
    members = ("order_id", "account", "amount_cents", "balance_cents")
    assert [document[name] for name in members] == [str(UUID(int=1)), "alice", 5, 3]


async def test_readiness_asks_the_database_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is named; a process that misses nothing can charge."""
    proofs: list[Any] = []

    async def missing(self: BoundedPool, prove: Any, confirm: Any) -> str | None:
        proofs.append((prove, confirm))
        return "it cannot be reached" if len(proofs) == 1 else None

    monkeypatch.setattr(BoundedPool, "missing", missing)
    billing = Billing(settings())
    assert await billing.missing() == "the database: it cannot be reached"
    assert await billing.missing() is None
    assert proofs == [(readiness.prove_writable, billing_service.charge.seal)] * 2


async def test_the_address_of_the_problems() -> None:
    """Each type is a page of the service under its public address; the retention is told there."""
    catalogue = Billing(settings(public_url="https://billing.example")).catalogue
    problem = Problem(problems.KEY_VOIDED, "Key 7 was voided.")
    assert (
        json.loads(catalogue.render(problem))["type"]
        == "https://billing.example/problems/key-voided"
    )


async def test_what_is_watched() -> None:
    """The charges that wait and the connections in use are read whenever the metrics are."""
    billing = Billing(settings())
    assert sample(billing.metrics.registry, "billing_queue_length") == 0
    assert sample(billing.metrics.registry, "billing_pool_connections_in_use") == 0


async def test_how_long_keys_are_kept() -> None:
    """The pages of the problems say so."""
    assert Billing(settings()).catalogue.retention == problems.RETENTION != ""
