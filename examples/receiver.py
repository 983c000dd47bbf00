"""The receiver's half of an exactly-once effect: one transaction for each charge.

Guarantee: a key moves money at most once, whether requests are repeated, late, concurrent or out of order, and whichever
process dies. This rests on one primary key and on committing before answering, not on the retry flag, time or memory.
"""

import hashlib
import json
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

import asyncpg
from fastapi import Depends, FastAPI, Header, HTTPException, Path, Query, Request, Response
from pydantic import BaseModel, Field

# Every wait in the database ends: for a concurrent twin, for a statement, and for a dead process that held a lock.
BOUNDS = "-c lock_timeout=2s -c statement_timeout=3s -c idle_in_transaction_session_timeout=3s"
POOL: Any = {"min_size": 1, "server_settings": {"options": BOUNDS}}
# These leave the outcome unknown: after a lost COMMIT the money may have moved. The caller must ask again.
UNKNOWN = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
VOIDED = (410, '{"type": "/problems/key-voided"}')
KEY = "[1-9][0-9]{0,17}"  # One spelling: 042 is not a key.


class Charge(BaseModel):
    order_id: UUID
    account: Annotated[str, Field(strict=True, min_length=1, max_length=64)]
    amount_cents: Annotated[int, Field(strict=True, ge=1, le=10**12)]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.tokens = json.loads(os.environ["TOKENS"])  # A bearer token to each client's name.
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], **POOL) as app.state.pool:
        yield


def session(request: Request) -> tuple[Any, str]:
    """The pool, and the client that the token identifies. No client can reach another one's keys."""
    client = request.app.state.tokens.get(request.headers.get("Authorization", "")[7:])
    if client is None:
        raise HTTPException(401, "unknown token")
    return request.app.state.pool, client


app = FastAPI(lifespan=lifespan)
Session = Annotated[tuple[Any, str], Depends(session)]
KeyHeader = Annotated[str, Header(alias="Idempotency-Key", pattern=f'^"{KEY}"$')]
Flag = Annotated[str, Header(alias="Idempotency-Retry", pattern=r"^\?[01]$")]


@app.post("/charges")
async def post(of: Session, charge: Charge, key: KeyHeader, retry: Flag = "?0") -> Response:
    # The flag decides nothing. With the key it shows what went wrong: a retry of a new key means a lost request.
    logging.info("charge %s, retry %s", key, retry)
    return await answer(*of, int(key[1:-1]), charge)


@app.delete("/charges/{key}")  # Optional: takes a key out of use, or says that it was executed.
async def void(of: Session, key: Annotated[str, Path(pattern=f"^{KEY}$")]) -> Response:
    return await answer(*of, int(key), None)


@app.delete("/charges")  # Optional: the caller has final answers for all keys below.
async def forget(of: Session, below: Annotated[str, Query(pattern=f"^{KEY}$")]) -> Response:
    # First the mark, committed: it waits for charges that have read the old one, and later charges see it.
    mark = "UPDATE clients SET first_incomplete = greatest(first_incomplete, $2) WHERE client = $1"
    await of[0].execute(mark, of[1], int(below))
    settled = "DELETE FROM processed_keys WHERE client = $1 AND sequence_key < $2"
    await of[0].execute(settled, of[1], int(below))
    return Response(status_code=204)


async def answer(pool: Any, client: str, key: int, charge: Charge | None) -> Response:
    try:
        status, body, replayed = await execute(pool, client, key, charge)
    except UNKNOWN as exc:
        logging.warning("key %s: %r", key, exc)
        status, body, replayed = 503, problem("unknown"), False
    kind = "application/json" if status in (200, 201) else "application/problem+json"
    return Response(body, status, {"Idempotency-Replayed": "?1"} if replayed else {}, kind)


async def execute(pool: Any, client: str, key: int, charge: Charge | None) -> tuple[int, str, bool]:
    """Charges, declines, replays or refuses; without a charge, voids the key. Returns only after the commit."""
    async with pool.acquire() as connection, connection.transaction():
        # 1. The mark: a key below it is refused for ever. FOR SHARE: it cannot move before this transaction ends.
        sql = "SELECT first_incomplete FROM clients WHERE client = $1 FOR SHARE"
        mark = await connection.fetchval(sql, client)
        if mark is None or key < mark:
            return 410, problem("key-forgotten"), False
        # 2. The claim: one transaction inserts the key; a twin waits here until that transaction has ended.
        sql = "INSERT INTO processed_keys (client, sequence_key, fingerprint) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING true"
        if new := await connection.fetchval(sql, client, key, fingerprint(charge)):
            # 3. The effect, and 4. its answer, stored beside the key: all of it is committed, or none.
            status, body = await effect(connection, client, key, charge) if charge else VOIDED
            sql = "UPDATE processed_keys SET status = $3, body = $4 WHERE client = $1 AND sequence_key = $2"
            await connection.execute(sql, client, key, status, body)
        else:
            # 5. The replay: the same bytes again, or a refusal when the key was used for something else.
            sql = "SELECT status, body, fingerprint FROM processed_keys WHERE client = $1 AND sequence_key = $2"
            status, body, known = await connection.fetchrow(sql, client, key)
            if charge and (status, body) != VOIDED and known != fingerprint(charge):
                return 422, problem("key-reused"), False
    if charge is None and (status, body) != VOIDED:
        return 409, problem("key-executed", answer=body), False
    return status if charge else 200, body, not new


async def effect(db: Any, client: str, key: int, charge: Charge) -> tuple[int, str]:
    """Moves the money. The answer names its order, so that a caller cannot take it for another order's."""
    account, cents, names = charge.account, charge.amount_cents, charge.model_dump(mode="json")
    sql = "UPDATE accounts SET balance_cents = balance_cents - $2 WHERE account = $1 AND balance_cents >= $2"
    if await db.execute(sql, account, cents) == "UPDATE 0":
        return 402, problem("insufficient-funds", **names)
    sql = "INSERT INTO ledger (client, sequence_key, order_id, account, amount_cents) VALUES ($1, $2, $3, $4, $5) RETURNING charge_id::text"
    charge_id = await db.fetchval(sql, client, key, charge.order_id, account, cents)
    return 201, json.dumps({"charge_id": charge_id, **names})


def fingerprint(charge: Charge | None) -> bytes:  # Of what it means: its JSON has many spellings.
    return hashlib.sha256(charge.model_dump_json().encode() if charge else b"").digest()


def problem(slug: str, **more: Any) -> str:  # RFC 9457. The type says that no gateway answered.
    return json.dumps({"type": f"/problems/{slug}", **more})
