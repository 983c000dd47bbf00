"""Typical and fair baselines do the same work; only the route and the garbage collector differ."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from bench import baselines
from service_kit import garbage_collector

Serve = Callable[[Starlette], AbstractAsyncContextManager[httpx.AsyncClient]]
CHARGE = {
    "order_id": "00000000-0000-4000-8000-000000000001",
    "account": "alice",
    "amount_cents": 7,
}
PAIRS = [
    (baselines.nothing, baselines.fair_nothing),
    (baselines.unprotected, baselines.fair_unprotected),
]


@pytest.fixture
async def owner(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> "asyncpg.Connection[asyncpg.Record]":
    monkeypatch.setenv("BILLING_DATABASE_URL", database.billing)
    connection = await asyncpg.connect(database.owner)
    await connection.execute(
        "INSERT INTO billing.accounts (account, opening_balance_cents, balance_cents) VALUES ('alice', 100, 100)"
    )
    return connection


@pytest.mark.parametrize(("typical", "fair"), PAIRS, ids=["nothing", "unprotected"])
async def test_a_fair_baseline_answers_as_the_typical_one(
    serve: Serve,
    owner: "asyncpg.Connection[asyncpg.Record]",
    typical: Callable[[], Starlette],
    fair: Callable[[], Starlette],
) -> None:
    """The same status, media type, fields and effect for a charge, and 422 for a wrong body."""
    answers, effects = [], []
    for factory in (typical, fair):
        before = await owner.fetchval("SELECT balance_cents FROM billing.accounts")
        async with serve(factory()) as client:
            answer = await client.post("/charges", json=CHARGE)
            refused = await client.post("/charges", json={**CHARGE, "amount_cents": 0})
        body = answer.json()
        answers.append(
            (
                answer.status_code,
                answer.headers["Content-Type"],
                [*body],
                body["order_id"],
                refused.status_code,
            )
        )
        effects.append(before - await owner.fetchval("SELECT balance_cents FROM billing.accounts"))
    await owner.close()
    assert answers[0] == answers[1]
    assert answers[0][0] == 201
    assert answers[0][-1] == 422
    assert effects == ([7, 7] if typical is baselines.unprotected else [0, 0])


@pytest.mark.parametrize(("typical", "fair"), PAIRS, ids=["nothing", "unprotected"])
async def test_only_a_fair_baseline_has_the_direct_route(
    serve: Serve,
    owner: "asyncpg.Connection[asyncpg.Record]",
    monkeypatch: pytest.MonkeyPatch,
    typical: Callable[[], Starlette],
    fair: Callable[[], Starlette],
) -> None:
    """A charge goes through FastAPI or does not; otherwise the two figures would measure the same thing."""
    await owner.close()
    through_fastapi: list[str] = []
    original = FastAPI.__call__

    async def noted(app: FastAPI, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            through_fastapi.append(scope["path"])
        await original(app, scope, receive, send)

    monkeypatch.setattr(FastAPI, "__call__", noted)
    for factory, expected in ((typical, ["/charges"]), (fair, [])):
        async with serve(factory()) as client:
            assert (await client.post("/charges", json=CHARGE)).status_code == 201
        assert through_fastapi == expected
        through_fastapi.clear()


async def test_a_fair_baseline_tunes_the_garbage_collector(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It calls what billing_service calls when it starts; the typical one does not."""
    calls: list[str] = []
    monkeypatch.setattr(garbage_collector, "spare_the_program", lambda: calls.append("tuned"))
    async with serve(baselines.nothing()):
        assert calls == []
    async with serve(baselines.fair_nothing()):
        assert calls == ["tuned"]
