"""The caller's half of an exactly-once effect: it records a key, then sends that key until it has an answer.

Guarantee: a recorded order is settled once, by the answer to its own charge, if a process of the caller runs again. The
caller never guesses an unknown outcome: it sends the same key again.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

TROUBLE = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
BOUNDS = "-c lock_timeout=2s -c statement_timeout=3s -c idle_in_transaction_session_timeout=3s"
POOL: Any = {"min_size": 1, "server_settings": {"options": BOUNDS}}


class NewOrder(BaseModel, strict=True):
    account: str = Field(min_length=1, max_length=64)
    amount_cents: int = Field(ge=1, le=10**12)


class Caller:
    def __init__(self, database_url: str, http: httpx.AsyncClient, attempt_s: float = 2.0) -> None:
        self.database_url, self.http, self.attempt_s = database_url, http, attempt_s
        self.in_hand: dict[str, asyncio.Task[str]] = {}
        self.pool: Any

    async def place(self, new: NewOrder) -> str:
        """Records the order with its key, commits, and only then starts to send."""
        sql = "INSERT INTO orders (order_id, account, amount_cents, sequence_key) VALUES ($1, $2, $3, $4)"
        order: dict[str, Any] = {"order_id": str(uuid4()), **new.model_dump()}
        async with self.pool.acquire() as connection, connection.transaction():
            order["sequence_key"] = await mint(connection)
            await connection.execute(sql, *order.values())
        self.begin(order, sent_before=False)
        return str(order["order_id"])

    def begin(self, order: Any, *, sent_before: bool) -> None:
        task = asyncio.create_task(self.deliver(order, sent_before=sent_before))
        self.in_hand[order["order_id"]] = task
        task.add_done_callback(lambda _: self.in_hand.pop(order["order_id"]))

    async def deliver(self, order: Any, *, sent_before: bool) -> str:
        """Two choices make it exactly once: the key is taken outside the loop, and the loop sends it again."""
        key, pause_s = order["sequence_key"], 0.05
        while True:
            answer = await self.send(order, key, retry=sent_before)
            with suppress(*TROUBLE):  # An answer that is not stored is lost: ask again.
                if answer is not None:
                    return await self.settle(order, *answer)
            await asyncio.sleep(random.uniform(0, pause_s))  # Spreads callers that failed together.
            sent_before, pause_s = True, min(2 * pause_s, 2.0)

    async def send(self, order: Any, key: int, *, retry: bool) -> tuple[int, str] | None:
        """One attempt: the final answer, or None while the outcome is unknown."""
        charge = {name: order[name] for name in ("order_id", "account", "amount_cents")}
        headers = {"Idempotency-Key": f'"{key}"', "Idempotency-Retry": "?1" if retry else "?0"}
        with suppress(httpx.TransportError, TimeoutError):
            async with asyncio.timeout(self.attempt_s):  # For all of it, a slow drip included.
                response = await self.http.post("/charges", json=charge, headers=headers)
            return believed(response, charge)
        return None

    async def settle(self, order: Any, status: int, body: str) -> str:
        """Settles once: of several tasks with an answer, one changes the row, and only that one may tell the customer."""
        sql = (
            "UPDATE orders SET status = $2, answer = $3 WHERE order_id = $1 AND status = 'pending'"
        )
        ending = "billed" if status == 201 else "declined"
        if await self.pool.execute(sql, order["order_id"], ending, body) == "UPDATE 1":
            logging.info("order %s is %s: tell the customer", order["order_id"], ending)
        return ending

    async def recover(self) -> None:
        """Resumes pending orders that no task has. They may have been sent before a process died, so these are retries."""
        sql = "SELECT order_id::text, account, amount_cents, sequence_key FROM orders WHERE status = 'pending' AND created_at < now() - interval '5 s'"
        while True:
            with suppress(*TROUBLE):
                for order in await self.pool.fetch(sql):
                    if order["order_id"] not in self.in_hand:
                        self.begin(order, sent_before=True)
            await asyncio.sleep(1)


async def mint(connection: Any) -> int:
    """The next key. The counter's row stays locked until the commit, so keys become visible in their order."""
    sql = "INSERT INTO sequence_counter (last_key) VALUES (1) ON CONFLICT (only_row) DO UPDATE SET last_key = sequence_counter.last_key + 1 RETURNING last_key"
    return int(await connection.fetchval(sql))


def believed(response: httpx.Response, charge: dict[str, Any]) -> tuple[int, str] | None:
    """Only a documented answer to this very charge counts; another order's answer or a gateway's 404 does not."""
    declined = {"type": "/problems/insufficient-funds", "order_id": charge["order_id"]}
    expected = {201: charge, 402: declined}.get(response.status_code)
    with suppress(ValueError, RecursionError):
        answer = response.json()
        if expected and isinstance(answer, dict) and answer.items() >= expected.items():
            return response.status_code, response.text
    return None


def create(caller: Caller, wait_s: float = 5.0) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        caller.pool = await asyncpg.create_pool(caller.database_url, **POOL)
        recovering = asyncio.create_task(caller.recover())
        yield
        recovering.cancel()
        caller.pool.terminate()

    app = FastAPI(lifespan=lifespan)

    @app.post("/orders")  # 201 billed, 402 declined, 202 unknown yet: delivery continues.
    async def place(new: NewOrder) -> JSONResponse:
        task = caller.in_hand[order_id := await caller.place(new)]
        await asyncio.wait((task,), timeout=wait_s)
        ending = task.result() if task.done() else "pending"
        status = {"billed": 201, "declined": 402}.get(ending, 202)
        return JSONResponse({"order_id": order_id, "status": ending}, status)

    return app
