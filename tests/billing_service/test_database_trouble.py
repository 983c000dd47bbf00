"""A database that is gone is never reported as success or failure, and the service recovers by itself."""

from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg
import httpx

from stack.postgres import PostgresCluster
from tests.evidence import seen
from tests.shut_out import shut_out

Charge = Callable[..., Coroutine[Any, Any, httpx.Response]]


async def test_a_crash_of_postgres(
    cluster: PostgresCluster, billing: httpx.AsyncClient, charge: Charge
) -> None:
    """What was acknowledged before the crash is there after it, and the pool heals without a restart."""
    before = await charge(1)
    await cluster.crash()
    after = await charge(1, retry=True)
    # The pooled connection is dead; the request that uses it learns that the outcome is unknown.
    if after.status_code == 503:
        assert int(after.headers["Retry-After"]) >= 1
        after = await charge(1, retry=True)
    assert after.content == before.content
    assert after.headers["Idempotency-Replayed"] == "?1"
    assert (await billing.get("/readyz")).status_code == 200


async def test_terminated_backends(database: Any, charge: Charge) -> None:
    """A connection that is ended by an administrator costs one 503 at most."""
    await charge(1)
    owner = await asyncpg.connect(database.owner)
    sessions = "FROM pg_stat_activity WHERE application_name = 'billing_service' AND datname = current_database()"
    await owner.execute(f"SELECT pg_terminate_backend(pid) {sessions}")
    # Until a session has ended, a charge may still begin on it.
    await seen(lambda: owner.fetchval(f"SELECT count(*) = 0 {sessions}"), "the sessions have ended")
    await owner.close()
    statuses = [(await charge(2, order=2)).status_code for _ in range(2)]
    assert statuses[0] in (201, 503)
    assert statuses[1] == 201


async def test_no_database_at_all(
    database: Any, billing: httpx.AsyncClient, charge: Charge
) -> None:
    """503 with Retry-After for everything that needs it; the process itself stays healthy."""
    async with shut_out(database.owner, "billing_service"):
        await charge(1)
        response = await charge(1)
        assert response.status_code == 503
        assert response.json()["type"].endswith("/problems/unavailable")
        assert int(response.headers["Retry-After"]) >= 1
        assert (await billing.get("/readyz")).status_code == 503
        assert (await billing.get("/healthz")).status_code == 200
    assert (await charge(1)).status_code == 201
