"""200 connections read without end while Postgres holds every read, each service in its turn: writes go on."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from uuid import uuid4

import asyncpg
import httpx
import pytest

from chaos.harness.harness import Harness
from stack.http_client import http_client

pytestmark = pytest.mark.chaos
READERS = 200
WRITES = 5


@dataclass(frozen=True)
class Read:
    """A read of one service: its path, the table that it reads, and a part of its query that no write has."""

    path: str
    table: str
    query: str


READS = {
    "order_service": Read("/orders?limit=100", "orders.orders", "%ORDER BY created_at DESC%"),
    "billing_service": Read(
        "/accounts/alice", "billing.accounts", "SELECT balance_cents FROM billing.accounts%= $1"
    ),
    "notification_service": Read(
        "/notifications", "notifications.arrivals", "%ORDER BY arrival_id DESC%"
    ),
}


@asynccontextmanager
async def held(owner: "asyncpg.Connection[asyncpg.Record]", read: Read) -> AsyncIterator[None]:
    """Every read of this kind waits for a lock in Postgres, by a policy of its table; nothing else does."""
    function = f"{read.table.partition('.')[0]}.hold_reads()"
    await owner.execute(
        f"""
        CREATE FUNCTION {function} RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
          IF btrim(current_query(), E' \\n') LIKE '{read.query}' THEN
            PERFORM pg_advisory_xact_lock_shared(471149, 0);
          END IF;
          RETURN true;
        END $$;
        GRANT EXECUTE ON FUNCTION {function} TO PUBLIC;
        CREATE POLICY everything ON {read.table} USING (true) WITH CHECK (true);
        CREATE POLICY hold_reads ON {read.table} AS RESTRICTIVE FOR SELECT USING ({function});
        SELECT pg_advisory_lock(471149, 0);
        ALTER TABLE {read.table} ENABLE ROW LEVEL SECURITY;
        """
    )
    try:
        yield
    finally:
        await owner.execute(
            f"""
            SELECT pg_advisory_unlock_all();
            ALTER TABLE {read.table} DISABLE ROW LEVEL SECURITY;
            DROP POLICY everything ON {read.table};
            DROP FUNCTION {function} CASCADE;
            """
        )


async def read_on(url: str, path: str, token: str, answered: Counter[int]) -> None:
    """One connection; a client that costs the machine little, so that the service has it."""
    where = httpx.URL(url)
    request = f"GET {path} HTTP/1.1\r\nHost: {where.host}\r\nAuthorization: Bearer {token}\r\n\r\n"
    reader, writer = await asyncio.open_connection(where.host, where.port)
    try:
        while True:
            writer.write(request.encode())
            head = await reader.readuntil(b"\r\n\r\n")
            (length,) = (
                int(line.partition(b":")[2])
                for line in head.lower().splitlines()
                if line.startswith(b"content-length:")
            )
            await reader.readexactly(length)
            answered[int(head.split(b" ", 2)[1])] += 1
    finally:
        writer.close()


async def write(client: httpx.AsyncClient, service: str, url: str, number: int) -> httpx.Response:
    """What moves money or keeps a promise, at each service."""
    if service == "order_service":
        order = {"customer": "alice", "amount_cents": 1, "item": f"book {number}"}
        return await client.post(f"{url}/orders", json=order)
    if service == "billing_service":
        charge = {"order_id": str(uuid4()), "account": "alice", "amount_cents": 1}
        key = {"Idempotency-Key": f'"{uuid4().int % 10**12 + 1}"'}
        return await client.post(f"{url}/charges", json=charge, headers=key)
    ids = {"notification_id": str(uuid4()), "order_id": str(uuid4())}
    return await client.post(
        f"{url}/notifications", json={**ids, "customer": "alice", "text": "Billed."}
    )


async def answered_by_now(
    readers: list["asyncio.Task[None]"], enough: Counter[int], seen: Counter[int]
) -> None:
    """Returns when so many answers of each status have come; a reader that fails fails the test."""
    async with asyncio.timeout(60):
        while enough - seen:
            done, _ = await asyncio.wait(readers, timeout=0.01)
            for reader in done:
                reader.result()


@pytest.mark.parametrize("service", READS)
async def test_reads_without_end(harness: Harness, service: str) -> None:
    """While they are held, each is told 503 in time, every write succeeds, and the service stays ready; then all are served."""
    url = harness.target.urls[service]
    # Each receiver has tokens of its own.
    receiver = "notification_tokens" if service == "notification_service" else "tokens"
    token = harness.stack.description[receiver]["curl"]
    headers = {"Authorization": f"Bearer {token}"}
    answered: Counter[int] = Counter()
    owner = await asyncpg.connect(harness.target.owner)
    readers: list[asyncio.Task[None]] = []
    try:
        async with http_client(timeout=30, headers=headers) as client:
            # There is something to read.
            assert (await write(client, service, url, WRITES)).is_success
            async with held(owner, READS[service]):
                readers += [
                    asyncio.create_task(read_on(url, READS[service].path, token, answered))
                    for _ in range(READERS)
                ]
                await answered_by_now(readers, Counter({503: READERS}), answered)
                for number in range(WRITES):
                    response = await write(client, service, url, number)
                    assert response.status_code in (201, 202), (response.text, answered)
                    assert (await client.get(f"{url}/readyz")).status_code == 200
                assert set(answered) == {503}, answered
            await answered_by_now(readers, Counter({200: READERS}), answered)
    finally:
        for reader in readers:
            reader.cancel()
        for reader in readers:
            with suppress(asyncio.CancelledError):
                await reader
        await owner.close()
    assert set(answered) == {200, 503}, answered
