"""A commit whose answer is lost is never reported as success or failure: the caller asks again, and then it is known.

Nothing in the service is touched: a trigger in Postgres waits on an advisory lock that the test holds.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import httpx
import pytest

from chaos.play import AMOUNT_CENTS, Theatre
from chaos.toxics import LimitData

pytestmark = pytest.mark.chaos
LOCK = 471147
WAITING = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 471147 AND NOT granted"
)

# Where the transaction pauses: inside COMMIT, or in the last statement before it. A single charge stores its answer
# by an update, a batch stores key and answer at once.
INSIDE_COMMIT = """
    CREATE CONSTRAINT TRIGGER pause AFTER INSERT ON billing.ledger
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing.pause()
"""
BEFORE_COMMIT = """
    CREATE TRIGGER pause AFTER INSERT OR UPDATE ON billing.processed_keys
    FOR EACH ROW WHEN (NEW.status IS NOT NULL) EXECUTE FUNCTION billing.pause()
"""


@asynccontextmanager
async def paused(owner: "asyncpg.Connection[asyncpg.Record]", trigger: str) -> AsyncIterator[None]:
    """Charges pause at the trigger for the length of the block."""
    await owner.execute(
        f"""
        CREATE FUNCTION billing.pause() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_advisory_xact_lock({LOCK}); RETURN NULL; END $$
        """
    )
    await owner.execute(trigger)
    await owner.execute(f"SELECT pg_advisory_lock({LOCK})")
    try:
        yield
    finally:
        await owner.execute("SELECT pg_advisory_unlock_all()")
        await owner.execute("DROP FUNCTION billing.pause() CASCADE")


@pytest.mark.parametrize(
    ("trigger", "stream", "committed"),
    [(INSIDE_COMMIT, "downstream", True), (BEFORE_COMMIT, "upstream", False)],
    ids=["the row is there", "the row is not there"],
)
async def test_an_ambiguous_commit(
    theatre: Theatre, trigger: str, stream: str, committed: bool
) -> None:
    """503 in both cases; the same key then gets a replay, or is executed now. The money moves once."""
    account = await theatre.open_account("ambiguous")
    owner = await asyncpg.connect(theatre.stack.databases["owner"])
    key = 800_000_000_000_000 + int(committed)
    url = theatre.stack.urls["billing_service"] + "/charges"
    body = {"order_id": f"{key:032x}", "account": account, "amount_cents": AMOUNT_CENTS}
    async with httpx.AsyncClient(timeout=30) as client:
        client.headers["Authorization"] = f"Bearer {theatre.stack.tokens['curl']}"
        client.headers["Idempotency-Key"] = f'"{key}"'
        async with paused(owner, trigger):
            charging = asyncio.create_task(client.post(url, json=body))
            async with asyncio.timeout(30):
                while not await owner.fetchval(WAITING):
                    pass
            await theatre.stack.toxiproxy.arm(
                "billing-db",
                LimitData(bytes=0, stream="upstream" if stream == "upstream" else "downstream"),
            )
            await owner.execute(f"SELECT pg_advisory_unlock({LOCK})")
            response = await charging
        assert response.status_code == 503
        assert response.json()["type"].endswith("/problems/unavailable")
        assert await theatre.money(account) == ((1, 1) if committed else (0, 0))
        await theatre.stack.recreate_proxy("billing-db")
        again = await client.post(url, json=body, headers={"Idempotency-Retry": "?1"})
        if again.status_code == 503:
            # A pooled connection of before the healing; the next one is new.
            again = await client.post(url, json=body, headers={"Idempotency-Retry": "?1"})
        assert again.status_code == 201
        assert ("Idempotency-Replayed" in again.headers) is committed
    assert await theatre.money(account) == (1, 1)
    await owner.close()
