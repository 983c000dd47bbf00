"""200 connections read as fast as they can, each service in its turn: writes go on."""

import asyncio
from collections import Counter
from contextlib import suppress
from uuid import uuid4

import httpx
import pytest

from chaos.harness.harness import Harness

pytestmark = pytest.mark.chaos
READERS = 200
WRITES = 5
# What reads are answered when the writes are done: so many at least, or it was no load.
ANSWERED_MIN = 1_000
READS = {
    "order_service": "/orders?limit=100",
    "billing_service": "/accounts/alice",
    "notification_service": "/notifications",
}


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


@pytest.mark.parametrize("service", READS)
async def test_reads_without_end(harness: Harness, service: str) -> None:
    """Every write succeeds, and the service stays ready, whether reads are served or refused.

    How many reads are refused depends on the machine; `tests/test_outages.py` fills the connections for reads and sees it.
    """
    url = harness.target.urls[service]
    # Each receiver has tokens of its own.
    receiver = "notification_tokens" if service == "notification_service" else "tokens"
    token = harness.stack.description[receiver]["curl"]
    answered: Counter[int] = Counter()
    readers = [
        asyncio.create_task(read_on(url, READS[service], token, answered)) for _ in range(READERS)
    ]
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with httpx.AsyncClient(timeout=30, trust_env=False, headers=headers) as client:
            for number in range(WRITES):
                response = await write(client, service, url, number)
                assert response.status_code in (201, 202), (response.text, answered)
                assert (await client.get(f"{url}/readyz")).status_code == 200
            while answered.total() < ANSWERED_MIN:
                await asyncio.wait(readers, timeout=0.01)
    finally:
        for reader in readers:
            reader.cancel()
        for reader in readers:
            with suppress(asyncio.CancelledError):
                await reader
    assert set(answered) <= {200, 503}, answered
