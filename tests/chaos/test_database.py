"""The harness reads Postgres past all proxies, also while the server restarts."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from chaos.evidence import readings
from chaos.harness.database import Database
from stack import ports
from stack.postgres import PostgresCluster
from stack.waiting import NotSeen


async def test_a_connection_waits_while_postgres_restarts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was asked for while the server was away, and comes when it is back; when it stays away, within the bound."""
    cluster = PostgresCluster(
        tmp_path / "data", tmp_path / "postgres.log", lambda: ports.choose("", None)
    )
    await cluster.start()
    database = Database(cluster.url("postgres"))
    tries = 0
    connect = readings.connect

    async def counted(url: str) -> "asyncpg.Connection[asyncpg.Record]":
        nonlocal tries
        tries += 1
        return await connect(url)

    monkeypatch.setattr(readings, "connect", counted)
    try:
        assert await database.value("SELECT 1") == 1
        # An immediate shutdown; the server recovers and comes back by itself.
        crash = asyncio.create_task(cluster.crash())
        await cluster.child.dead(1)
        assert await database.value("SELECT 1") == 1
        await crash
    finally:
        await cluster.stop()
    tries = 0
    monkeypatch.setattr("chaos.harness.database.BOUND_S", 0.3)
    with pytest.raises(NotSeen, match="Postgres accepts connections"):
        await database.value("SELECT 1")
    assert tries > 1
